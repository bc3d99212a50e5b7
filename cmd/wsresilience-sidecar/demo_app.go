package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// appPatience is how long the app takes at most to hand one message to a
// socket. It is longer than any silence of the demo's network.
const appPatience = 10 * time.Second

// demoApp is a WebSocket app as people write it, which knows nothing of a
// sidecar: it sends each user numbered messages over the newest socket that
// the user has, and goes on counting while there is none.
type demoApp struct {
	// Immutable.
	tally    *tally
	producer context.Context // ends when the app shall send no more
	listener net.Listener
	server   *http.Server

	// Guarded by mu.
	mu      sync.Mutex
	sockets [users]*websocket.Conn // the newest; nil before the first
	live    map[*websocket.Conn]struct{}
	closed  bool

	goroutines sync.WaitGroup
}

func newDemoApp(producer context.Context, t *tally) (*demoApp, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	a := &demoApp{tally: t, producer: producer, listener: l, live: map[*websocket.Conn]struct{}{}}
	a.server = &http.Server{Handler: a, ReadHeaderTimeout: appPatience}
	a.goroutines.Go(func() {
		if err := a.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			t.say("app: " + err.Error())
		}
	})
	return a, nil
}

// ServeHTTP is one socket of a user.
func (a *demoApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u, ok := userNamed(r.URL.Query().Get("user"))
	if !ok {
		http.Error(w, "who are you?", http.StatusBadRequest)
		return
	}
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // it has been answered
	}
	defer func() { _ = c.CloseNow() }()
	if !a.join(u, c) {
		return
	}
	defer a.leave(c)
	for {
		_, p, err := c.Read(r.Context())
		if err != nil {
			return
		}
		a.tally.arrive(u, toApp, p)
	}
}

// join makes c the user's newest socket. The first one starts the numbers.
func (a *demoApp) join(u user, c *websocket.Conn) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return false
	}
	a.goroutines.Add(1)
	a.live[c] = struct{}{}
	if a.sockets[u] == nil {
		a.goroutines.Go(func() { a.tally.produce(a.producer, u, toClient, func(p []byte) { a.send(u, p) }) })
	}
	a.sockets[u] = c
	return true
}

func (a *demoApp) leave(c *websocket.Conn) {
	a.mu.Lock()
	delete(a.live, c)
	a.mu.Unlock()
	a.goroutines.Done()
}

// send writes to the newest socket. The app cannot know whether that reaches
// anybody, and does not ask.
func (a *demoApp) send(u user, p []byte) {
	a.mu.Lock()
	c := a.sockets[u]
	a.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), appPatience)
	defer cancel()
	_ = c.Write(ctx, websocket.MessageText, p)
}

// close ends the app and waits until nothing of it runs. The producer must
// have ended before.
func (a *demoApp) close() error {
	err := a.server.Close()
	a.mu.Lock()
	a.closed = true
	var live []*websocket.Conn
	for c := range a.live {
		live = append(live, c)
	}
	a.mu.Unlock()
	for _, c := range live {
		_ = c.CloseNow()
	}
	a.goroutines.Wait()
	return err
}

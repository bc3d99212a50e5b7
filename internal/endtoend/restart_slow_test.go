package endtoend

import (
	"context"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/proxy"
)

// restartedApp echoes, sends more than a slow client takes when it is asked to, and
// can be killed and started again.
type restartedApp struct {
	t    *testing.T
	addr string

	mu    sync.Mutex
	l     net.Listener
	conns []net.Conn
}

func (a *restartedApp) start() {
	a.t.Helper()
	l, err := net.Listen("tcp", a.addr)
	if err != nil {
		a.t.Fatal(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.addr, a.l, a.conns = l.Addr().String(), l, nil
	srv := &http.Server{Handler: a, ConnState: func(c net.Conn, st http.ConnState) {
		if st == http.StateNew {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.conns = append(a.conns, c)
		}
	}}
	go func() { _ = srv.Serve(l) }()
}

func (a *restartedApp) kill() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.l.Close()
	for _, c := range a.conns {
		c.Close()
	}
}

func (a *restartedApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	ctx := context.Background()
	for {
		_, p, err := c.Read(ctx)
		if err != nil {
			return
		}
		if string(p) != "flood" {
			if c.Write(ctx, websocket.MessageText, p) != nil {
				return
			}
			continue
		}
		go func() {
			for b := make([]byte, 1000); c.Write(ctx, websocket.MessageBinary, b) == nil; {
			}
		}()
	}
}

// An app restarts while a client is so slow that the end of its app socket cannot
// be read. When it is, the app has long been there, with the sockets of the other
// clients, and has not meant this one all the same.
func TestAppRestartsWhileClientIsSlow(t *testing.T) {
	t.Parallel()
	eachDriver(t, func(t *testing.T, on func(*proxy.Config)) {
		app := &restartedApp{t: t, addr: "127.0.0.1:0"}
		app.start()
		t.Cleanup(app.kill)
		s := newStageAt(t, "http://"+app.addr, func(c *proxy.Config) {
			on(c)
			c.AppRetry = 10 * time.Second
		})
		opts := &client.Options{Adopt: true}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		write := func(c *client.Conn, p string) {
			t.Helper()
			if err := c.Write(ctx, client.MessageText, []byte(p)); err != nil {
				t.Fatal(err)
			}
		}
		slow := s.dial(t, opts)
		write(slow, "flood")
		others := []*client.Conn{s.dial(t, opts), s.dial(t, opts), s.dial(t, opts)}
		time.Sleep(300 * time.Millisecond) // no more is taken
		app.kill()
		time.Sleep(100 * time.Millisecond)
		app.start()
		for _, c := range others {
			write(c, "there?")
			mustRead(ctx, t, c, "there?")
		}
		time.Sleep(200 * time.Millisecond) // others that broke did so in another moment
		go func() {
			for e := range slow.Events() {
				if e.Kind == client.EventAdopted {
					_ = slow.Write(ctx, client.MessageText, []byte("here"))
				}
			}
		}()
		for {
			_, p, err := slow.Read(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if string(p) == "here" {
				return
			}
		}
	})
}

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// sockBits is how many sockets one app may have: its number stands above.
const sockBits = 18

// stopWord on an app's standard input ends what it sends; its sockets stay.
const stopWord = "stop"

// app is a WebSocket app as people write it: each socket counts for itself,
// and it knows of no sidecar.
type app struct {
	first    uint32 // its number, shifted
	sockets  atomic.Uint32
	records  io.Writer
	stopped  chan struct{}
	upgrader websocket.Upgrader
}

// runApp serves on addr until standard input ends.
func runApp(addr, number, file string) error {
	n, err := strconv.ParseUint(number, 10, 32-sockBits)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	a := &app{first: uint32(n) << sockBits, records: f, stopped: make(chan struct{})}
	a.upgrader.CheckOrigin = func(*http.Request) bool { return true }
	failed := make(chan error, 1)
	go func() { failed <- http.Serve(ln, a) }() // no timeouts: its peers are ours
	go func() {
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			if lines.Text() == stopWord {
				close(a.stopped)
			}
		}
		failed <- nil // whoever started it is gone
	}()
	return <-failed
}

// ServeHTTP is one socket: k names the session, every is the time between two
// messages in microseconds.
func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key, err1 := strconv.ParseUint(r.URL.Query().Get("k"), 10, 32)
	every, err2 := strconv.ParseUint(r.URL.Query().Get("every"), 10, 32)
	if errors.Join(err1, err2) != nil || every == 0 {
		http.Error(w, "want k and every", http.StatusBadRequest)
		return
	}
	c, err := a.upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // it has been answered
	}
	defer func() { _ = c.Close() }()
	s := &socket{app: a, conn: c, id: a.first | a.sockets.Add(1), key: uint32(key)}
	s.note(opened, 0)
	over := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() { s.write(time.Duration(every)*time.Microsecond, over) })
	code := s.read()
	close(over)
	writer.Wait()
	s.note(shut, uint32(code))
}

type socket struct {
	app     *app
	conn    *websocket.Conn
	id, key uint32
}

func (s *socket) note(k kind, n uint32) {
	note(s.app.records, record{k, s.id, s.key, n, time.Now().UnixNano()})
}

func (s *socket) read() (code int) {
	for {
		_, p, err := s.conn.ReadMessage()
		if err != nil {
			if ce, ok := errors.AsType[*websocket.CloseError](err); ok {
				return ce.Code
			}
			return websocket.CloseAbnormalClosure
		}
		if t, ok := parseTag(p); ok && t.stream == s.key {
			s.note(got, t.n)
		} else {
			s.note(alien, 0)
		}
	}
}

// write sends at a steady rate, from a random moment on so that the sockets
// of an app do not speak in chorus.
func (s *socket) write(every time.Duration, over <-chan struct{}) {
	wait := time.NewTimer(rand.N(every))
	defer wait.Stop()
	var b []byte
	for n := uint32(1); ; n++ {
		select {
		case <-wait.C:
		case <-over:
			return
		case <-s.app.stopped:
			return
		}
		wait.Reset(every)
		b = tag{s.id, n}.append(b[:0])
		if s.conn.WriteMessage(websocket.TextMessage, b) != nil {
			return
		}
		s.note(wrote, n)
	}
}

// runRole is this program as one of its own subprocesses.
//
//	app addr number file
//	nats spec
func runRole(args []string) error {
	switch {
	case len(args) == 4 && args[0] == "app":
		return runApp(args[1], args[2], args[3])
	case len(args) == 2 && args[0] == "nats":
		return runNode(args[1])
	}
	return fmt.Errorf("chaos: role %q: unknown", args)
}

const roleArg = "role"

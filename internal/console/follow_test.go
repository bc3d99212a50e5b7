package console

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsresilience/wsresilience/event"
)

// A listener of one connection.
type oneConn struct {
	conn chan net.Conn
	done chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *oneConn) Close() error   { return nil }
func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }

// here is a connection from this machine.
type here struct{ net.Conn }

func (here) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// follows connects a reader of events to a server with the timeouts of the
// sidecar's, in virtual time.
func follows(t *testing.T, h *History) (net.Conn, *bufio.Scanner) {
	l := &oneConn{make(chan net.Conn, 1), make(chan struct{})}
	srv := &http.Server{
		Handler:     handler(Config{Sidecar: crowd(1), History: h}),
		ReadTimeout: 10 * time.Second, ReadHeaderTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second,
	}
	go func() { _ = srv.Serve(l) }()
	client, server := net.Pipe()
	l.conn <- here{server}
	t.Cleanup(func() { close(l.done); client.Close(); srv.Close() })
	if _, err := fmt.Fprint(client, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return client, bufio.NewScanner(client)
}

// until reads up to a line.
func until(t *testing.T, lines *bufio.Scanner, with string) {
	t.Helper()
	for lines.Scan() {
		if strings.Contains(lines.Text(), with) {
			return
		}
	}
	t.Fatalf("no %q before the end: %v", with, lines.Err())
}

// A stream outlasts the timeouts of the server, says that it is there while nothing
// happens, and ends with its reader.
func TestStreamLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHistory()
		conn, lines := follows(t, h)
		until(t, lines, ": wsresilience events")
		began := time.Now()
		for range 12 {
			until(t, lines, ": still here")
		}
		if took := time.Since(began); took != 12*stillHere {
			t.Errorf("twelve signs of life took %v", took)
		}
		h.Observe(event.Event{Kind: event.StoreChanged})
		until(t, lines, "journal is away")
		conn.Close()
		time.Sleep(stillHere + time.Second)
		if n := len(h.followers.all()); n != 0 {
			t.Errorf("%d followers are left", n)
		}
	})
}

// A reader that takes nothing is let go of, and one that takes little learns what it
// has missed. Nobody waits for either.
func TestStreamOfSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHistory()
		_, lines := follows(t, h)
		until(t, lines, ": wsresilience events")
		began := time.Now()
		for range 3 * maxBehind {
			h.Observe(event.Event{Kind: event.StoreChanged})
		}
		if time.Since(began) != 0 {
			t.Error("whoever observes waited")
		}
		time.Sleep(writeTimeout / 2)
		until(t, lines, "event: lost")
		until(t, lines, `data: {"lost": `)
		for range 3 * maxBehind {
			h.Observe(event.Event{Kind: event.StoreChanged})
		}
		time.Sleep(writeTimeout + time.Second)
		if n := len(h.followers.all()); n != 0 {
			t.Errorf("%d followers are left, of which one reads nothing", n)
		}
	})
}

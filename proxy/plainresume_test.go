package proxy

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// numberedApp greets every socket with its number and then sends what it is
// told to, so that a test sees which socket it has.
func numberedApp(t *testing.T) (url string, say chan string) {
	t.Helper()
	say = make(chan string)
	var sockets atomic.Int32
	up := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		n := sockets.Add(1)
		_ = c.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, "socket %d", n))
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			for {
				if _, _, err := c.ReadMessage(); err != nil {
					return
				}
			}
		}()
		for {
			select {
			case m := <-say:
				_ = c.WriteMessage(websocket.TextMessage, []byte(m))
			case <-gone:
				return
			}
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL, say
}

func dialPlain(t *testing.T, addr, query string) *websocket.Conn {
	t.Helper()
	c, resp, err := websocket.DefaultDialer.Dial("ws://"+addr+"/?"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	t.Cleanup(func() { c.Close() })
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	return c
}

func wantPlain(t *testing.T, c *websocket.Conn, want string) {
	t.Helper()
	if _, got, err := c.ReadMessage(); err != nil || string(got) != want {
		t.Fatalf("read %q, %v; want %q", got, err, want)
	}
}

// A stock client that names itself finds its app socket again, and what it
// missed; one that does not, or with a short name, has a socket of its own.
func TestPlainResume(t *testing.T) {
	app, say := numberedApp(t)
	_, addr := startServer(t, app, func(c *Config) { c.PlainResume = "query:sid" })
	const me = "sid=0123456789abcdef"
	c := dialPlain(t, addr, me)
	wantPlain(t, c, "socket 1")
	c.NetConn().Close()
	say <- "while away"
	c = dialPlain(t, addr, me)
	// The first may come again: nobody has shown that it arrived.
	if _, got, err := c.ReadMessage(); err != nil {
		t.Fatal(err)
	} else if string(got) == "socket 1" {
		wantPlain(t, c, "while away")
	} else if string(got) != "while away" {
		t.Fatalf("read %q", got)
	}
	say <- "now"
	wantPlain(t, c, "now")

	other := dialPlain(t, addr, "sid=short")
	wantPlain(t, other, "socket 2")
	third := dialPlain(t, addr, "sid=fedcba9876543210")
	wantPlain(t, third, "socket 3")
}

// What the pong has shown to have arrived does not come again.
func TestPlainResumeAfterPong(t *testing.T) {
	app, say := numberedApp(t)
	s, addr := startServer(t, app, func(c *Config) { c.PlainResume = "query:sid" })
	const me = "sid=0123456789abcdef"
	c := dialPlain(t, addr, me)
	wantPlain(t, c, "socket 1")
	go func() { _, _, _ = c.ReadMessage() }() // a library answers pings while it reads
	for s.Stats().Traffic.AcksHeard == 0 {
		time.Sleep(time.Millisecond)
	}
	c.NetConn().Close()
	c = dialPlain(t, addr, me)
	say <- "next"
	wantPlain(t, c, "next")
}

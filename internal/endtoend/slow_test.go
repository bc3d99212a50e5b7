package endtoend

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/proxy"
	"github.com/wsresilience/wsresilience/session"
)

// slowConn is a connection to somebody who reads 100 kB a second.
type slowConn struct{ net.Conn }

func (c slowConn) Read(p []byte) (int, error) {
	time.Sleep(10 * time.Millisecond)
	return c.Conn.Read(p[:min(len(p), 1000)])
}

// dialSlow is a Dial whose connections are slow, and counts them.
func dialSlow(addr string, dials *atomic.Int64) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		dials.Add(1)
		c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err != nil {
			return nil, err
		}
		return slowConn{c}, c.(*net.TCPConn).SetReadBuffer(8 << 10)
	}
}

// patience is how long heartbeats wait for an answer here. A receiver's TCP makes
// room in steps, of which each takes a third of it.
const patience = time.Second

// TestSlowLink: a message that takes much longer than the heartbeats have
// patience arrives on the connection that it was sent on.
func TestSlowLink(t *testing.T) {
	t.Parallel()
	message := bytes.Repeat([]byte("slow "), 60_000)
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err != nil {
			return
		}
		defer c.CloseNow()
		if c.Write(r.Context(), websocket.MessageBinary, message) == nil {
			_, _, _ = c.Read(r.Context())
		}
	}))
	t.Cleanup(backend.Close)
	s := newStageAt(t, backend.URL, func(c *proxy.Config) {
		c.PlainHeartbeat = session.PlainEnforce
		c.Heartbeat = heartbeat.Config{Base: patience / 3, Min: patience / 3, Max: patience / 3}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)

	t.Run("resilient", func(t *testing.T) {
		t.Parallel()
		var dials atomic.Int64
		c, _, err := client.Dial(ctx, "ws://slow/", &client.Options{NetDial: dialSlow(s.addr, &dials)})
		if err != nil {
			t.Fatal(err)
		}
		defer c.CloseNow()
		if _, p, err := c.Read(ctx); err != nil || !bytes.Equal(p, message) || dials.Load() != 1 {
			t.Errorf("%d bytes came, %v, on %d connections", len(p), err, dials.Load())
		}
	})
	t.Run("plain", func(t *testing.T) {
		t.Parallel()
		var dials atomic.Int64
		c, _, err := websocket.Dial(ctx, "ws://slow/", &websocket.DialOptions{
			HTTPClient: &http.Client{Transport: &http.Transport{DialContext: dialSlow(s.addr, &dials)}},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer c.CloseNow()
		c.SetReadLimit(-1)
		_, r, err := c.Reader(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if p, err := io.ReadAll(r); err != nil || !bytes.Equal(p, message) {
			t.Errorf("%d bytes came, %v", len(p), err)
		}
	})
}

//go:build nginx

package fronts

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/internal/keyring"
	"github.com/wsresilience/wsresilience/proxy"
)

const messageLimit = 1 << 20 // the default of WSR_MAX_MESSAGE

// app is written as if there were no sidecar. It compares the Origin with the
// Host, as many servers do.
type app struct {
	sockets atomic.Int64
	seen    chan http.Header // of each upgrade to /seen
}

func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/denied":
		http.Error(w, "who are you?", http.StatusUnauthorized)
		return
	case "/busy":
		w.Header().Set("Retry-After", "7")
		http.Error(w, "too many", http.StatusServiceUnavailable)
		return
	}
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	a.sockets.Add(1)
	c.SetReadLimit(messageLimit)
	switch r.URL.Path {
	case "/seen":
		a.seen <- r.Header.Clone()
	case "/bye":
		_ = c.Close(4001, "bye")
		return
	}
	for {
		typ, p, err := c.Read(context.Background())
		if err != nil || c.Write(context.Background(), typ, p) != nil {
			return
		}
	}
}

// Heartbeats: the default, one far below the timeouts of these tests, and none
// while a test runs.
var (
	usual   = heartbeat.Config{}
	quick   = heartbeat.Config{Base: 300 * time.Millisecond, Min: 300 * time.Millisecond, Max: 300 * time.Millisecond}
	silence = heartbeat.Config{Base: 5 * time.Minute, Min: 5 * time.Minute, Max: 5 * time.Minute}
)

// startSidecar runs a sidecar in front of a, and returns its address.
func startSidecar(t *testing.T, a *app, beats heartbeat.Config) string {
	return startChanged(t, a, func(c *proxy.Config) { c.Heartbeat = beats })
}

func startChanged(t *testing.T, a *app, change func(*proxy.Config)) string {
	t.Helper()
	backend := httptest.NewServer(a)
	t.Cleanup(backend.Close)
	ring, err := keyring.New([][]byte{keyring.Generate()})
	if err != nil {
		t.Fatal(err)
	}
	cfg := proxy.Config{
		Upstream: backend.URL, Tokens: ring, SessionTTL: 10 * time.Minute,
		// The longest address there is: a token holds it.
		Advertise: "[fd00:1234:5678:9abc:def0:1234:5678:9abc]:15801",
	}
	change(&cfg)
	s, err := proxy.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := errors.Join(s.Shutdown(ctx), <-served); err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// front is nginx, a sidecar and an app.
func front(t *testing.T, a *app, beats heartbeat.Config, edits ...edit) *nginx {
	t.Helper()
	return startNginx(t, startSidecar(t, a, beats), edits...)
}

func timed(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// resilientClient is one whose connections the test can cut and read.
type resilientClient struct {
	*client.Conn
	mu    sync.Mutex
	conns []*tapped
}

// tapped keeps the first write, which is the upgrade request.
type tapped struct {
	net.Conn
	once    sync.Once
	request []byte
}

func (c *tapped) Write(p []byte) (int, error) {
	c.once.Do(func() { c.request = append([]byte(nil), p...) })
	return c.Conn.Write(p)
}

func (v *resilientClient) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.conns = append(v.conns, &tapped{Conn: c})
	return v.conns[len(v.conns)-1], nil
}

// newest is the connection that was dialled last, and how many there were.
func (v *resilientClient) newest() (*tapped, int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.conns[len(v.conns)-1], len(v.conns)
}

func dialResilient(t *testing.T, addr string) *resilientClient {
	t.Helper()
	v := new(resilientClient)
	c, _, err := client.Dial(timed(t), "ws://"+addr+"/", &client.Options{
		NetDial: v.dial, Backoff: client.Backoff{Max: 200 * time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseNow() })
	if v.Conn = c; !c.Resilient() {
		t.Fatal("the session is not resilient")
	}
	return v
}

// wantResumed waits until the session goes on over a new connection.
func (v *resilientClient) wantResumed(ctx context.Context, t *testing.T) {
	t.Helper()
	for {
		select {
		case e := <-v.Events():
			switch e.Kind {
			case client.EventResumed:
				return
			case client.EventAdopted, client.EventReset:
				t.Fatalf("the session is %v, want resumed", e.Kind)
			}
		case <-ctx.Done():
			t.Fatal("the session is not resumed")
		}
	}
}

// echo sends p and wants it back.
func (v *resilientClient) echo(ctx context.Context, p string) error {
	if err := v.Write(ctx, client.MessageText, []byte(p)); err != nil {
		return err
	}
	_, got, err := v.Read(ctx)
	if err == nil && string(got) != p {
		err = fmt.Errorf("%.40q came back as %.40q", p, got)
	}
	return err
}

// plain opens an ordinary WebSocket, as a page of the same host does.
func plain(t *testing.T, addr, path string) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	c, resp, err := websocket.Dial(timed(t), "ws://"+addr+path, &websocket.DialOptions{
		HTTPHeader: http.Header{"Origin": {"http://" + addr}},
	})
	if err == nil {
		c.SetReadLimit(messageLimit)
		t.Cleanup(func() { c.CloseNow() })
	}
	return c, resp, err
}

func mustPlain(t *testing.T, addr, path string) *websocket.Conn {
	t.Helper()
	c, _, err := plain(t, addr, path)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

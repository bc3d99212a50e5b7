package endtoend

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/internal/faultlink"
	"github.com/wsresilience/wsresilience/internal/keyring"
	"github.com/wsresilience/wsresilience/internal/proxytest"
	"github.com/wsresilience/wsresilience/internal/transport"
	"github.com/wsresilience/wsresilience/proxy"
)

// counterApp is the app of these tests: on each socket it checks that the
// client's messages arrive as in-1, in-2, … and sends out-1, out-2, …, one
// every pause, up to total. It is written as if there were no sidecar.
type counterApp struct {
	total int
	pause time.Duration

	sockets  atomic.Int64
	received atomic.Int64 // on the newest socket
	fault    atomic.Pointer[string]
}

func (a *counterApp) wrong(format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	a.fault.CompareAndSwap(nil, &s)
}

func (a *counterApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, CompressionMode: websocket.CompressionNoContextTakeover, CompressionThreshold: 1,
	})
	if err != nil {
		return
	}
	defer c.CloseNow()
	a.sockets.Add(1)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	go func() {
		for i := 1; i <= a.total; i++ {
			if err := c.Write(ctx, websocket.MessageText, fmt.Appendf(nil, "out-%d", i)); err != nil {
				return
			}
			select {
			case <-time.After(a.pause):
			case <-ctx.Done(): // a bubble must not end before this does
				return
			}
		}
	}()
	for n := int64(1); ; n++ {
		_, p, err := c.Read(ctx)
		if err != nil {
			return
		}
		if want := fmt.Sprintf("in-%d", n); string(p) != want {
			a.wrong("app received %.40q, want %q", p, want)
			return
		}
		a.received.Store(n)
	}
}

// stage is client → link → proxy → app.
type stage struct {
	app   *counterApp
	proxy *proxy.Server
	addr  string // of the proxy
	link  *faultlink.Link
}

func newStage(t *testing.T, app *counterApp, change func(*proxy.Config)) *stage {
	t.Helper()
	backend := httptest.NewServer(app)
	t.Cleanup(backend.Close)
	s := newStageAt(t, backend.URL, change)
	s.app = app
	return s
}

// newStageAt is a stage for an app that runs already.
func newStageAt(t *testing.T, upstream string, change func(*proxy.Config)) *stage {
	t.Helper()
	ring, err := keyring.New([][]byte{keyring.Generate()})
	if err != nil {
		t.Fatal(err)
	}
	cfg := proxy.Config{
		Upstream: upstream, Tokens: ring, SessionTTL: time.Minute, Driver: transport.Driver(proxytest.Driver(t)),
		Heartbeat: heartbeat.Config{Base: 100 * time.Millisecond, Min: 100 * time.Millisecond, Max: 200 * time.Millisecond},
	}
	if change != nil {
		change(&cfg)
	}
	p, err := proxy.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- p.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := errors.Join(p.Shutdown(ctx), <-served); err != nil {
			t.Error(err)
		}
	})
	link, err := faultlink.New("127.0.0.1:0", l.Addr().String(), rand.Float64)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(link.Close)
	return &stage{proxy: p, addr: l.Addr().String(), link: link}
}

// appSockets is an app whose sockets are the caller's.
func appSockets(t *testing.T) (url string, sockets <-chan net.Conn) {
	apps := make(chan net.Conn, 1)
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, _, _, err := ws.UpgradeHTTP(r, w); err == nil {
			t.Cleanup(func() { c.Close() })
			apps <- c
		}
	}))
	t.Cleanup(backend.Close)
	return backend.URL, apps
}

func (s *stage) dial(t *testing.T, opts *client.Options) *client.Conn {
	t.Helper()
	c, _, err := client.Dial(t.Context(), "ws://"+s.link.Addr()+"/", opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseNow() })
	if !c.Resilient() {
		t.Fatal("the session is not resilient")
	}
	return c
}

// send writes in-1 to in-n and waits until the last is acknowledged.
func send(ctx context.Context, c *client.Conn, n int, pause time.Duration) error {
	for i := 1; i < n; i++ {
		if err := c.Write(ctx, client.MessageText, fmt.Appendf(nil, "in-%d", i)); err != nil {
			return fmt.Errorf("write in-%d: %w", i, err)
		}
		time.Sleep(pause)
	}
	return c.WriteAcked(ctx, client.MessageText, fmt.Appendf(nil, "in-%d", n))
}

// receive reads out-1 to out-n.
func receive(ctx context.Context, c *client.Conn, n int) error {
	for i := 1; i <= n; i++ {
		_, p, err := c.Read(ctx)
		if err != nil {
			return fmt.Errorf("read out-%d: %w", i, err)
		}
		if want := fmt.Sprintf("out-%d", i); string(p) != want {
			return fmt.Errorf("client received %.40q, want %q", p, want)
		}
	}
	return nil
}

// both runs traffic in both directions to its end.
func (s *stage) both(ctx context.Context, c *client.Conn) error {
	done := make(chan error, 2)
	go func() { done <- send(ctx, c, s.app.total, s.app.pause) }()
	go func() { done <- receive(ctx, c, s.app.total) }()
	err := errors.Join(<-done, <-done)
	if f := s.app.fault.Load(); f != nil {
		err = errors.Join(err, errors.New(*f))
	}
	if n := s.app.sockets.Load(); n != 1 {
		err = errors.Join(err, fmt.Errorf("the app saw %d sockets, want one", n))
	}
	return err
}

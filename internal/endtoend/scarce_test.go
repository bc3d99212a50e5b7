package endtoend

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

// scarceText is message i of what the app says.
func scarceText(i, size int) []byte {
	return append(fmt.Appendf(nil, "%d ", i), bytes.Repeat([]byte{'x'}, size)...)
}

// speaking is an app that says as many messages of a size as it is asked for, and
// echoes what else it hears.
func speaking(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	for {
		_, p, err := c.Read(r.Context())
		if err != nil {
			return
		}
		var n, size int
		if _, err := fmt.Sscanf(string(p), "say %d of %d", &n, &size); err != nil {
			if c.Write(r.Context(), websocket.MessageText, p) != nil {
				return
			}
			continue
		}
		go func() {
			for i := range n {
				if c.Write(r.Context(), websocket.MessageText, scarceText(i, size)) != nil {
					return
				}
			}
		}()
	}
}

// A scarceClient does not read before it is told to, so that nothing of what its
// app says is acknowledged.
type scarceClient struct {
	*client.Conn
	t *testing.T

	mu   sync.Mutex
	conn net.Conn
}

func newScarceClient(t *testing.T, addr string) (*scarceClient, error) {
	c := &scarceClient{t: t}
	var err error
	c.Conn, _, err = client.Dial(t.Context(), "ws://"+addr+"/", &client.Options{
		Adopt: true, Backoff: client.Backoff{Max: 300 * time.Millisecond},
		NetDial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			c.mu.Lock()
			defer c.mu.Unlock()
			c.conn = conn
			return conn, err
		},
	})
	if err == nil {
		t.Cleanup(func() { c.CloseNow() })
	}
	return c, err
}

func (c *scarceClient) say(text string) {
	c.t.Helper()
	if err := c.Write(c.t.Context(), client.MessageText, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

// served reads the n messages that were asked for, and has an echo.
func (c *scarceClient) served(ctx context.Context, who string, n, size int) {
	c.t.Helper()
	for i := range n {
		if _, p, err := c.Read(ctx); err != nil || !bytes.Equal(p, scarceText(i, size)) {
			c.t.Errorf("%s: message %d is %.20q, %v", who, i, p, err)
			return
		}
	}
	if err := c.Write(ctx, client.MessageText, []byte(who)); err != nil {
		c.t.Errorf("%s: %v", who, err)
		return
	}
	if _, p, err := c.Read(ctx); err != nil || string(p) != who {
		c.t.Errorf("%s: the echo is %.20q, %v", who, p, err)
	}
}

// A few sessions use the memory budget up, with clients that take nothing. The
// many beside them are slowed and none is ended or reset: they have what their
// app says while there is still no memory, those whose connection breaks then have
// it when there is some again, and so have the few (I6).
func TestGreedyFewModestMany(t *testing.T) {
	t.Parallel()
	const (
		budget               = 8 << 20
		few, fewN, fewSize   = 10, 64, 16000 // 1 MB
		many, manyN, manySay = 400, 4, 1000  // 4 KB
		broken               = 20            // of the many
	)
	app := httptest.NewServer(http.HandlerFunc(speaking))
	t.Cleanup(app.Close)
	sidecar := newProcess(t, app.URL, t.TempDir(), "WSR_MEMORY_BUDGET=8MiB", "WSR_LOG_LEVEL=info", "WSR_ADOPT=always")
	var clients []*scarceClient
	for range few + many {
		c, err := newScarceClient(t, sidecar.Addr)
		if err != nil {
			t.Fatal(err)
		}
		clients = append(clients, c)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	for _, c := range clients[:few] {
		c.say(fmt.Sprintf("say %d of %d", fewN, fewSize))
	}
	sidecar.wantGauge("wsr_window_bytes", budget*7/8)
	for _, c := range clients[few:] {
		c.say(fmt.Sprintf("say %d of %d", manyN, manySay))
	}
	time.Sleep(500 * time.Millisecond) // what would end sessions has its time
	if _, err := newScarceClient(t, sidecar.Addr); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("a new client while there is no memory: %v, want 503", err)
	}
	for _, c := range clients[few : few+broken] {
		c.mu.Lock()
		c.conn.Close()
		c.mu.Unlock()
	}

	serve := func(part []*scarceClient, who string, n, size int) {
		var wg sync.WaitGroup
		for i, c := range part {
			wg.Go(func() { c.served(ctx, fmt.Sprintf("%s %d", who, i), n, size) })
		}
		wg.Wait()
	}
	serve(clients[few+broken:], "one of the many", manyN, manySay)
	serve(clients[:few], "one of the few", fewN, fewSize)
	serve(clients[few:few+broken], "one whose connection broke", manyN, manySay)
	text, err := sidecar.Get(ctx, "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		// One that is away may be handed to the journal, and then be told to try
		// again until there is memory for it: that is slowed, too.
		ended := strings.HasPrefix(line, "wsr_sessions_ended_total{") && !strings.Contains(line, `reason="handed"`)
		reset := strings.Contains(line, `outcome="reset"`) && !strings.Contains(line, `reason="try_again"`)
		if (ended || reset) && !strings.HasSuffix(line, " 0\n") {
			t.Error(line)
		}
	}
}

// wantGauge waits until a metric without labels is at least so much.
func (p *process) wantGauge(name string, least float64) {
	p.t.Helper()
	var got float64
	err := proc.Until(p.t.Context(), processLimit, processLook, func() bool {
		text, err := p.Get(p.t.Context(), "/metrics")
		if err != nil {
			return false
		}
		if _, line, ok := strings.Cut(string(text), "\n"+name+" "); ok {
			_, _ = fmt.Sscan(line, &got)
		}
		return got >= least
	})
	if err != nil {
		p.t.Fatalf("%s is %v, want %v: %v", name, got, least, err)
	}
}

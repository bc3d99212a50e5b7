package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/wsresilience/wsresilience/internal/agent/settings"
	"github.com/wsresilience/wsresilience/internal/faultlink"
	"github.com/wsresilience/wsresilience/internal/keyring"
	"github.com/wsresilience/wsresilience/internal/proxytest"
	"github.com/wsresilience/wsresilience/proxy"
)

// An app tells what it was asked with, echoes, and closes as it is told.
type app struct {
	sockets atomic.Int64
	closed  atomic.Int64 // with which code the last socket was closed
	got     atomic.Int64 // messages
}

func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/forbidden" {
		w.Header().Set("X-Why", "because")
		http.Error(w, "no", http.StatusForbidden)
		return
	}
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true, Subprotocols: []string{"meter.v2"}})
	if err != nil {
		return
	}
	defer c.CloseNow()
	a.sockets.Add(1)
	for {
		typ, p, err := c.Read(r.Context())
		if err != nil {
			a.closed.Store(int64(websocket.CloseStatus(err)))
			return
		}
		a.got.Add(1)
		switch string(p) {
		case "who":
			p = fmt.Appendf(nil, "%s %s %s", r.URL.RequestURI(), r.Header.Get("Authorization"), c.Subprotocol())
		case "close":
			_ = c.Close(4321, "enough")
			return
		}
		if err := c.Write(r.Context(), typ, p); err != nil {
			return
		}
	}
}

// A stage is program → agent → link → sidecar → app.
type stage struct {
	app  *app
	link *faultlink.Link
	data string

	newest *Agent
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{app: &app{}, data: t.TempDir()}
	backend := httptest.NewServer(s.app)
	t.Cleanup(backend.Close)
	ring, err := keyring.New([][]byte{keyring.Generate()})
	if err != nil {
		t.Fatal(err)
	}
	p, err := proxy.New(proxy.Config{Upstream: backend.URL, Tokens: ring, SessionTTL: time.Minute})
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
	if s.link, err = faultlink.New("127.0.0.1:0", l.Addr().String(), rand.Float64); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.link.Close)
	return s
}

// agent starts an agent, and returns its address and what stops it.
func (s *stage) agent(t *testing.T, more ...string) (addr string, stop func()) {
	t.Helper()
	free := proxytest.Listen(t)
	addr = free.Addr().String()
	_ = free.Close()
	cfg, err := settings.Load(append([]string{
		"WSR_AGENT_TARGET=ws://" + s.link.Addr(), "WSR_AGENT_LISTEN=" + addr, "WSR_AGENT_ADMIN_LISTEN=off", "WSR_AGENT_DATA=" + s.data,
	}, more...))
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s.newest = a
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	stopped := false
	stop = func() {
		if cancel(); !stopped {
			stopped = true
			if err := <-done; err != nil && !errors.Is(err, http.ErrServerClosed) {
				t.Error(err)
			}
		}
	}
	t.Cleanup(stop)
	proxytest.Eventually(t, "the agent listens", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	return addr, stop
}

func connect(t *testing.T, url string, o *websocket.DialOptions) *websocket.Conn {
	t.Helper()
	c, _, err := websocket.Dial(t.Context(), url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseNow() })
	return c
}

// ask writes a message and returns the answer.
func ask(t *testing.T, c *websocket.Conn, text string) string {
	t.Helper()
	if err := c.Write(t.Context(), websocket.MessageText, []byte(text)); err != nil {
		t.Fatal(err)
	}
	_, p, err := c.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return string(p)
}

// TestPassed: path, query, header fields and subprotocol reach the server as the
// program gave them, and closes pass both ways.
func TestPassed(t *testing.T) {
	s := newStage(t)
	addr, _ := s.agent(t)
	o := &websocket.DialOptions{Subprotocols: []string{"meter.v3", "meter.v2"}, HTTPHeader: http.Header{"Authorization": {"Bearer x"}}}
	c := connect(t, "ws://"+addr+"/a%2Fb?c=d", o)
	if got, want := ask(t, c, "who"), "/a%2Fb?c=d Bearer x meter.v2"; got != want || c.Subprotocol() != "meter.v2" {
		t.Errorf("the app was asked with %q, want %q; the program has %q", got, want, c.Subprotocol())
	}
	if err := c.Close(4001, "bye"); err != nil {
		t.Error(err)
	}
	proxytest.Eventually(t, "the app hears 4001", func() bool { return s.app.closed.Load() == 4001 })

	c = connect(t, "ws://"+addr+"/", nil)
	if err := c.Write(t.Context(), websocket.MessageText, []byte("close")); err != nil {
		t.Fatal(err)
	}
	_, _, err := c.Read(t.Context())
	if ce, ok := errors.AsType[websocket.CloseError](err); !ok || ce.Code != 4321 || ce.Reason != "enough" {
		t.Errorf("the program hears %v", err)
	}
	c = connect(t, "ws://"+addr+"/", nil)
	ask(t, c, "x")
	_ = c.CloseNow()
	proxytest.Eventually(t, "the app hears 1006", func() bool { return s.app.closed.Load() == 1006 || s.app.closed.Load() == -1 })
}

// TestRefused: what the server refuses the program hears as the server said it;
// the agent's own refusals say what to do.
func TestRefused(t *testing.T) {
	s := newStage(t)
	addr, _ := s.agent(t)
	_, resp, err := websocket.Dial(t.Context(), "ws://"+addr+"/forbidden", nil)
	if err == nil || resp.StatusCode != http.StatusForbidden || resp.Header.Get("X-Why") != "because" {
		t.Errorf("%v, %+v", err, resp)
	}
	page := http.Header{"Origin": {"https://evil.example"}}
	if _, resp, err = websocket.Dial(t.Context(), "ws://"+addr+"/", &websocket.DialOptions{HTTPHeader: page}); err == nil || resp.StatusCode != http.StatusForbidden {
		t.Errorf("a page: %v, %+v", err, resp)
	}
	resp, err = http.Get("http://" + addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusUpgradeRequired || !strings.Contains(string(body), "WebSocket clients") {
		t.Errorf("plain HTTP: %d %s", resp.StatusCode, body)
	}
	if err := s.link.Down(true); err != nil {
		t.Fatal(err)
	}
	if _, resp, err = websocket.Dial(t.Context(), "ws://"+addr+"/", nil); err == nil || resp.StatusCode != http.StatusBadGateway {
		t.Errorf("no server: %v, %+v", err, resp)
	}
}

// TestCuts: a program that knows nothing of sessions loses nothing.
func TestCuts(t *testing.T) {
	s := newStage(t)
	addr, _ := s.agent(t)
	c := connect(t, "ws://"+addr+"/", nil)
	for i := range 100 {
		if i%10 == 5 {
			s.link.Cut(faultlink.Kind(i / 10 % 2))
		}
		if got, want := ask(t, c, fmt.Sprint(i)), fmt.Sprint(i); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
	if n := s.app.sockets.Load(); n != 1 {
		t.Errorf("the app had %d sockets", n)
	}
}

// TestContinue: a program that comes back without having closed goes on with its
// session, also when the agent was another meanwhile, and what it sent while the
// server was out of reach arrives.
func TestContinue(t *testing.T) {
	s := newStage(t)
	addr, stop := s.agent(t, "WSR_AGENT_CONTINUE=/meter")
	c := connect(t, "ws://"+addr+"/meter", nil)
	ask(t, c, "one")
	_ = c.CloseNow()
	c = connect(t, "ws://"+addr+"/meter", nil)
	ask(t, c, "two")
	s.link.Cut(faultlink.RST)
	if err := s.link.Down(true); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := c.Write(t.Context(), websocket.MessageText, []byte("offline")); err != nil {
			t.Fatal(err)
		}
	}
	proxytest.Eventually(t, "the agent has them", func() bool { return s.newest.counters.sent.Load() == 5 })
	stop()
	if err := s.link.Down(false); err != nil {
		t.Fatal(err)
	}
	addr, _ = s.agent(t, "WSR_AGENT_CONTINUE=/meter")
	c = connect(t, "ws://"+addr+"/meter", nil)
	proxytest.Eventually(t, "the app has all", func() bool { return s.app.got.Load() == 5 })
	if n := s.app.sockets.Load(); n != 1 {
		t.Errorf("the app had %d sockets", n)
	}
	if err := c.Close(1000, ""); err != nil {
		t.Error(err)
	}
	c = connect(t, "ws://"+addr+"/meter", nil)
	ask(t, c, "new")
	if n := s.app.sockets.Load(); n != 2 {
		t.Errorf("the app had %d sockets after a close", n)
	}
}

// TestOfflineAccept: a program that starts before the server is there.
func TestOfflineAccept(t *testing.T) {
	s := newStage(t)
	if err := s.link.Down(true); err != nil {
		t.Fatal(err)
	}
	addr, _ := s.agent(t, "WSR_AGENT_OFFLINE=accept")
	c := connect(t, "ws://"+addr+"/", &websocket.DialOptions{Subprotocols: []string{"meter.v2"}})
	if err := c.Write(t.Context(), websocket.MessageText, []byte("early")); err != nil {
		t.Fatal(err)
	}
	if err := s.link.Down(false); err != nil {
		t.Fatal(err)
	}
	if _, p, err := c.Read(t.Context()); err != nil || string(p) != "early" {
		t.Errorf("read %q, %v", p, err)
	}
}

// TestSettings: a wrong one is named, with what is allowed.
func TestSettings(t *testing.T) {
	for set, want := range map[string]string{
		"WSR_AGENT_TARGET=https://a":                     "want ws or wss",
		"WSR_AGENT_TARGET=":                              "is required",
		"WSR_AGENT_LISTEN=here":                          "want host:port, or unix:",
		"WSR_AGENT_OFFLINE=never":                        "want refuse or accept",
		"WSR_AGENT_CONTINUE=/x":                          "needs WSR_AGENT_DATA",
		"WSR_AGENT_DATA=/nowhere":                        "no such file",
		"WSR_AGENT_LISTENS=:1":                           "WSR_AGENT_LISTENS: there is no such setting",
		"WSR_AGENT_ADMIN_LISTEN=x":                       "host:port, or off",
		"WSR_AGENT_TARGET=wss://user:secret@app.example": "want wss://host",
	} {
		_, err := settings.Load([]string{"WSR_AGENT_TARGET=wss://app.example", set})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", set, err, want)
		}
	}
	if len(settings.Variables()) < 10 {
		t.Error("settings are missing")
	}
	for _, v := range settings.Variables() {
		if v.Name == "" || v.Doc == "" {
			t.Errorf("%+v is not described", v)
		}
	}
}

// TestAdmin: the page tells of the programs, to whoever asks by an address.
func TestAdmin(t *testing.T) {
	a, err := New(&settings.Settings{Target: "wss://app.example"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	a.add(&session{agent: a, path: "/<meter>", began: time.Now()})
	for host, want := range map[string]int{"127.0.0.1:15882": 200, "[::1]:15882": 200, "[::1]": 200, "localhost": 200, "localhost:1": 200, "evil.example:15882": 421} {
		for path, text := range map[string]string{"/": "/&lt;meter&gt;", "/metrics": "wsr_agent_connections_total 0", "/readyz": "ready"} {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.Host, r.RemoteAddr = host, "127.0.0.1:1"
			w := httptest.NewRecorder()
			a.admin().ServeHTTP(w, r)
			if w.Code != want || want == 200 && !strings.Contains(w.Body.String(), text) {
				t.Errorf("%s%s: %d %s", host, path, w.Code, w.Body)
			}
		}
	}
	for path, want := range map[string]int{"/": 403, "/metrics": 200, "/readyz": 200} {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Host, r.RemoteAddr = "10.0.0.1:15882", "10.0.0.2:1"
		w := httptest.NewRecorder()
		if a.admin().ServeHTTP(w, r); w.Code != want {
			t.Errorf("%s from another machine: %d", path, w.Code)
		}
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/internal/faultlink"
	"github.com/wsresilience/wsresilience/internal/keyring"
	"github.com/wsresilience/wsresilience/proxy"
)

// testLimit ends a test that hangs.
const testLimit = 20 * time.Second

// newBridge puts a bridge, a link and a proxy in front of an app.
func newBridge(t *testing.T, app http.Handler) (*bridge, *faultlink.Link, string) {
	t.Helper()
	backend := httptest.NewServer(app)
	t.Cleanup(backend.Close)
	ring, err := keyring.New([][]byte{keyring.Generate()})
	if err != nil {
		t.Fatal(err)
	}
	p, err := proxy.New(proxy.Config{
		Upstream: backend.URL, Tokens: ring, SessionTTL: time.Minute,
		Heartbeat: heartbeat.Config{Base: 100 * time.Millisecond, Min: 100 * time.Millisecond, Max: 200 * time.Millisecond},
	})
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
		ctx, cancel := context.WithTimeout(context.Background(), testLimit)
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
	b := &bridge{sidecar: "ws://" + link.Addr(), trace: t.Logf}
	front := httptest.NewServer(b)
	t.Cleanup(front.Close)
	return b, link, front.URL
}

// echo is an app that says everything back. "bye" makes it close with 4001;
// how the client closed goes to ended.
func echo(ended chan<- websocket.StatusCode) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/closed" {
			http.Error(w, "not today", http.StatusForbidden)
			return
		}
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"second"}})
		if err != nil {
			return
		}
		defer c.CloseNow()
		for {
			typ, p, err := c.Read(context.Background())
			if err != nil {
				ended <- websocket.CloseStatus(err)
				return
			}
			if string(p) == "bye" {
				_ = c.Close(4001, "enough")
				return
			}
			if err := c.Write(context.Background(), typ, p); err != nil {
				return
			}
		}
	}
}

func dial(t *testing.T, url string, protocols ...string) *websocket.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	defer cancel()
	c, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{Subprotocols: protocols})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseNow() })
	return c
}

// wantEcho sends a message and wants it back as it was.
func wantEcho(t *testing.T, c *websocket.Conn, typ websocket.MessageType, p string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	defer cancel()
	if err := c.Write(ctx, typ, []byte(p)); err != nil {
		t.Fatal(err)
	}
	gotTyp, got, err := c.Read(ctx)
	if err != nil || gotTyp != typ || string(got) != p {
		t.Fatalf("read %v %q, %v; want %v %q", gotTyp, got, err, typ, p)
	}
}

func TestBridgeKeepsTypesThroughCuts(t *testing.T) {
	b, link, url := newBridge(t, echo(make(chan websocket.StatusCode, 1)))
	c := dial(t, url, "first", "second")
	if c.Subprotocol() != "second" {
		t.Fatalf("subprotocol %q, want the app's choice", c.Subprotocol())
	}
	for i, kind := range []faultlink.Kind{faultlink.RST, faultlink.FIN, faultlink.DropClient} {
		wantEcho(t, c, websocket.MessageText, fmt.Sprintf("text %d", i))
		link.Cut(kind)
		wantEcho(t, c, websocket.MessageBinary, fmt.Sprintf("\x00\xff %d", i))
	}
	if b.dialled.Load() != 1 || b.resumed.Load() == 0 {
		t.Fatalf("%d sessions, %d resumed; want one that resumed", b.dialled.Load(), b.resumed.Load())
	}
}

func TestBridgePassesCloses(t *testing.T) {
	ended := make(chan websocket.StatusCode, 2)
	_, _, url := newBridge(t, echo(ended))

	c := dial(t, url)
	wantEcho(t, c, websocket.MessageText, "hello")
	if err := c.Close(4002, "leaving"); err != nil {
		t.Fatal(err)
	}
	if got := <-ended; got != 4002 {
		t.Errorf("the app saw %d, want the library's 4002", got)
	}

	c = dial(t, url)
	if err := c.Write(t.Context(), websocket.MessageText, []byte("bye")); err != nil {
		t.Fatal(err)
	}
	var said websocket.CloseError
	if _, _, err := c.Read(t.Context()); !errors.As(err, &said) || said.Code != 4001 || said.Reason != "enough" {
		t.Errorf("the library saw %v, want the app's 4001", err)
	}

	c = dial(t, url)
	// A library that breaks off says nothing, so nothing is said for it.
	c.CloseNow()
	if got := <-ended; got == websocket.StatusNormalClosure || got >= 3000 {
		t.Errorf("the app saw %d, which the library did not say", got)
	}
}

func TestBridgePassesRefusals(t *testing.T) {
	_, _, url := newBridge(t, echo(nil))
	_, answer, err := websocket.Dial(t.Context(), url+"/closed", nil)
	if err == nil || answer == nil || answer.StatusCode != http.StatusForbidden {
		t.Fatalf("dial: %v, %v; want the app's 403", answer, err)
	}
}

// Without a sidecar nothing of this program would be shown.
func TestBridgeWantsASidecar(t *testing.T) {
	bare := httptest.NewServer(echo(make(chan websocket.StatusCode, 2)))
	defer bare.Close()
	front := httptest.NewServer(&bridge{sidecar: bare.URL, trace: t.Logf})
	defer front.Close()
	_, answer, err := websocket.Dial(t.Context(), front.URL, nil)
	if err == nil || answer == nil || answer.StatusCode != http.StatusBadGateway {
		t.Fatalf("dial: %v, %v; want 502", answer, err)
	}
}

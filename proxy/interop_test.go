package proxy

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"

	"github.com/wsresilience/wsresilience/internal/keyring"
	"github.com/wsresilience/wsresilience/internal/proxytest"
	"github.com/wsresilience/wsresilience/internal/transport"
)

// startServer runs a proxy in front of app on loopback and returns its
// address.
func startServer(t testing.TB, app string, change func(*Config)) (*Server, string) {
	t.Helper()
	ring, err := keyring.New([][]byte{keyring.Generate()})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Upstream: app, Tokens: ring, Driver: transport.Driver(proxytest.Driver(t))}
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg)
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
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return s, l.Addr().String()
}

// coderEcho is an echo app by coder/websocket.
func coderEcho(mode coder.CompressionMode) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := coder.Accept(w, r, &coder.AcceptOptions{Subprotocols: []string{"echo"}, CompressionMode: mode, InsecureSkipVerify: true})
		if err != nil {
			return
		}
		defer c.CloseNow()
		c.SetReadLimit(-1)
		for {
			typ, p, err := c.Read(r.Context())
			if err != nil {
				return
			}
			if string(p) == "bye" {
				c.Close(4321, "as you wish")
				return
			}
			if err := c.Write(r.Context(), typ, p); err != nil {
				return
			}
		}
	})
}

// gorillaEcho is an echo app by gorilla/websocket.
func gorillaEcho(compress bool) http.Handler {
	up := gorilla.Upgrader{Subprotocols: []string{"echo"}, EnableCompression: compress, CheckOrigin: func(*http.Request) bool { return true }}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		for {
			typ, p, err := c.ReadMessage()
			if err != nil {
				return
			}
			if string(p) == "bye" {
				_ = c.WriteMessage(gorilla.CloseMessage, gorilla.FormatCloseMessage(4321, "as you wish"))
				_, _, _ = c.ReadMessage()
				return
			}
			if err := c.WriteMessage(typ, p); err != nil {
				return
			}
		}
	})
}

var payloads = []string{
	"", "a", strings.Repeat("b", 125), strings.Repeat("c", 126), strings.Repeat("d", 65535),
	strings.Repeat("efgh", 1<<16), "\xffWSR\x02 not one of ours", "\xffWSR",
}

// Parties that we did not write, as client and as app, plain and compressed.
func TestInteropPlain(t *testing.T) {
	apps := map[string]http.Handler{
		"coder":            coderEcho(coder.CompressionDisabled),
		"coder takeover":   coderEcho(coder.CompressionContextTakeover),
		"gorilla":          gorillaEcho(false),
		"gorilla compress": gorillaEcho(true),
	}
	for name, app := range apps {
		backend := httptest.NewServer(app)
		defer backend.Close()
		_, addr := startServer(t, backend.URL, nil)
		for _, mode := range []coder.CompressionMode{coder.CompressionDisabled, coder.CompressionContextTakeover, coder.CompressionNoContextTakeover} {
			t.Run(fmt.Sprintf("coder %d to %s", mode, name), func(t *testing.T) { coderClient(t, addr, mode) })
		}
		for _, compress := range []bool{false, true} {
			t.Run(fmt.Sprintf("gorilla %v to %s", compress, name), func(t *testing.T) { gorillaClient(t, addr, compress) })
		}
	}
}

func coderClient(t *testing.T, addr string, mode coder.CompressionMode) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c, _, err := coder.Dial(ctx, "ws://"+addr+"/", &coder.DialOptions{Subprotocols: []string{"echo"}, CompressionMode: mode})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	if c.Subprotocol() != "echo" {
		t.Fatalf("subprotocol %q", c.Subprotocol())
	}
	c.SetReadLimit(-1)
	for _, p := range payloads {
		if err := c.Write(ctx, coder.MessageBinary, []byte(p)); err != nil {
			t.Fatal(err)
		}
		typ, got, err := c.Read(ctx)
		if err != nil || typ != coder.MessageBinary || string(got) != p {
			t.Fatalf("%d bytes came back as %v, %d bytes, %v", len(p), typ, len(got), err)
		}
	}
	if err := c.Write(ctx, coder.MessageText, []byte("bye")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Read(ctx); coder.CloseStatus(err) != 4321 || !strings.Contains(err.Error(), "as you wish") {
		t.Fatalf("the app's close arrived as %v", err)
	}
}

func gorillaClient(t *testing.T, addr string, compress bool) {
	d := gorilla.Dialer{Subprotocols: []string{"echo"}, EnableCompression: compress}
	c, resp, err := d.DialContext(t.Context(), "ws://"+addr+"/", nil)
	if err != nil {
		t.Fatal(err, resp)
	}
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	for _, p := range payloads {
		w, err := c.NextWriter(gorilla.BinaryMessage)
		if err != nil {
			t.Fatal(err)
		}
		for rest := p; len(rest) > 0; { // in fragments
			n := min(len(rest), 5000)
			if _, err := io.WriteString(w, rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		typ, got, err := c.ReadMessage()
		if err != nil || typ != gorilla.BinaryMessage || string(got) != p {
			t.Fatalf("%d bytes came back as %v, %d bytes, %v", len(p), typ, len(got), err)
		}
	}
	if err := c.WriteMessage(gorilla.TextMessage, []byte("bye")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.ReadMessage(); !gorilla.IsCloseError(err, 4321) {
		t.Fatalf("the app's close arrived as %v", err)
	}
}

package endtoend

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/internal/faultlink"
	"github.com/wsresilience/wsresilience/internal/lab/certs"
	"github.com/wsresilience/wsresilience/proxy"
)

var payloads = []string{
	"", "a", strings.Repeat("b", 125), strings.Repeat("c", 126), strings.Repeat("d", 65535),
	strings.Repeat("efgh", 1<<17), "\xffWSR\x02 looks like one of ours", "\xffWSR",
}

// echo sends every payload, cuts the network in between, and wants each back
// once.
func echo(t *testing.T, c *client.Conn, cut func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for i, p := range payloads {
		if err := c.Write(ctx, client.MessageBinary, []byte(p)); err != nil {
			t.Fatal(err)
		}
		if i%2 == 1 {
			cut()
		}
		typ, got, err := c.Read(ctx)
		if err != nil || typ != client.MessageBinary || string(got) != p {
			t.Fatalf("%d bytes came back as %v, %d bytes, %v", len(p), typ, len(got), err)
		}
	}
	if err := c.Close(1000, "done"); err != nil {
		t.Fatalf("close: %v", err)
	}
}

// The Go client with apps that we did not write, through cuts.
func TestEcho(t *testing.T) {
	t.Parallel()
	eachApp(t, func(t *testing.T, app http.Handler) {
		backend := httptest.NewServer(app)
		defer backend.Close()
		s := newStageAt(t, backend.URL, nil)
		c := s.dial(t, &client.Options{Subprotocols: []string{"chat", "echo"}})
		if got := c.Subprotocol(); got != "echo" {
			t.Fatalf("subprotocol %q, want the app's", got)
		}
		echo(t, c, func() { s.link.Cut(faultlink.RST) })
	})
}

// The app listens on a Unix socket.
func TestEchoOverUnixSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "app.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	backend := &http.Server{Handler: http.HandlerFunc(coderEcho)}
	go backend.Serve(l)
	defer backend.Close()
	s := newStageAt(t, "unix:"+path, nil)
	echo(t, s.dial(t, nil), func() { s.link.Cut(faultlink.FIN) })
}

// The listener speaks TLS: the transport is the one of any net.Conn.
func TestEchoOverTLS(t *testing.T) {
	t.Parallel()
	backend := httptest.NewServer(http.HandlerFunc(gorillaEcho))
	defer backend.Close()
	pair := certs.SelfSigned("localhost")
	certFile, keyFile, err := pair.Write(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := newStageAt(t, backend.URL, func(c *proxy.Config) { c.TLSCert, c.TLSKey = certFile, keyFile })
	c, _, err := client.Dial(t.Context(), "wss://"+s.link.Addr()+"/", &client.Options{TLSConfig: &tls.Config{RootCAs: pair.Pool(), ServerName: "localhost"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	if !c.Resilient() {
		t.Fatal("the session is not resilient")
	}
	echo(t, c, func() { s.link.Cut(faultlink.RST) })
}

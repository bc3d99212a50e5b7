package doctor

import (
	"crypto/tls"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/wsresilience/wsresilience/internal/lab/certs"
	"github.com/wsresilience/wsresilience/proxy"
)

// at is a URL at an address.
func at(addr string, edits ...func(*Options)) Options {
	o := quick("ws://" + addr + "/ws")
	for _, e := range edits {
		e(&o)
	}
	return o
}

// listening makes a stage of a listener at an address of its own.
func listening(t *testing.T, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func echoing(o *Options) { o.Echo = true }

var sound = []struct {
	name  string
	stage func(*testing.T) Options
}{
	{"plain echo", func(t *testing.T) Options { return at(plainApp(t)) }},
	{"plain echo, asked", func(t *testing.T) Options { return at(plainApp(t), echoing) }},
	{"compressed echo", func(t *testing.T) Options {
		return at(serve(t, &app{options: websocket.AcceptOptions{CompressionMode: websocket.CompressionContextTakeover}}), func(o *Options) { o.Echo, o.Compression = true, true })
	}},
	{"app that greets, asked", func(t *testing.T) Options { return at(serve(t, &app{greet: "hello"}), echoing) }},
	{"app that takes its time, asked", func(t *testing.T) Options { return at(serve(t, &app{pause: 8 * time.Millisecond}), echoing) }},
	{"app with a subprotocol", func(t *testing.T) Options {
		return at(serve(t, &app{options: websocket.AcceptOptions{Subprotocols: []string{"chat"}}}), func(o *Options) { o.Subprotocols = []string{"other", "chat"} })
	}},
	{"app that greets", func(t *testing.T) Options { return at(serve(t, &app{greet: "hello"})) }},
	{"app that wants a login", func(t *testing.T) Options { return at(serve(t, &app{closes: time.Second})) }},
	{"sidecar", func(t *testing.T) Options { return at(withSidecar(t), func(o *Options) { o.Sidecar = true }) }},
	{"sidecar, asked for an echo", func(t *testing.T) Options { return at(withSidecar(t), echoing) }},
	{"sidecar and an app with a subprotocol", func(t *testing.T) Options {
		return at(startSidecar(t, serve(t, &app{options: websocket.AcceptOptions{Subprotocols: []string{"chat"}}})), func(o *Options) { o.Subprotocols = []string{"chat"} })
	}},
	{"sidecar and an app that greets", func(t *testing.T) Options { return at(startSidecar(t, serve(t, &app{greet: "hello"}))) }},
	{"sidecar and an app that wants a login", func(t *testing.T) Options { return at(startSidecar(t, serve(t, &app{closes: time.Second}))) }},
	{"sidecar with small messages", func(t *testing.T) Options {
		return at(startSidecar(t, plainApp(t), func(c *proxy.Config) { c.MaxMessage = 8 << 10 }))
	}},
	{"sidecar and compression", func(t *testing.T) Options {
		return at(startSidecar(t, serve(t, &app{options: websocket.AcceptOptions{CompressionMode: websocket.CompressionNoContextTakeover}})), echoing)
	}},
	{"events that come one by one", func(t *testing.T) Options {
		return at(serve(t, events(new(app))), func(o *Options) { o.Stream = "/events" })
	}},
	{"one proxy", middle{}.app},
	{"two proxies and a sidecar", func(t *testing.T) Options { return at(middle{}.start(t, middle{}.start(t, withSidecar(t)))) }},
	{"a far app", middle{wait: 150 * time.Millisecond, down: late(20 * time.Millisecond)}.app},
	{"TLS", func(t *testing.T) Options {
		a := certs.NewAuthority()
		o := quick("wss://" + secured(t, a.Issue("127.0.0.1")) + "/ws")
		o.Roots, o.Issuer = a.Pool(), "test authority"
		return o
	}},
	{"TLS and HTTP/2 beside HTTP/1.1", func(t *testing.T) Options {
		a := certs.NewAuthority()
		s := &http.Server{Handler: new(app), TLSConfig: &tls.Config{Certificates: []tls.Certificate{a.Issue("127.0.0.1").TLS()}}}
		l := listening(t, "tcp", "127.0.0.1:0")
		go func() { _ = s.ServeTLS(l, "", "") }()
		t.Cleanup(func() { s.Close() })
		o := quick("wss://" + l.Addr().String() + "/ws")
		o.Roots = a.Pool()
		return o
	}},
	{"a certificate that the user knows to be bad", func(t *testing.T) Options {
		o := quick("wss://" + secured(t, certs.SelfSigned("127.0.0.1")) + "/ws")
		o.Insecure = true
		return o
	}},
	{"a login at each handshake", func(t *testing.T) Options {
		a := new(app)
		return at(serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if user, password, _ := r.BasicAuth(); user != "u" || password != "p" || r.Header.Get("X-Tenant") != "t" {
				http.Error(w, "who are you?", http.StatusUnauthorized)
				return
			}
			a.ServeHTTP(w, r)
		})), func(o *Options) {
			o.URL = strings.Replace(o.URL, "ws://", "ws://u:p@", 1)
			o.Header = http.Header{"X-Tenant": {"t"}}
		})
	}},
	{"TLS at a sidecar, by name", func(t *testing.T) Options {
		a := certs.NewAuthority()
		l := tls.NewListener(listening(t, "tcp", "127.0.0.1:0"), &tls.Config{Certificates: []tls.Certificate{a.Issue("app.example").TLS()}})
		addr := serveSidecar(t, l, sidecarConfig(t, plainApp(t)))
		o := quick("wss://app.example/ws?token=x")
		o.Roots, o.Resolve = a.Pool(), []string{addr}
		return o
	}},
	{"IPv6", func(t *testing.T) Options {
		return at(middle{address: "[::1]:0"}.start(t, plainApp(t)))
	}},
	{"IPv6 and a sidecar", func(t *testing.T) Options {
		return at(serveSidecar(t, listening(t, "tcp", "[::1]:0"), sidecarConfig(t, plainApp(t))))
	}},
	{"localhost on one address", func(t *testing.T) Options {
		_, port, err := net.SplitHostPort(plainApp(t))
		if err != nil {
			t.Fatal(err)
		}
		return at("localhost:" + port)
	}},
	{"two addresses", func(t *testing.T) Options {
		return at("app.example", func(o *Options) { o.Resolve = []string{plainApp(t), plainApp(t)} })
	}},
	{"Unix socket", func(t *testing.T) Options {
		file := filepath.Join(t.TempDir(), "s")
		middle{network: "unix", address: file}.start(t, plainApp(t))
		return at("app.example", func(o *Options) { o.Unix = file })
	}},
	{"a message that is answered", func(t *testing.T) Options {
		return at(plainApp(t), func(o *Options) { o.Message = "hello" })
	}},
	{"directly the same", func(t *testing.T) Options {
		addr := withSidecar(t)
		return at(middle{}.start(t, addr), func(o *Options) { o.Direct = "ws://" + addr + "/ws" })
	}},
}

// TestSound: doctor finds nothing where nothing is wrong.
func TestSound(t *testing.T) {
	t.Parallel()
	for _, c := range sound {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := examine(t, c.stage(t))
			if len(r.Bad()) > 0 {
				t.Errorf("a false alarm:\n%s", said(r))
			}
			if text := said(r); strings.Contains(text, "u:p@") || strings.Contains(text, "token=") {
				t.Errorf("a secret of the URL is told:\n%s", text)
			}
		})
	}
}

// TestNothingReachesTheApp: without -echo and -message no message does.
func TestNothingReachesTheApp(t *testing.T) {
	t.Parallel()
	a := new(app)
	addr := serve(t, a)
	for _, o := range []Options{at(addr), at(startSidecar(t, addr))} {
		examine(t, o)
	}
	if heard := a.messages(); len(heard) > 0 {
		t.Errorf("the app heard %q", heard)
	}
}

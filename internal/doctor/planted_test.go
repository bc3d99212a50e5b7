package doctor

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/wsresilience/wsresilience/internal/doctor/diagnosis"
	"github.com/wsresilience/wsresilience/internal/lab/certs"
	"github.com/wsresilience/wsresilience/proxy"
)

// Stages of the tables.

func plainApp(t *testing.T) string    { return serve(t, new(app)) }
func withSidecar(t *testing.T) string { return startSidecar(t, plainApp(t)) }

// behind is a faulty proxy in front of an app.
func (m middle) app(t *testing.T) Options {
	o := quick("ws://" + m.start(t, plainApp(t)) + "/ws")
	if m.idle > 0 || m.life > 0 {
		o.Idle = 2 * time.Second
	}
	return o
}

// sidecar is one in front of a sidecar.
func (m middle) sidecar(t *testing.T) Options {
	return quick("ws://" + m.start(t, withSidecar(t)) + "/ws")
}

// secured is TLS with a certificate.
func secured(t *testing.T, pair certs.Pair) string {
	return middle{tls: &tls.Config{Certificates: []tls.Certificate{pair.TLS()}, NextProtos: []string{"http/1.1"}}}.start(t, plainApp(t))
}

// A plant is a fault, and what doctor should say of it.
type plant struct {
	name  string
	stage func(*testing.T) Options
	want  string // an ID, the beginning of some with a - at the end, or any
	blame diagnosis.Party
}

var planted = []plant{
	{"Upgrade is dropped, app", middle{request: drop("Upgrade")}.app, "upgrade-dropped", diagnosis.Path},
	{"Upgrade is dropped, sidecar", middle{request: drop("Upgrade")}.sidecar, "upgrade-dropped", diagnosis.Path},
	{"Connection: close", middle{request: set("Connection", "close")}.app, "upgrade-dropped", diagnosis.Path},
	{"HTTP/1.0 towards the app", middle{request: change("HTTP/1.1", "HTTP/1.0")}.app, "http-version", diagnosis.Path},
	{"HTTP/1.0 towards the sidecar", middle{request: change("HTTP/1.1", "HTTP/1.0")}.sidecar, "http-version", diagnosis.Path},
	{"another Host", middle{request: set("Host", "my-app")}.app, "origin", diagnosis.Path},
	{"the Origin is not allowed", func(t *testing.T) Options {
		o := quick("ws://" + plainApp(t) + "/ws")
		o.Origin = "https://elsewhere.example"
		return o
	}, "origin", diagnosis.Client},
	{"offers of subprotocols are dropped", middle{request: drop("Sec-WebSocket-Protocol")}.sidecar, "offer-stripped", diagnosis.Path},
	{"the chosen subprotocol is dropped", middle{answer: drop("Sec-WebSocket-Protocol")}.sidecar, "answer-stripped", diagnosis.Path},
	{"an app's subprotocol is dropped", func(t *testing.T) Options {
		a := &app{options: websocket.AcceptOptions{Subprotocols: []string{"chat"}}}
		o := quick("ws://" + middle{request: drop("Sec-WebSocket-Protocol")}.start(t, serve(t, a)) + "/ws")
		o.Subprotocols = []string{"chat"}
		return o
	}, "subprotocol-lost", diagnosis.Path},
	{"compression is dropped", func(t *testing.T) Options {
		addr := serve(t, &app{options: websocket.AcceptOptions{CompressionMode: websocket.CompressionNoContextTakeover}})
		o := quick("ws://" + middle{request: drop("Sec-WebSocket-Extensions")}.start(t, addr) + "/ws")
		o.Direct = "ws://" + addr + "/ws"
		o.Origin = "none"
		return o
	}, "compression-lost", diagnosis.Path},
	{"Sec-WebSocket-Accept is dropped", middle{answer: drop("Sec-WebSocket-Accept")}.app, "bad-switch", diagnosis.Path},
	{"Connection: close in the answer", middle{answer: set("Connection", "close")}.app, "bad-switch", diagnosis.Path},
	{"frames are held back towards the app", middle{up: holding(4 << 10)}.app, "held-back", diagnosis.Path},
	{"frames are held back towards the client", middle{down: holding(4 << 10)}.app, "held-back", diagnosis.Path},
	{"frames are late", middle{down: late(200 * time.Millisecond)}.app, "frames-", diagnosis.Path},
	{"answers of HTTP are held back", func(t *testing.T) Options {
		o := quick("ws://" + serve(t, gathered(events(new(app)))) + "/ws")
		o.Stream = "/events"
		return o
	}, "stream-held", diagnosis.Path},
	{"a bit flips", middle{down: corrupt}.app, "frames-changed", diagnosis.Path},
	{"idle timeout", middle{idle: 1200 * time.Millisecond}.app, "idle-cut", diagnosis.Path},
	{"idle flows vanish", middle{idle: 1200 * time.Millisecond, mute: true}.app, "idle-dropped", diagnosis.Path},
	{"age limit", middle{life: 1500 * time.Millisecond}.app, "age-limit", diagnosis.Path},
	{"cut after 40 KiB", middle{up: upTo(40 << 10)}.app, "bytes-limited", diagnosis.Path},
	{"a gateway answers pings, sidecar", func(t *testing.T) Options {
		return quick("ws://" + gateway(0, true, false)(t, withSidecar(t)) + "/ws")
	}, "pings-answered", diagnosis.Path},
	{"a gateway answers pings, echo", func(t *testing.T) Options {
		o := quick("ws://" + gateway(0, true, false)(t, plainApp(t)) + "/ws")
		o.Echo = true
		return o
	}, "pings-answered", diagnosis.Path},
	{"a gateway answers pings, and no echo is asked", func(t *testing.T) Options {
		return quick("ws://" + gateway(0, true, false)(t, plainApp(t)) + "/ws")
	}, "pings-answered", diagnosis.Path},
	{"a gateway ends WebSockets itself, sidecar", func(t *testing.T) Options {
		return quick("ws://" + terminating(t, withSidecar(t)) + "/ws")
	}, "pings-answered", diagnosis.Path},
	{"another path of an app with a sidecar", func(t *testing.T) Options {
		mux := http.NewServeMux()
		mux.Handle("/chat", new(app))
		return quick("ws://" + startSidecar(t, serve(t, mux)) + "/ws")
	}, "no-websocket-here", diagnosis.Client},
	{"few sessions a client at the sidecar", func(t *testing.T) Options {
		return quick("ws://" + startSidecar(t, plainApp(t), func(c *proxy.Config) { c.MaxSessionsPerClient = 1 }) + "/ws")
	}, "", diagnosis.Sidecar},
	{"a gateway drops pings", func(t *testing.T) Options {
		return quick("ws://" + gateway(0, false, true)(t, plainApp(t)) + "/ws")
	}, "pings-unanswered", diagnosis.Path},
	{"a gateway takes 20 KiB, sidecar", func(t *testing.T) Options {
		return quick("ws://" + gateway(20<<10, false, false)(t, withSidecar(t)) + "/ws")
	}, "messages-limited", diagnosis.Path},
	{"a gateway takes 20 KiB, echo", func(t *testing.T) Options {
		o := quick("ws://" + gateway(20<<10, false, false)(t, plainApp(t)) + "/ws")
		o.Echo = true
		return o
	}, "messages-limited", diagnosis.Path},
	{"compression is dropped from the answer", func(t *testing.T) Options {
		addr := serve(t, &app{options: websocket.AcceptOptions{CompressionMode: websocket.CompressionNoContextTakeover, CompressionThreshold: 1}, greet: "hello, hello, hello"})
		return quick("ws://" + middle{answer: drop("Sec-WebSocket-Extensions")}.start(t, addr) + "/ws")
	}, "compression-broken", diagnosis.Path},
	{"few handshakes are taken", func(t *testing.T) Options {
		var n atomic.Int32
		addr := plainApp(t)
		return quick("ws://" + raw(t, func(c net.Conn) {
			if n.Add(1) > 6 {
				_, _ = http.ReadRequest(bufio.NewReader(c))
				_, _ = io.WriteString(c, page(429, "", ""))
				return
			}
			middle{}.serve(c, addr)
		}) + "/ws")
	}, "fails-at-times", diagnosis.Path},
	{"one of three backends is bad", func(t *testing.T) Options {
		var n atomic.Int32
		addr := plainApp(t)
		return quick("ws://" + raw(t, func(c net.Conn) {
			if n.Add(1)%3 == 0 {
				_, _ = http.ReadRequest(bufio.NewReader(c))
				_, _ = io.WriteString(c, page(502, "", ""))
				return
			}
			middle{}.serve(c, addr)
		}) + "/ws")
	}, "", diagnosis.Path},
	{"a certificate of the client is wanted", func(t *testing.T) Options {
		a := certs.NewAuthority()
		o := quick("wss://" + middle{tls: &tls.Config{Certificates: []tls.Certificate{a.Issue("127.0.0.1").TLS()}, ClientAuth: tls.RequireAnyClientCert}}.start(t, plainApp(t)) + "/ws")
		o.Roots = a.Pool()
		return o
	}, "tls-refused", diagnosis.Client},
	{"a server of Go with HTTP/2 only", func(t *testing.T) Options {
		a := certs.NewAuthority()
		s := &http.Server{Handler: new(app), Protocols: new(http.Protocols), TLSConfig: &tls.Config{Certificates: []tls.Certificate{a.Issue("127.0.0.1").TLS()}}}
		s.Protocols.SetHTTP2(true)
		l := listening(t, "tcp", "127.0.0.1:0")
		go func() { _ = s.ServeTLS(l, "", "") }()
		t.Cleanup(func() { s.Close() })
		o := quick("wss://" + l.Addr().String() + "/ws")
		o.Roots = a.Pool()
		return o
	}, "http2-only", diagnosis.Path},
	{"a server of Go with HTTP/2 only, without TLS", func(t *testing.T) Options {
		s := &http.Server{Handler: new(app), Protocols: new(http.Protocols)}
		s.Protocols.SetUnencryptedHTTP2(true)
		l := listening(t, "tcp", "127.0.0.1:0")
		go func() { _ = s.Serve(l) }()
		t.Cleanup(func() { s.Close() })
		return quick("ws://" + l.Addr().String() + "/ws")
	}, "http2-only", diagnosis.Path},
	{"a proxy that drops cookies", func(t *testing.T) Options {
		a := new(app)
		addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Cookie") == "" {
				http.Error(w, "who are you?", http.StatusUnauthorized)
				return
			}
			a.ServeHTTP(w, r)
		}))
		o := quick("ws://" + middle{request: drop("Cookie")}.start(t, addr) + "/ws")
		o.Header = http.Header{"Cookie": {"a=b"}}
		return o
	}, "authentication", diagnosis.Path},
	{"small header buffers", func(t *testing.T) Options {
		a := new(app)
		return quick("ws://" + serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for _, v := range r.Header {
				if len(v[0]) > 1000 {
					http.Error(w, "Request Header Or Cookie Too Large", http.StatusBadRequest)
					return
				}
			}
			a.ServeHTTP(w, r)
		})) + "/ws")
	}, "headers-short", diagnosis.Path},
	{"small header buffers, sidecar", middle{request: func(head string) string {
		if len(head) > 1200 {
			return ""
		}
		return head
	}}.sidecar, "resume-headers", diagnosis.Path},
	{"redirect to https", func(t *testing.T) Options {
		return quick("ws://" + canned(t, page(301, "Location: https://app.example/ws\r\n", "")) + "/ws")
	}, "redirect", diagnosis.Path},
	{"redirect to a slash", func(t *testing.T) Options {
		return quick("ws://" + canned(t, page(301, "Location: /ws/\r\n", "")) + "/ws")
	}, "redirect", diagnosis.Path},
	{"Basic authentication", func(t *testing.T) Options {
		return quick("ws://" + canned(t, page(401, "WWW-Authenticate: Basic realm=\"x\"\r\n", "")) + "/ws")
	}, "authentication", diagnosis.Client},
	{"a home page", func(t *testing.T) Options {
		return quick("ws://" + canned(t, page(200, "Content-Type: text/html\r\n", "<html>hello</html>")) + "/ws")
	}, "upgrade-dropped", diagnosis.Path},
	{"502 of nginx", func(t *testing.T) Options {
		return quick("ws://" + canned(t, page(502, "Server: nginx\r\n", "<center>nginx</center>")) + "/ws")
	}, "bad-gateway", diagnosis.Path},
	{"the app is down behind a sidecar", func(t *testing.T) Options {
		return quick("ws://" + startSidecar(t, "127.0.0.1:1", func(c *proxy.Config) { c.HandshakeTimeout = time.Second }) + "/ws")
	}, "sidecar-refused", diagnosis.App},
	{"nobody answers", func(t *testing.T) Options {
		return quick("ws://" + raw(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }) + "/ws")
	}, "no-answer", diagnosis.Path},
	{"cut at the handshake", func(t *testing.T) Options {
		return quick("ws://" + raw(t, func(c net.Conn) { _, _ = c.Read(make([]byte, 4096)); reset(c) }) + "/ws")
	}, "handshake-cut", diagnosis.Path},
	{"nobody listens", func(*testing.T) Options { return quick("ws://127.0.0.1:1/ws") }, "refused", diagnosis.Path},
	{"HTTP/2 only", func(t *testing.T) Options {
		return quick("ws://" + raw(t, func(c net.Conn) {
			_, _ = c.Write([]byte("\x00\x00\x00\x04\x00\x00\x00\x00\x00"))
			_, _ = io.Copy(io.Discard, c)
		}) + "/ws")
	}, "http2-only", diagnosis.Path},
	{"HTTP/2 only, by ALPN", func(t *testing.T) Options {
		a := certs.NewAuthority()
		// Go's server falls back to HTTP/1.1 where its list has h2.
		l := middle{tls: &tls.Config{Certificates: []tls.Certificate{a.Issue("127.0.0.1").TLS()}, NextProtos: []string{"h3"}}}.start(t, plainApp(t))
		o := quick("wss://" + l + "/ws")
		o.Roots = a.Pool()
		return o
	}, "http2-only", diagnosis.Path},
	{"expired certificate", func(t *testing.T) Options {
		a := certs.NewAuthority()
		o := quick("wss://" + secured(t, a.IssueUntil(time.Now().Add(-time.Hour), "127.0.0.1")) + "/ws")
		o.Roots = a.Pool()
		return o
	}, "certificate-expired", diagnosis.Path},
	{"certificate of another name", func(t *testing.T) Options {
		a := certs.NewAuthority()
		o := quick("wss://" + secured(t, a.Issue("other.example")) + "/ws")
		o.Roots = a.Pool()
		return o
	}, "certificate-name", diagnosis.Path},
	{"self-signed certificate", func(t *testing.T) Options {
		return quick("wss://" + secured(t, certs.SelfSigned("127.0.0.1")) + "/ws")
	}, "certificate-self-signed", diagnosis.Path},
	{"unknown authority", func(t *testing.T) Options {
		return quick("wss://" + secured(t, certs.NewAuthority().Issue("127.0.0.1")) + "/ws")
	}, "certificate-authority", diagnosis.Path},
	{"another issuer", func(t *testing.T) Options {
		a := certs.NewAuthority()
		o := quick("wss://" + secured(t, a.Issue("127.0.0.1")) + "/ws")
		o.Roots, o.Issuer = a.Pool(), "Let's Encrypt"
		return o
	}, "issuer", diagnosis.Path},
	{"wss to a plain port", func(t *testing.T) Options { return quick("wss://" + plainApp(t) + "/ws") }, "not-tls", diagnosis.Path},
	{"one of two addresses is dead", func(t *testing.T) Options {
		o := quick("ws://app.example/ws")
		o.Resolve = []string{plainApp(t), "127.0.0.1:1"}
		return o
	}, "address-dead", diagnosis.DNS},
	{"addresses differ", func(t *testing.T) Options {
		o := quick("ws://app.example/ws")
		o.Resolve = []string{plainApp(t), canned(t, page(404, "", ""))}
		return o
	}, "addresses-differ", diagnosis.Path},
	{"a clock is off", middle{answer: set("Date", time.Now().Add(-time.Minute).UTC().Format(http.TimeFormat))}.app, "clock", diagnosis.Client},
	{"sidecar without this path", func(t *testing.T) Options {
		return quick("ws://" + startSidecar(t, plainApp(t), func(c *proxy.Config) { c.Resilient = func(p string) bool { return p == "/other" } }) + "/ws")
	}, "path-without-sessions", diagnosis.Sidecar},
	{"two pods without a common journal", func(t *testing.T) Options {
		var n atomic.Int32
		pods := []string{withSidecar(t), withSidecar(t)}
		return quick("ws://" + raw(t, func(c net.Conn) { middle{}.serve(c, pods[n.Add(1)%2]) }) + "/ws")
	}, "resume-", diagnosis.Sidecar},
}

// TestPlanted: doctor names the fault, and who is to blame.
func TestPlanted(t *testing.T) {
	t.Parallel()
	for _, c := range planted {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.check(t)
		})
	}
}

func (c *plant) check(t *testing.T) {
	r := examine(t, c.stage(t))
	i := slices.IndexFunc(r.Findings, func(f diagnosis.Finding) bool {
		return f.Severity != diagnosis.Note && (f.ID == c.want || strings.HasSuffix(c.want, "-") && strings.HasPrefix(f.ID, c.want) || c.want == "")
	})
	if i < 0 || !slices.Contains(r.Findings[i].Blame, c.blame) {
		t.Errorf("want %s, and %s to blame:\n%s", c.want, c.blame, said(r))
	}
	if n := len(r.Bad()); n > 2 && c.want != "" {
		t.Errorf("%d findings for one fault:\n%s", n, said(r))
	}
}

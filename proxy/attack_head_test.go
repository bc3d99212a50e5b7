package proxy

import (
	"errors"
	"github.com/wsresilience/wsresilience/internal/lab/certs"
	"github.com/wsresilience/wsresilience/internal/passthrough"
	"github.com/wsresilience/wsresilience/internal/proxytest"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

func headAttacks() []attack {
	return []attack{
		{"H23", drippedHeads},
		{"H26", foreignOrigins},
		{"H29", halfHandshakes},
	}
}

// shortHeads makes the time for a head short; that it is headTimeout otherwise
// is looked at here.
func shortHeads(t *testing.T) func(*Server) {
	return func(s *Server) {
		cfg := s.passthroughConfig()
		if cfg.HeadTimeout != headTimeout || s.http.ReadHeaderTimeout != headTimeout || headTimeout > 10*time.Second {
			t.Errorf("a head may take %v, %v", cfg.HeadTimeout, s.http.ReadHeaderTimeout)
		}
		cfg.HeadTimeout = 400 * time.Millisecond
		s.passthrough = passthrough.New(cfg)
	}
}

// wantAllClosed waits until the other side has closed each connection.
func wantAllClosed(t *testing.T, conns []net.Conn) {
	t.Helper()
	for _, c := range conns {
		_ = c.SetReadDeadline(time.Now().Add(attackPatience))
		if _, err := io.Copy(io.Discard, c); err != nil {
			if late, ok := errors.AsType[net.Error](err); ok && late.Timeout() {
				t.Fatal("a connection without a whole head stays open")
			}
		}
		c.Close()
	}
}

// openMany opens connections that begin with the same bytes.
func (sc *scene) openMany(n int, begin string) (list []net.Conn) {
	sc.t.Helper()
	for range n {
		c, err := net.Dial("tcp", sc.addr)
		if err != nil {
			sc.t.Fatal(err)
		}
		sc.t.Cleanup(func() { c.Close() })
		_, _ = io.WriteString(c, begin)
		list = append(list, c)
	}
	return list
}

// drippedHeads: the time counts for the whole head, however it drips, and
// the others notice nothing.
func drippedHeads(t *testing.T) {
	sc := setScene(t, nil, shortHeads(t))
	before := runtime.NumGoroutine()
	conns := sc.openMany(200, "GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ")
	for range 8 {
		time.Sleep(50 * time.Millisecond) // a head that drips, over a real socket
		for _, c := range conns {
			_, _ = c.Write([]byte("a"))
		}
		for _, p := range sc.others {
			p.echo("meanwhile")
		}
	}
	wantAllClosed(t, conns)
	eventually(t, "goroutines end", func() bool { return runtime.NumGoroutine() <= before+4 })
	if n := len(sc.app.all()); n != len(sc.others) {
		t.Errorf("the app saw %d connections", n)
	}
}

// halfHandshakes: connections that say nothing, or half a ClientHello, end at
// the same time.
func halfHandshakes(t *testing.T) {
	sc := setScene(t, nil, shortHeads(t))
	before := runtime.NumGoroutine()
	conns := sc.openMany(300, "")
	for _, p := range sc.others {
		p.echo("meanwhile")
	}
	wantAllClosed(t, conns)

	dir := t.TempDir()
	if _, _, err := certs.SelfSigned("app.example").Write(dir); err != nil {
		t.Fatal(err)
	}
	cfg := Config{Upstream: sc.app.url, Tokens: sc.ring, TLSCert: filepath.Join(dir, "tls.crt"), TLSKey: filepath.Join(dir, "tls.key")}
	_, addr := serveAttacked(t, cfg, shortHeads(t))
	secure := &scene{t: t, addr: addr}
	wantAllClosed(t, secure.openMany(100, "\x16\x03\x01\x02\x00\x01\x00"))
	eventually(t, "goroutines end", func() bool { return runtime.NumGoroutine() <= before+8 })
}

// foreignOrigins: the Origin reaches the app as it came, and its refusal
// comes back; a resume from another Origin is T07.
func foreignOrigins(t *testing.T) {
	sc := newScene(t, nil)
	origins := []string{"https://evil", "null", "https://good.evil.com", "https://good:443.", "HTTPS://GOOD"}
	for _, origin := range origins {
		for _, p := range []*testClient{sc.plain("/origin", "Origin: "+origin), sc.resilient("/origin", "Origin: "+origin)} {
			if got := sc.app.call("/origin").head["Origin"]; len(got) != 1 || got[0] != origin {
				t.Errorf("the app judges the origin %q, the client said %q", got, origin)
			}
			p.conn.Close()
		}
	}
	if p := sc.open("/origin", "wsr, wsr.v1", "Origin: a", "Origin: b"); p.resp.StatusCode != http.StatusBadRequest {
		t.Errorf("two origins: status %d", p.resp.StatusCode)
	}
	refuses := proxytest.NewRawApp(t, proxytest.AnswerText("HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nevil"))
	_, addr := serveAttacked(t, Config{Upstream: refuses.URL(), Tokens: sc.ring}, nil)
	for _, protocols := range []string{"", "wsr, wsr.v1"} {
		p := (&scene{t: t, addr: addr}).open("/", protocols, "Origin: https://evil")
		if body, _ := io.ReadAll(p.resp.Body); p.resp.StatusCode != http.StatusForbidden || string(body) != "evil" {
			t.Errorf("the app's refusal came as %d %q", p.resp.StatusCode, body)
		}
	}
}

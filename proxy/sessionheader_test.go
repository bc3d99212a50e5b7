package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/event"
)

// forgedSession is what a client may try to say of its session, in every spelling
// that an app could take for ours.
var forgedSession = []string{
	"Wsr-Session-Id: forged", "wsr-session-id: forged", "WSR-SESSION-EPOCH: 99", "Wsr_Session_Id: forged", "wsr-session_epoch: 99", "WSR_SESSION_EPOCH: 99",
	"X-Wsr-Session-Id: forged", "x_wsr_session_id: forged",
}

// wantSession checks what an app heard of its session: the id and the epoch, and
// nothing that a client forged.
func wantSession(t *testing.T, what string, head http.Header, id, epoch string) {
	t.Helper()
	if got := head.Values("Wsr-Session-Id"); id == "" && len(got) != 0 || id != "" && (len(got) != 1 || got[0] != id) {
		t.Errorf("%s: Wsr-Session-Id %q, want %q", what, got, id)
	}
	if got := head.Values("Wsr-Session-Epoch"); epoch == "" && len(got) != 0 || epoch != "" && (len(got) != 1 || got[0] != epoch) {
		t.Errorf("%s: Wsr-Session-Epoch %q, want %q", what, got, epoch)
	}
	for name, values := range head {
		if strings.Contains(name+strings.Join(values, " "), "forged") || slices.Contains(values, "99") {
			t.Errorf("%s: the app was told %s: %q", what, name, values)
		}
	}
}

// An app knows the session of each of its sockets: of the first, of the one that
// is made when it restarts, and of that of an adopter. Clients cannot say it.
func TestAppKnowsTheSession(t *testing.T) {
	sc := newScene(t, func(c *Config) { c.Adopt = func(bool, bool) bool { return true } })
	p := sc.resilient("/chat", forgedSession...)
	id := p.welcome.Session.String()
	wantSession(t, "the first socket", sc.app.call("/chat").head, id, "1")
	p.echo("mine")

	found, _ := sc.srv.sessions.find(p.welcome.Session, nil)
	<-found.handOver(event.HandOverDetached, 0)
	if _, how := sc.resume("/chat", p.welcome.Token, 1, 2, forgedSession...); how != "adopted" {
		t.Fatal(how)
	}
	wantSession(t, "the adopter's socket", sc.app.call("/chat").head, id, "2")

	sc.plain("/plain", forgedSession...)
	wantSession(t, "a plain client's socket", sc.app.call("/plain").head, "", "")
}

// An app that restarts hears of the same session, in the same epoch.
func TestAppKnowsTheSessionAfterItsRestart(t *testing.T) {
	heads := make(chan http.Header, 2)
	app := startedApp(t, "127.0.0.1:0", heads)
	sc := newScene(t, nil)
	_, addr := serveAttacked(t, Config{Upstream: "http://" + app.addr, Tokens: sc.ring, AppRetry: attackPatience, Adopt: func(bool, bool) bool { return true }}, nil)
	alone := &scene{t: t, addr: addr, app: sc.app}
	id := alone.resilient("/chat", forgedSession...).welcome.Session.String()
	wantSession(t, "the first socket", <-heads, id, "1")
	app.stop()
	startedApp(t, app.addr, heads)
	wantSession(t, "the socket after a restart", <-heads, id, "1")
}

// A stoppedApp is an app whose process can end.
type stoppedApp struct {
	addr string
	stop func()
}

func startedApp(t *testing.T, addr string, heads chan http.Header) stoppedApp {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var conns []net.Conn
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			go func() {
				r, err := http.ReadRequest(bufio.NewReader(conn))
				if err != nil {
					return // a probe
				}
				_, _ = io.WriteString(conn, witnessAnswer(r))
				heads <- r.Header
			}()
		}
	}()
	stop := sync.OnceFunc(func() {
		l.Close()
		mu.Lock()
		defer mu.Unlock()
		for _, c := range conns {
			_ = c.(*net.TCPConn).SetLinger(0)
			c.Close()
		}
	})
	t.Cleanup(stop)
	return stoppedApp{l.Addr().String(), stop}
}

// Requests of plain HTTP say nothing of a session either.
func TestForgedSessionInHTTP(t *testing.T) {
	heard := make(chan http.Header, 1)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	app := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { heard <- r.Header }), Protocols: protocols, ReadHeaderTimeout: attackPatience}
	go app.Serve(l)
	t.Cleanup(func() { app.Close() })
	sc := newScene(t, nil)
	_, addr := serveAttacked(t, Config{Upstream: "http://" + l.Addr().String(), Tokens: sc.ring}, nil)

	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(attackPatience))
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: app.example\r\n%s\r\n\r\n", strings.Join(forgedSession, "\r\n"))
	if _, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil {
		t.Fatal(err)
	}
	wantSession(t, "HTTP/1.1", <-heard, "", "")

	h2 := new(http.Protocols)
	h2.SetUnencryptedHTTP2(true)
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/", http.NoBody)
	for _, line := range forgedSession {
		name, value, _ := strings.Cut(line, ": ")
		r.Header[strings.ToLower(name)] = []string{value}
	}
	answer, err := (&http.Client{Transport: &http.Transport{Protocols: h2}}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	wantSession(t, "HTTP/2", <-heard, "", "")
}

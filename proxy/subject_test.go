package proxy

import (
	"bufio"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/clientaddr"
	"github.com/wsresilience/wsresilience/internal/http1"
)

// The client of a handshake is the same in whatever form the request is.
func TestClientOfHandshake(t *testing.T) {
	s := &Server{cfg: Config{TrustedProxies: clientaddr.Private()}}
	for _, c := range []struct{ peer, fields, want string }{
		{"203.0.113.7:80", "X-Forwarded-For: 198.51.100.1\r\n", "203.0.113.7"},
		{"10.1.2.3:80", "", "10.1.2.3"},
		{"10.1.2.3:80", "X-Forwarded-For: 192.0.2.1\r\nx-forwarded-for: 198.51.100.1, 10.0.0.7\r\n", "198.51.100.1"},
		{"10.1.2.3:80", "FORWARDED: for=198.51.100.1\r\n", "198.51.100.1"},
		{"10.1.2.3:80", "Forwarded: for=192.0.2.1\r\nX-Forwarded-For: 198.51.100.1\r\n", "10.1.2.3"},
		{"@", "X-Forwarded-For: 198.51.100.1\r\n", "invalid IP"},
	} {
		head := "GET / HTTP/1.1\r\nHost: a\r\n" + c.fields + "\r\n"
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head)))
		if err != nil {
			t.Fatal(err)
		}
		r.RemoteAddr = c.peer
		var raw http1.Request
		if err := raw.Parse([]byte(head)); err != nil {
			t.Fatal(err)
		}
		if got, plain := s.clientOf(r).String(), s.plainClient(&raw, peerAddr(c.peer)).String(); got != c.want || plain != c.want {
			t.Errorf("%s, %q: %s and %s, want %s", c.peer, c.fields, got, plain, c.want)
		}
	}
}

type peerAddr string

func (peerAddr) Network() string  { return "tcp" }
func (a peerAddr) String() string { return string(a) }

// subjects is an Observer that keeps who events are about, by what they say.
type subjects struct {
	mu  sync.Mutex
	all map[string]*event.Subject
}

func (s *subjects) Observe(e event.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all[e.String()] = e.Subject
}

func (s *subjects) of(what string) *event.Subject {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[what]
}

// Reports about a session say where its client came from: of a resumed one in
// its first handshake, of an adopted one in the handshake that adopted it, and of
// a refused one in what was refused.
func TestSubjectsOfReports(t *testing.T) {
	const first = "4bf92f3577b34da6a3ce929d0e0e4736"
	parent := func(trace string) string { return "traceparent: 00-" + trace + "-00f067aa0ba902b7-01" }
	const second, third = "5bf92f3577b34da6a3ce929d0e0e4736", "6bf92f3577b34da6a3ce929d0e0e4736"
	seen := &subjects{all: map[string]*event.Subject{}}
	sc := newScene(t, func(c *Config) {
		c.Observer, c.LogClient, c.TrustedProxies = seen, event.TellAddress, clientaddr.Private()
	})
	want := func(what, path, client, trace string, epoch uint32) {
		t.Helper()
		eventually(t, what, func() bool { return seen.of(what) != nil && seen.of(what).Trace().Trace() == trace })
		s := seen.of(what)
		if s.Path() != path || s.Client() != client || s.Epoch() != epoch || s.Trace().SpanID != [8]byte{0, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 2, 0xb7} || !s.Trace().Sampled() {
			t.Errorf("%s: path %q, client %q, epoch %d, %s", what, s.Path(), s.Client(), s.Epoch(), s.Trace())
		}
	}
	p := sc.resilient("/chat?ticket=hunter2", parent(first), "X-Forwarded-For: 198.51.100.1")
	want("began resilient", "/chat", "198.51.100.1", first, 1)
	p.echo("mine")
	p, _ = sc.resume("/chat", p.welcome.Token, 1, 2, parent(second), "X-Forwarded-For: 198.51.100.2")
	want("resumed", "/chat", "198.51.100.1", first, 1)
	if _, how := sc.resume("/elsewhere", p.welcome.Token, 1, 2, parent(third), "X-Forwarded-For: 198.51.100.3"); how != "reset token" {
		t.Errorf("elsewhere: %s", how)
	}
	want("reset token", "/elsewhere", "198.51.100.3", third, 1)
	found, _ := sc.srv.sessions.find(p.welcome.Session, nil)
	<-found.handOver(event.HandOverDetached, 0)
	want("ended resilient handed", "/chat", "198.51.100.1", first, 1)
	if _, how := sc.resume("/chat", p.welcome.Token, 1, 2, parent(third), "X-Forwarded-For: 198.51.100.3"); how != "adopted" {
		t.Errorf("adoption: %s", how)
	}
	want("began resilient", "/chat", "198.51.100.3", third, 2)
	sc.plain("/feed", parent(second), "X-Forwarded-For: 198.51.100.2").conn.Close()
	want("ended plain closed", "/feed", "198.51.100.2", second, 0)
}

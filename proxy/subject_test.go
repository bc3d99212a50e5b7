package proxy

import (
	"sync"
	"testing"

	"github.com/wsresilience/wsresilience/event"
)

func TestClientAddress(t *testing.T) {
	for _, c := range []struct {
		remote    string
		forwarded []string
		want      string
	}{
		{"203.0.113.7:80", nil, "203.0.113.7"},
		{"203.0.113.7:80", []string{"198.51.100.1"}, "203.0.113.7"}, // anybody can say that
		{"10.1.2.3:80", nil, "10.1.2.3"},
		{"10.1.2.3:80", []string{"198.51.100.1"}, "198.51.100.1"},
		{"10.1.2.3:80", []string{"192.0.2.1, 198.51.100.1"}, "198.51.100.1"}, // the first is the client's own word
		{"10.1.2.3:80", []string{"192.0.2.1", "198.51.100.1"}, "198.51.100.1"},
		{"127.0.0.6:80", []string{"198.51.100.1:4711"}, "198.51.100.1"},
		{"[fd00::1]:80", []string{"2001:db8::7"}, "2001:db8::7"},
		{"[fd00::1]:80", []string{"[2001:db8::7]"}, "2001:db8::7"},
		{"[fd00::1]:80", []string{"[2001:db8::7]:4711"}, "2001:db8::7"},
		{"[::ffff:100.64.0.1]:80", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		{"10.1.2.3:80", []string{"unknown"}, "10.1.2.3"},
		{"10.1.2.3:80", []string{"Bearer hunter2"}, "10.1.2.3"},
		{"10.1.2.3:80", []string{"198.51.100.1,"}, "10.1.2.3"},
		{"@", []string{"198.51.100.1"}, "invalid IP"},
	} {
		if got := clientAddress(c.remote, c.forwarded).String(); got != c.want {
			t.Errorf("%s for %q: %s, want %s", c.remote, c.forwarded, got, c.want)
		}
	}
}

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
	sc := newScene(t, func(c *Config) { c.Observer, c.LogClient = seen, event.TellAddress })
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
	want("reset token", "/elsewhere", "198.51.100.3", third, 0)
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

package proxy

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/session"
)

// reload changes settings while the server runs.
func (sc *scene) reload(change func(*Config)) {
	cfg := sc.srv.live.Load().cfg
	change(&cfg)
	sc.srv.Reload(cfg)
}

// hears waits until the app has heard so many messages on a path.
func (sc *scene) hears(path string, want int) {
	sc.t.Helper()
	eventually(sc.t, fmt.Sprintf("the app hears %d messages on %s", want, path), func() bool {
		messages, _, _ := sc.app.call(path).heardSoFar()
		return len(messages) >= want
	})
}

// Heartbeats of what lives follow the settings, of resilient clients and of plain
// ones.
func TestReloadHeartbeats(t *testing.T) {
	sc := newScene(t, func(c *Config) { c.Heartbeat = heartbeat.Config{Base: time.Minute, Max: time.Minute} })
	sc.reload(func(c *Config) {
		c.Heartbeat = heartbeat.Config{Base: 20 * time.Millisecond, Min: 20 * time.Millisecond}
	})
	eventually(t, "both kinds of clients are asked", func() bool {
		st := sc.srv.Stats()
		return st.Traffic.BeatsSent > 1 && st.PlainTraffic.BeatsSent > 1
	})
	sc.reload(func(c *Config) { c.PlainHeartbeat = session.PlainOff })
	before := sc.srv.Stats()
	eventually(t, "resilient clients are asked on", func() bool {
		return sc.srv.Stats().Traffic.BeatsSent > before.Traffic.BeatsSent+2
	})
	if n := sc.srv.Stats().PlainTraffic.BeatsSent; n > before.PlainTraffic.BeatsSent {
		t.Errorf("plain clients were pinged %d times more", n-before.PlainTraffic.BeatsSent)
	}
}

// Rates slow clients that are there, and let those go on that wait.
func TestReloadRates(t *testing.T) {
	for _, resilient := range []bool{true, false} {
		sc := newScene(t, nil)
		p := sc.plain("/plain")
		if resilient {
			p = sc.resilient("/resilient")
		}
		p.echo("before")
		sc.reload(func(c *Config) { c.Rates.Bytes = 1 })
		p.say("the last for a minute and a half, since it is so long that it takes what there is in all of that")
		path := map[bool]string{true: "/resilient", false: "/plain"}[resilient]
		sc.hears(path, 2)
		p.say("waits")
		time.Sleep(30 * time.Millisecond) // real sockets: for it to come through, were it not held
		if messages, _, _ := sc.app.call(path).heardSoFar(); len(messages) != 2 {
			t.Errorf("the app hears %q, want the last to wait", messages)
		}
		sc.reload(func(c *Config) { c.Rates = session.Rates{} })
		sc.hears(path, 3)
	}
}

// A limit on sessions that is set later counts those that live, and ends none.
func TestReloadMaxSessions(t *testing.T) {
	sc := newScene(t, nil) // with two sessions
	p := sc.resilient("/third")
	sc.reload(func(c *Config) { c.MaxSessions = 2 })
	p.echo("still here")
	for _, protocols := range []string{"", "wsr, wsr.v1"} {
		if q := sc.open("/fourth", protocols); q.resp.StatusCode != 503 || q.resp.Header.Get("Wsr-Refused") != "sessions" {
			t.Errorf("%q: %d, %v; want 503", protocols, q.resp.StatusCode, q.resp.Header)
		}
	}
	p.conn.Close()
	q, how := p.back()
	if how != "resumed" {
		t.Errorf("a session that lived is %s, want resumed", how)
	}
	sc.reload(func(c *Config) { c.MaxSessions = 4 })
	if fourth := sc.open("/fourth", ""); fourth.resp.StatusCode != 101 {
		t.Errorf("the fourth of four: %d", fourth.resp.StatusCode)
	}
	if fifth := sc.open("/fifth", ""); fifth.resp.StatusCode != 503 {
		t.Errorf("the fifth of four: %d", fifth.resp.StatusCode)
	}
	sc.reload(func(c *Config) { c.MaxSessions, c.MaxSessionsPerClient = 0, 2 }) // the fourth is one of them
	if first := sc.open("/counted", ""); first.resp.StatusCode != 101 {
		t.Errorf("the second that counts for its client: %d", first.resp.StatusCode)
	}
	if second := sc.open("/one too many", ""); second.resp.StatusCode == 101 {
		t.Error("the third that counts for its client is taken")
	}
	sc.reload(func(c *Config) { c.MaxSessionsPerClient = 0 })
	if any := sc.open("/sixth", ""); any.resp.StatusCode != 101 {
		t.Errorf("without a limit: %d", any.resp.StatusCode)
	}
	q.echo("still here")
}

// What a client was told of windows and messages stays for its session; who comes
// later hears of others.
func TestReloadLimitsOfSessions(t *testing.T) {
	sc := newScene(t, nil)
	old := sc.resilient("/old")
	sc.reload(func(c *Config) { c.WindowBytes, c.MaxMessage = 8<<10, 2<<10 })
	fresh := sc.resilient("/new")
	if w := fresh.welcome; w.Window != 8<<10 || w.MaxMessage != 2<<10 {
		t.Errorf("a new client hears of %d and %d bytes, want 8 KiB and 2 KiB", w.Window, w.MaxMessage)
	}
	long := strings.Repeat("x", 4<<10)
	old.echo(long)
	back, how := old.back()
	if how != "resumed" || back.welcome.MaxMessage != old.welcome.MaxMessage {
		t.Errorf("%s with messages of %d bytes, want resumed with those of before, %d", how, back.welcome.MaxMessage, old.welcome.MaxMessage)
	}
	fresh.say(long)
	fresh.wantClose(1009)
}

// The memory budget grows and shrinks under what it counts.
func TestReloadMemoryBudget(t *testing.T) {
	sc := newScene(t, func(c *Config) { c.MemoryBudget = 64 << 20 })
	p := sc.resilient("/holds")
	p.echo("something")
	sc.srv.pool.Memory().Charge(2 << 20) // as if others held it
	defer sc.srv.pool.Memory().Charge(-2 << 20)
	sc.reload(func(c *Config) { c.MemoryBudget = 1 << 20 })
	if q := sc.open("/more", "wsr, wsr.v1"); q.resp.StatusCode != 503 || q.resp.Header.Get("Wsr-Refused") != "memory" {
		t.Errorf("with a budget that is used up: %d, %v", q.resp.StatusCode, q.resp.Header)
	}
	sc.reload(func(c *Config) { c.MemoryBudget = 64 << 20 })
	if q := sc.open("/more", "wsr, wsr.v1"); q.resp.StatusCode != 101 {
		t.Errorf("with a budget that is not: %d", q.resp.StatusCode)
	}
}

// On a path where sessions are offered no more, new clients are plain, and those
// come back that have a session.
func TestReloadPaths(t *testing.T) {
	sc := newScene(t, nil)
	p := sc.resilient("/chat")
	p.echo("hello")
	sc.reload(func(c *Config) { c.Resilient = func(path string) bool { return path != "/chat" } })
	if q := sc.open("/chat", "wsr, wsr.v1"); q.resp.Header.Get("Sec-WebSocket-Protocol") == "wsr.v1" {
		t.Error("a new client is offered a session")
	}
	q, how := p.back()
	if how != "resumed" {
		t.Fatalf("a session that lives is %s, want resumed", how)
	}
	q.echo("again")
	if q := sc.open("/chat", "wsr, wsr.v1, wsr.resume.bm9uc2Vuc2U.0.1"); q.resp.Header.Get("Sec-WebSocket-Protocol") == "wsr.v1" {
		t.Error("a token that nobody sealed has a session offered")
	}
	sc.reload(func(c *Config) { c.Resilient = nil })
	sc.resilient("/chat")
}

// Settings change while clients come, talk and go.
func TestReloadUnderTraffic(t *testing.T) {
	sc := newScene(t, nil)
	var clients sync.WaitGroup
	for i := range 4 {
		clients.Go(func() {
			for k := range 6 {
				p := sc.resilient(fmt.Sprintf("/%d/%d", i, k))
				p.echo("one")
				p.conn.Close()
				if k%2 == 0 {
					q, how := p.back()
					if how != "resumed" {
						t.Errorf("a session is %s", how)
					}
					q.conn.Close()
				}
				sc.plain("/plain").echo("two")
			}
		})
	}
	done := make(chan struct{})
	go func() { clients.Wait(); close(done) }()
	for i := 0; ; i++ {
		select {
		case <-done:
			last := &sc.srv.live.Load().session
			for _, c := range sc.srv.sessions.all() {
				c.mu.Lock()
				if got := c.m.Config(); !c.over && (got.Heartbeat != last.Heartbeat || got.Rates != last.Rates) {
					t.Errorf("%s was missed by a change of settings", c.id)
				}
				c.mu.Unlock()
			}
			return
		default:
		}
		sc.reload(func(c *Config) {
			c.Heartbeat = heartbeat.Config{Base: time.Duration(1+i%5) * time.Second}
			c.Rates.Messages = []int{0, 1000}[i%2]
			c.WindowBytes = (1 + i%3) << 20
			c.MaxSessions = []int{0, 10_000}[i/2%2]
		})
		time.Sleep(time.Millisecond) // real sockets
	}
}

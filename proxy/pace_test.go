package proxy

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/session"
)

// A client that floods is slowed, in real sockets, and all that it said arrives;
// others notice nothing.
func TestRatesSlowClients(t *testing.T) {
	t.Parallel()
	sc := newScene(t, func(c *Config) { c.Rates = session.Rates{Messages: 200} })
	const n = 300
	for _, protocols := range []string{"", "wsr, wsr.v1"} {
		path := "/mute" + fmt.Sprint(len(protocols))
		p := sc.open(path, protocols)
		if p.resilient = protocols != ""; p.resilient {
			p.readWelcome()
		}
		began := time.Now()
		p.write(bytes.Repeat(masked(ws.OpText, []byte("m")), n))
		heard := func() int {
			messages, _, _ := sc.app.call(path).heardSoFar()
			return len(messages)
		}
		eventually(t, "the app hears all", func() bool { return heard() == n })
		if took := time.Since(began); took < (n-200)*time.Second/200-10*time.Millisecond {
			t.Errorf("%q: all %d messages came after %v", protocols, n, took)
		}
		p.conn.Close()
	}
	wantSlowed(t, sc, session.LimitMessages, 2)
}

// wantSlowed is how often clients were slowed, for one limit and no other.
func wantSlowed(t *testing.T, sc *scene, limit session.Limit, least uint64) {
	t.Helper()
	for l, n := range sc.srv.Stats().Slowed {
		if is := session.Limit(l) == limit; is && n < least || !is && n > 0 {
			t.Errorf("slowed by limit %d: %d times", l, n)
		}
	}
}

// What slowed a client is counted, of bytes and of control as of messages.
func TestSlowedByLimit(t *testing.T) {
	t.Parallel()
	ping := frame.Append(nil, ws.Header{Fin: true, OpCode: ws.OpPing, Masked: true}, nil)
	for limit, c := range map[session.Limit]struct {
		rates session.Rates
		says  []byte
	}{
		session.LimitBytes:   {session.Rates{Bytes: 2000}, masked(ws.OpText, make([]byte, 3000))},
		session.LimitControl: {session.Rates{Control: 3}, bytes.Repeat(ping, 10)},
	} {
		sc := newScene(t, func(cfg *Config) { cfg.Rates = c.rates })
		for _, protocols := range []string{"", "wsr, wsr.v1"} {
			p := sc.open("/mute", protocols)
			if p.resilient = protocols != ""; p.resilient {
				p.readWelcome()
			}
			p.write(c.says)
			t.Cleanup(func() { p.conn.Close() })
		}
		eventually(t, "both are slowed", func() bool { return sc.srv.Stats().Slowed[limit] >= 2 })
		wantSlowed(t, sc, limit, 2)
	}
}

// A session that is resumed too often stays with the connection that it has, and
// its client is told to try again.
func TestResumesAreLimited(t *testing.T) {
	t.Parallel()
	sc := newScene(t, func(c *Config) { c.Rates = session.Rates{Resumes: 2} })
	p := sc.resilient("/often")
	for range 2 {
		q, how := p.back()
		if how != "resumed" {
			t.Fatalf("the session is %s", how)
		}
		p = q
	}
	if _, how := p.back(); how != "reset try_again" {
		t.Errorf("the third time the session is %s", how)
	}
	wantSlowed(t, sc, session.LimitResumes, 1)
	p.echo("still attached")
	if q, how := sc.resilient("/another").back(); how != "resumed" {
		t.Errorf("another session is %s", how)
	} else {
		q.conn.Close()
	}
	p.conn.Close()
}

// A client without wsr.v1 hears it in HTTP.
func TestPlainResumesAreLimited(t *testing.T) {
	t.Parallel()
	sc := newScene(t, func(c *Config) { c.Rates, c.PlainResume = session.Rates{Resumes: 1}, "query:me" })
	path := "/plain?me=" + strings.Repeat("x", minPlainKey)
	for i, want := range []int{101, 101, 503} {
		p := sc.open(path, "")
		if p.resp.StatusCode != want {
			t.Errorf("attempt %d: %d, want %d", i, p.resp.StatusCode, want)
		}
		if want == 503 && p.resp.Header.Get("Retry-After") == "" {
			t.Error("it is not told when to come again")
		}
		defer p.conn.Close()
	}
	wantSlowed(t, sc, session.LimitResumes, 1)
}

// What clients sent too fast stays in their sockets, and not in the sidecar.
func TestRatesKeepLittle(t *testing.T) {
	const n = 200
	sc := newScene(t, func(c *Config) { c.Rates = session.Rates{Messages: 1} })
	var clients []*testClient
	for i := range n {
		path := fmt.Sprintf("/mute%d", i)
		p := sc.open(path, map[bool]string{true: "wsr, wsr.v1"}[i%2 == 0])
		if p.resilient = i%2 == 0; p.resilient {
			p.readWelcome()
		}
		p.write(masked(ws.OpText, []byte("the only one of this second")))
		eventually(t, "the app hears it", func() bool {
			messages, _, _ := sc.app.call(path).heardSoFar()
			return len(messages) == 1
		})
		clients = append(clients, p)
	}
	before := heapInUse()
	flood := bytes.Repeat(masked(ws.OpText, make([]byte, 94)), 600)
	for _, p := range clients {
		p.write(flood)
	}
	time.Sleep(1200 * time.Millisecond) // each was read once more
	wantHeap(t, before, n*12<<10)
	for _, p := range clients {
		p.conn.Close()
	}
}

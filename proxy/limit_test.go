package proxy

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/clientaddr"
	"github.com/wsresilience/wsresilience/internal/frame"
)

func TestSessionLimit(t *testing.T) {
	var l sessionLimit
	l.set(3, 2)
	one, other := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	list := make([]*sessionDriver, 5)
	for i, want := range []struct {
		client netip.Addr
		lived  bool
		ok     bool
	}{{one, false, true}, {one, false, true}, {one, false, false}, {one, true, true}, {other, false, false}} {
		list[i] = new(sessionDriver)
		if ok := l.add(list[i], want.client, want.lived); ok != want.ok {
			t.Errorf("%d: %v, want %v", i, ok, want.ok)
		}
	}
	l.remove(list[0])
	l.remove(list[0])
	l.remove(list[2]) // never counted
	if !l.full(one) || l.full(other) {
		t.Errorf("full: %v for a client with two of three, %v for another", l.full(one), l.full(other))
	}
	for _, c := range list {
		l.remove(c)
	}
	if len(l.of) != 0 || len(l.clients) != 0 {
		t.Errorf("%d sessions and %d clients are left", len(l.of), len(l.clients))
	}
}

// Behind a proxy that is trusted, each client has a limit of its own, whatever kind
// of session it wants. What it says of itself changes nothing.
func TestSessionsAreLimitedBehindProxies(t *testing.T) {
	const from = "X-Forwarded-For: 192.0.2.99, "
	sc := newScene(t, func(c *Config) {
		c.MaxSessionsPerClient, c.TrustedProxies, c.PlainResume = 2, clientaddr.Private(), "query:name"
	})
	open := func(path, protocols string, fields []string) int {
		p := sc.open(path, protocols, fields...)
		t.Cleanup(func() { p.conn.Close() }) // it stays until then
		return p.resp.StatusCode
	}
	kinds := []func(fields ...string) int{
		func(fields ...string) int { return open("/resilient", "wsr, wsr.v1", fields) },
		func(fields ...string) int { return open("/plain", "", fields) },
		func(fields ...string) int { return open(fmt.Sprintf("/named?name=%016x", rand.Uint64()), "", fields) },
	}
	for i, open := range kinds {
		for j, client := range []string{from + fmt.Sprint("198.51.100.", i), fmt.Sprintf("%s2001:db8:%d::%d", from, i, rand.N(1000)), fmt.Sprintf("Forwarded: for=198.51.100.%d0", i+1)} {
			for n, want := range []int{101, 101, 503} {
				if got := open(client); got != want {
					t.Errorf("kind %d, client %d, session %d: %d, want %d", i, j, n+1, got, want)
				}
			}
		}
	}
	for i, open := range kinds { // the scene has two sessions that no proxy speaks for
		if got := open(); got != 503 {
			t.Errorf("kind %d, of the proxy itself: %d", i, got)
		}
	}
}

// Sessions are limited for each client and in all, detached ones too, and who is
// refused hears why.
func TestSessionsAreLimited(t *testing.T) {
	for _, change := range []func(*Config){
		func(c *Config) { c.MaxSessionsPerClient = 4 },
		func(c *Config) { c.MaxSessions = 4 },
	} {
		sc := newScene(t, change) // with two sessions
		sc.resilient("/first").conn.Close()
		p := sc.plain("/second")
		for _, protocols := range []string{"", "wsr, wsr.v1"} {
			q := sc.open("/third", protocols)
			if h := q.resp.Header; q.resp.StatusCode != 503 || h.Get("Wsr-Refused") != "sessions" || h.Get("Retry-After") == "" {
				t.Errorf("%q: %d, %v", protocols, q.resp.StatusCode, h)
			}
		}
		p.conn.Close()
		eventually(t, "there is room again", func() bool {
			q := sc.open("/fourth", "")
			defer q.conn.Close()
			return q.resp.StatusCode == 101
		})
	}
}

// When memory is short, detached sessions go to the journal. Their clients have
// them back from there, new clients are taken again, and others notice nothing.
func TestDetachedSessionsAreEvicted(t *testing.T) {
	sc := newScene(t, shortOfMemory)
	var gone []*testClient
	for i := 0; !sc.srv.scarce(); i++ {
		if i > 2*smallBudget/itsWindows {
			t.Fatal("memory is never short")
		}
		path := fmt.Sprintf("/says%d", i)
		p := sc.open(path, "wsr, wsr.v1")
		if p.resp.StatusCode != 101 {
			break // memory was short by then
		}
		p.resilient = true
		p.readWelcome()
		p.say("I live")
		eventually(t, "the app hears it", func() bool {
			messages, _, _ := sc.app.call(path).heardSoFar()
			return len(messages) == 1
		})
		p.conn.Close()
		go sc.app.call(path).speak(saysMuch)
		eventually(t, "its window fills", func() bool {
			held := 0
			for v := range sc.srv.Views() {
				held = max(held, v.ToClient.Bytes+v.ToApp.Bytes)
			}
			return sc.srv.pool.InUse() >= int64(i+1)*itsWindows/2 || held == 0 && i > 0
		})
		gone = append(gone, p)
	}
	eventually(t, "somebody is evicted", func() bool { return sc.watch.count("evicted") > 0 })
	eventually(t, "new clients are taken", func() bool {
		p := sc.open("/late", "wsr, wsr.v1")
		defer p.conn.Close()
		return p.resp.StatusCode == 101
	})
	adopted := 0
	for _, p := range gone {
		q, how := p.back()
		for end := time.Now().Add(attackPatience); how == "reset try_again" && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			q, how = p.back()
		}
		switch how {
		case "adopted":
			adopted++
		case "resumed":
		default:
			t.Errorf("a session is %s", how)
		}
		q.conn.Close()
	}
	if adopted == 0 {
		t.Error("no session was in the journal")
	}
}

// saysMuch is more than a window.
var saysMuch = bytes.Repeat(frame.Append(nil, ws.Header{Fin: true, OpCode: ws.OpBinary}, make([]byte, 16<<10)), 2*itsWindows/(16<<10))

package console

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/session"
)

// A ring keeps the latest that fit, and holds nothing that it does not need.
func TestRing(t *testing.T) {
	g := ring{maxBytes: 10 * recordCost}
	var want []uint64
	for n := uint64(1); n <= 1000; n++ {
		g.add(record{n: n})
		if want = append(want, n); len(want) > 10 {
			want = want[1:]
		}
		var got []uint64
		g.each(func(r *record) bool { got = append(got, r.n); return true })
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%v, want %v", got, want)
		}
	}
	if len(g.list) != 10 || g.bytes != 10*recordCost {
		t.Errorf("%d places, %d bytes", len(g.list), g.bytes)
	}
	long := subject("/"+strings.Repeat("x", 190), "10.0.0.1/32")
	for n := uint64(1001); n < 1100; n++ {
		g.add(record{n: n, e: event.Event{Subject: long}})
	}
	if n := g.next - g.first; n >= 10 || n < 5 || g.bytes > g.maxBytes {
		t.Errorf("%d records with long paths, %d bytes", n, g.bytes)
	}
	if small := (ring{}); len(small.list) != 0 {
		t.Error("an unused ring holds something")
	}
}

// All that is remembered takes a few MiB, whatever happens.
func TestHistoryIsBounded(t *testing.T) {
	h := NewHistory()
	for i := range 100_000 {
		e := event.Event{Kind: event.Detached, Session: testID(i), Subject: subject(fmt.Sprint("/", strings.Repeat("x", 150), i), "10.0.0.1/32")}
		if i%2 == 0 {
			e.Kind, e.Ending = event.Ended, session.EndedBroken
		}
		h.Observe(e)
	}
	bytes := 0
	for i := range h.shards {
		bytes += h.shards[i].notable.bytes + h.shards[i].routine.bytes
	}
	for i := range h.ended {
		bytes += h.ended[i].list.bytes
	}
	if bytes > 5<<20 {
		t.Errorf("%d bytes", bytes)
	}
	if n := len(h.since(0, 1000, func(*record) bool { return true })); n != 1000 {
		t.Errorf("%d of the latest 1000", n)
	}
}

// One session that comes and goes as fast as it can does not push out what happened
// to others, and what happens all the time does not push out what explains
// something.
func TestHistoryIsFair(t *testing.T) {
	h := NewHistory()
	h.Observe(event.Event{Kind: event.Detached, Session: testID(1), Cause: event.DetachedHeartbeat})
	h.Observe(event.Event{Kind: event.Detached, Session: testID(2), Cause: event.DetachedGone})
	for i := range 100_000 {
		h.Observe(event.Event{Kind: event.Began, Client: event.Plain, Session: testID(1000 + i)})
		h.Observe(event.Event{Kind: event.Ended, Client: event.Plain, Session: testID(1000 + i)})
		h.Observe(event.Event{Kind: event.Resumed, Session: testID(3)})
		h.Observe(event.Event{Kind: event.LinkState, Session: testID(2)})
		h.Observe(event.Event{Kind: event.RoundTrip, Session: testID(1)})
		h.Observe(event.Event{Kind: event.Ended, Client: event.Plain, Session: testID(4)})
	}
	if got := h.of(testID(1), 10); len(got) != 1 || got[0].e.Cause != event.DetachedHeartbeat {
		t.Errorf("%v", got)
	}
	got := h.of(testID(2), 10000)
	if len(got) < 2 || got[0].e.Cause != event.DetachedGone {
		t.Errorf("%d events, the first is %v", len(got), got[0].e)
	}
}

// Observing costs no allocation once the rings have grown, whoever follows.
func TestObserveDoesNotAllocate(t *testing.T) {
	h := NewHistory()
	e := event.Event{Kind: event.Detached, Session: testID(1), Subject: subject("/chat", "10.0.0.1/32")}
	for range 5000 {
		h.Observe(e)
	}
	if n := testing.AllocsPerRun(1000, func() { h.Observe(e) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A follower that does not read costs the one who observes nothing, and learns how
// much it has missed.
func TestSlowFollower(t *testing.T) {
	h := NewHistory()
	f := h.followers.add(func(*record) bool { return true })
	for range maxBehind + 30 {
		h.Observe(event.Event{Kind: event.Detached})
	}
	if len(f.events) != maxBehind || f.lost.Load() != 30 {
		t.Errorf("%d wait, %d are lost", len(f.events), f.lost.Load())
	}
	var more []*follower
	for range maxFollowers {
		if one := h.followers.add(func(*record) bool { return true }); one != nil {
			more = append(more, one)
		}
	}
	if len(more) != maxFollowers-1 {
		t.Errorf("%d followers more, want %d", len(more), maxFollowers-1)
	}
	h.followers.remove(f)
	h.Observe(event.Event{Kind: event.Detached})
	if f.lost.Load() != 30 || h.followers.add(f.wanted) == nil {
		t.Error("one that has gone is still told")
	}
}

// An event stream has what was, what happens, and nothing twice, and goes on where
// a reader was.
func TestEvents(t *testing.T) {
	h := NewHistory()
	srv := httptest.NewServer(handler(Config{Sidecar: crowd(1), History: h}))
	defer srv.Close()
	for i := range 5 {
		h.Observe(event.Event{Kind: event.Detached, Session: testID(i), Subject: subject("/chat", "10.0.0.1/32")})
	}
	h.Observe(event.Event{Kind: event.Began, Session: testID(1)})
	read := func(path, after string) (lines <-chan string, stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		r, err := http.NewRequestWithContext(ctx, "GET", srv.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if after != "" {
			r.Header.Set("Last-Event-ID", after)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil || resp.Header.Get("Content-Type") != "text/event-stream" {
			t.Fatalf("%v %+v", err, resp)
		}
		ch := make(chan string, 1000)
		go func() {
			defer resp.Body.Close()
			for s := bufio.NewScanner(resp.Body); s.Scan(); {
				if s.Text() != "" {
					ch <- s.Text()
				}
			}
		}()
		return ch, cancel
	}
	want := func(lines <-chan string, list ...string) {
		t.Helper()
		for _, w := range list {
			select {
			case got := <-lines:
				if !strings.Contains(got, w) {
					t.Errorf("%q, want %q", got, w)
				}
			case <-time.After(10 * time.Second):
				t.Fatalf("no %q", w)
			}
		}
	}
	all, stop := read("/events?last=2&notable=1", "")
	want(all, ": wsresilience events")
	id := <-all
	run, _, _ := strings.Cut(strings.TrimPrefix(id, "id: "), "-")
	if id != "id: "+run+"-4" {
		t.Errorf("%q, want the fourth event", id)
	}
	want(all, `"text":"session detached: the client closed its connection, as a page does that is left (cause client)"`, "-5", "data: ")
	h.Observe(event.Event{Kind: event.Detached, Session: testID(9), Cause: event.DetachedHeartbeat})
	want(all, "-7", "no answer to heartbeats")
	stop()
	again, stop := read("/events", run+"-4")
	want(again, ": ", "-5", "data", "-6", "plain connection began", "-7", "data")
	stop()
	other, stop := read("/events", "of1run2-400") // before a restart
	want(other, ": ", "-1", "data", "-2")
	stop()
	one, stop := read("/events?id="+testID(9).String()+"&last=100", "")
	want(one, ": ", "-7", "heartbeat")
	h.Observe(event.Event{Kind: event.Detached, Session: testID(1)})
	h.Observe(event.Event{Kind: event.Ended, Session: testID(9)})
	want(one, "-9", "ended")
	stop()
	for path, says := range map[string]string{"/events?last=x": "1 to 1000", "/events?lst=1": "no parameter"} {
		resp, err := http.Get(srv.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 400 || !strings.Contains(string(text), says) {
			t.Errorf("%s: %d %s", path, resp.StatusCode, text)
		}
	}
}

// Whoever looks for an address finds what happened to a session whose client comes
// from there by now.
func TestFilterByWhereTheClientIs(t *testing.T) {
	h := NewHistory()
	h.Observe(event.Event{Kind: event.Resumed, Session: testID(1), Subject: subject("/chat", "10.0.0.1/32"), Came: subject("/chat", "192.0.2.7/32")})
	for client, want := range map[string]int{"10.0.0.1": 1, "192.0.2.0/24": 1, "192.0.2.8": 0} {
		f, err := parseFilter(map[string][]string{"client": {client}})
		if err != nil {
			t.Fatal(err)
		}
		if got := h.since(0, 10, f.meant); len(got) != want {
			t.Errorf("%s: %d events, want %d", client, len(got), want)
		}
	}
}

// Timers fire many times a second.
func TestTimersAreUntold(t *testing.T) {
	h := NewHistory()
	h.Observe(event.Event{Kind: event.TimersFired})
	if h.n.Load() != 0 {
		t.Error("each firing is remembered")
	}
}

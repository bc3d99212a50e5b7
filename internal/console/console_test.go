package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/observe"
	"github.com/wsresilience/wsresilience/proxy"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/snapshot"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

// A fakeSidecar has the sessions that a test wants.
type fakeSidecar struct {
	views  []proxy.SessionView
	looked int // how many views were taken
}

func (f *fakeSidecar) Views() iter.Seq[proxy.SessionView] {
	return func(yield func(proxy.SessionView) bool) {
		for i := range f.views {
			f.looked++
			if !yield(f.views[i]) {
				return
			}
		}
	}
}

func (f *fakeSidecar) View(id wire.SessionID) (proxy.SessionView, snapshot.View, bool) {
	for _, v := range f.views {
		if v.ID == id {
			return v, snapshot.View{ID: "0", Version: 3, Bytes: 5, Entries: []snapshot.Entry{{Key: "rule-1/2", State: "held", Size: 5}}}, true
		}
	}
	return proxy.SessionView{}, snapshot.View{}, false
}

func (f *fakeSidecar) Stats() event.Stats { return event.Stats{Attached: len(f.views)} }

func subject(path, client string) *event.Subject {
	return event.NewSubject(event.About{Path: path, Client: netip.MustParsePrefix(client)})
}

func testID(n int) (id wire.SessionID) {
	id[0], id[14], id[15] = byte(n*7), byte(n>>8), byte(n)
	return id
}

// crowd makes n sessions of which no two are alike.
func crowd(n int) *fakeSidecar {
	f := &fakeSidecar{}
	began := time.Now().Add(-time.Hour)
	for i := range n {
		v := proxy.SessionView{
			ID: testID(i), Kind: event.Resilient, Owner: "x@10.0.0.1:15801", Began: began.Add(time.Duration(i) * time.Millisecond),
			Subject: subject([]string{"/chat", "/prices/live"}[i%2], fmt.Sprintf("10.0.%d.%d/32", i/250, i%250)),
			Link:    proxy.LinkView{RTT: time.Duration(i*7919%n) * time.Millisecond},
		}
		v.Attached = true
		if i%5 == 0 {
			v.Attached, v.Phase, v.ExpiresIn = false, session.PhaseDetached, time.Duration(1+i)*time.Second
		}
		f.views = append(f.views, v)
	}
	return f
}

// serve answers as the admin port does, to somebody on this machine.
func serve(t *testing.T, cfg Config) func(path string, into any) (status int, text string) {
	t.Helper()
	h := handler(cfg)
	return func(path string, into any) (int, string) {
		t.Helper()
		r := httptest.NewRequest("GET", path, nil)
		r.RemoteAddr, r.Host = "127.0.0.1:1", "localhost"
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code == http.StatusOK && into != nil {
			if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
				t.Errorf("%s: %v: %s", path, err, w.Body)
			}
		}
		return w.Code, w.Body.String()
	}
}

func handler(cfg Config) http.Handler {
	if cfg.History == nil {
		cfg.History = NewHistory()
	}
	if cfg.About == nil {
		cfg.About = func(*Status) {}
	}
	return observe.Admin{Metrics: http.NotFoundHandler(), Views: New(cfg).Views()}.Handler()
}

func TestSessions(t *testing.T) {
	get := serve(t, Config{Sidecar: crowd(1000)})
	for _, tt := range []struct {
		query          string
		matched, first int // how many, and which is first; -1: not said
		listed         int
	}{
		{"", 1000, -1, 100},
		{"limit=1000", 1000, -1, 1000},
		{"path=/chat", 500, -1, 100},
		{"path=live&limit=3", 500, -1, 3},
		{"client=10.0.1.7", 1, 257, 1},
		{"client=10.0.1.0/24", 250, -1, 100},
		{"client=10.0.1", 250, -1, 100},
		{"client=11", 0, -1, 0},
		{"state=detached", 200, -1, 100},
		{"state=detached,attached", 1000, -1, 100},
		{"state=detached&sort=expires", 200, 0, 100},
		{"id=" + testID(3).String(), 1, 3, 1},
		{"id=" + strings.ToUpper(testID(3).String()[:2]), 4, -1, 4},
		{"sort=newest", 1000, 999, 100},
		{"sort=oldest", 1000, 0, 100},
		{"kind=plain", 0, -1, 0},
	} {
		var got Sessions
		if status, text := get("/sessions?"+tt.query, &got); status != http.StatusOK {
			t.Errorf("%s: %d %s", tt.query, status, text)
		}
		if got.Matched != tt.matched || len(got.Sessions) != tt.listed || got.Lives != 1000 {
			t.Errorf("%s: %d match, %d are listed, of %d; want %d, %d", tt.query, got.Matched, len(got.Sessions), got.Lives, tt.matched, tt.listed)
		}
		if tt.first >= 0 && len(got.Sessions) > 0 && got.Sessions[0].ID != testID(tt.first).String() {
			t.Errorf("%s: first is %s, want %s", tt.query, got.Sessions[0].ID, testID(tt.first))
		}
	}
	for query, says := range map[string]string{
		"state=away": "waiting_for_app", "limit=0": "1 to 1000", "limit=2000": "1 to 1000", "sort=best": "oldest", "id=xyz": "from 0 to f",
		"client=chat": "203.0.113.0/24", "cursor=7": "next", "pth=/x": "allowed are id, path", "limit=1&limit=2": "2 times", "kind=tls": "plain",
	} {
		if status, text := get("/sessions?"+query, nil); status != http.StatusBadRequest || !strings.Contains(text, says) {
			t.Errorf("%s: %d %q, want 400 that says %q", query, status, text, says)
		}
	}
}

// From one answer to the next each session comes exactly once, whatever is first.
func TestCursor(t *testing.T) {
	get := serve(t, Config{Sidecar: crowd(1000)})
	for _, by := range Orders() {
		seen := map[string]bool{}
		cursor, answers := "", 0
		for ; answers == 0 || cursor != ""; answers++ {
			var got Sessions
			get("/sessions?limit=99&sort="+by+"&cursor="+cursor, &got)
			for _, s := range got.Sessions {
				if seen[s.ID] {
					t.Errorf("%s: %s comes again", by, s.ID)
				}
				seen[s.ID] = true
			}
			if cursor = got.Next; answers > 20 {
				break
			}
		}
		if len(seen) != 1000 || answers != 11 {
			t.Errorf("%s: %d sessions in %d answers, want 1000 in 11", by, len(seen), answers)
		}
	}
}

func TestSession(t *testing.T) {
	h := NewHistory()
	located := Location{Owner: "y@10.0.0.2:15801", Lease: "live", Epoch: 3, State: "detached"}
	f := crowd(10)
	f.views[4].Kind = event.Plain
	get := serve(t, Config{Sidecar: f, History: h, Locate: func(_ context.Context, id wire.SessionID) (Location, error) {
		switch id {
		case testID(50):
			return located, nil
		case testID(51):
			return Location{}, store.ErrUnavailable
		}
		return Location{}, store.ErrNotFound
	}})
	who := subject("/chat", "10.0.0.0/24")
	for _, e := range []event.Event{
		{Kind: event.Began, Client: event.Resilient}, {Kind: event.RoundTrip}, {Kind: event.Detached, Cause: event.DetachedHeartbeat},
		{Kind: event.Ended, Client: event.Resilient, Ending: session.EndedExpired, Took: time.Minute},
	} {
		e.Session, e.Subject = testID(40), who
		h.Observe(e)
	}
	var d Detail
	if status, _ := get("/sessions/"+testID(3).String(), &d); status != 200 || !d.Here || d.Owner != "x@10.0.0.1:15801" || d.Windows == nil || len(d.Snapshot.Entries) != 1 {
		t.Errorf("one that lives here: %d %+v", status, d)
	}
	d = Detail{}
	if get("/sessions/"+testID(4).String(), &d); !d.Here || d.Windows != nil || d.Kind != "plain" {
		t.Errorf("a plain connection: %+v", d)
	}
	d = Detail{}
	if status, _ := get("/sessions/"+testID(40).String(), &d); status != 200 || d.Here || d.Ended == nil || d.Ended.Reason != "expired" || d.Ended.Why != "the client did not come back in time" || len(d.Events) != 3 || !strings.HasPrefix(d.Events[1].Fact, "no answer to heartbeats") || d.Ended.Client != "10.0.0.0/24" {
		t.Errorf("one that has ended: %d %+v", status, d)
	}
	d = Detail{}
	if status, _ := get("/sessions/"+testID(50).String(), &d); status != 200 || d.Located == nil || *d.Located != located {
		t.Errorf("one of another sidecar: %d %+v", status, d)
	}
	if status, text := get("/sessions/"+testID(51).String(), nil); status != 404 || !strings.Contains(text, "unavailable") {
		t.Errorf("a journal that is away: %d %s", status, text)
	}
	if status, text := get("/sessions/"+testID(52).String(), nil); status != 404 || !strings.Contains(text, `"here": false`) {
		t.Errorf("one of nobody: %d %s", status, text)
	}
	if status, text := get("/sessions/chat", nil); status != 400 || !strings.Contains(text, "32 digits") {
		t.Errorf("no id: %d %s", status, text)
	}
	h.Observe(event.Event{Kind: event.Resumed, Resume: event.ResumeReset, Session: testID(60), Subject: who})
	for beginning, want := range map[string]int{
		testID(3).String()[:6]: 200, strings.ToUpper(testID(40).String()[:6]): 200, testID(60).String()[:6]: 200,
		"0": 409, "ffff": 404, strings.Repeat("0", 33): 400,
	} {
		if status, text := get("/sessions/"+beginning, nil); status != want {
			t.Errorf("%s: %d %s, want %d", beginning, status, text, want)
		}
	}
	var snap snapshot.View
	if get("/sessions/"+testID(3).String()+"/snapshot", &snap); len(snap.Entries) != 1 || snap.Version != 3 || snap.ID != "0" {
		t.Errorf("%+v", snap)
	}
}

func TestStatus(t *testing.T) {
	h := NewHistory()
	get := serve(t, Config{Sidecar: crowd(3), History: h, About: func(s *Status) { s.Name, s.Ready = "me@1", true }})
	h.Observe(event.Event{Kind: event.StoreChanged})
	h.Observe(event.Event{Kind: event.Began})
	var s Status
	if get("/status", &s); s.Name != "me@1" || s.Sessions.Attached != 3 || len(s.Events) != 1 || !strings.Contains(s.Events[0].Text, "journal is away") || s.Fleet == nil {
		t.Errorf("%+v", s)
	}
	if status, text := get("/status?x=1", nil); status != 400 {
		t.Errorf("%d %s", status, text)
	}
}

// Who looks takes turns, and one who has gone does not wait.
func TestTurns(t *testing.T) {
	places := make(chan struct{}, 1)
	done := turn(t.Context(), places)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("gone"))
	if turn(ctx, places) != nil {
		t.Error("two at a time")
	}
	done()
	if done = turn(t.Context(), places); done == nil {
		t.Error("nobody had it")
	}
}

// What an answer holds is bounded, and so is what making it holds.
func TestListIsBounded(t *testing.T) {
	f := crowd(10000)
	l, err := parseListing(map[string][]string{"sort": {"rtt"}, "limit": {"10"}})
	if err != nil {
		t.Fatal(err)
	}
	found, matched, lives, more := l.list(f.Views(), &look{ctx: t.Context(), began: time.Now()})
	if len(found) != 10 || cap(found) > 32 || matched != 10000 || lives != 10000 || !more || f.looked != 10000 {
		t.Errorf("%d of %d, room for %d", len(found), matched, cap(found))
	}
	for i, p := range found {
		if want := time.Duration(9999-i) * time.Millisecond; p.view.Link.RTT != want {
			t.Errorf("number %d has %v, want %v", i, p.view.Link.RTT, want)
		}
	}
}

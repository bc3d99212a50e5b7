package observe

import (
	"bytes"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/traceparent"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

// lines is what a Life wrote.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := l.b.String()
	l.b.Reset()
	return text
}

// newTestLife is a Life at a level, with what it writes: without times.
func newTestLife(level slog.Level) (*Life, *lines) {
	out := new(lines)
	return NewLife(NewLogger(withoutTime{out}, level, "text", true)), out
}

type withoutTime struct{ to *lines }

func (w withoutTime) Write(p []byte) (int, error) {
	_, rest, _ := bytes.Cut(p, []byte(" "))
	_, _ = w.to.Write(rest)
	return len(p), nil
}

// What an operator reads. The words are those of package event; how times and
// names come out is decided here.
func TestLines(t *testing.T) {
	trace, _ := traceparent.Parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	who := event.NewSubject(event.About{Path: "/chat", Client: netip.MustParsePrefix("203.0.113.0/24"), Trace: trace, Epoch: 2})
	other := event.NewSubject(event.About{Path: "/chat", Client: netip.MustParsePrefix("198.51.100.0/24")})
	id := wire.SessionID{0xab}
	const about = `session=ab000000000000000000000000000000 epoch=2 path=/chat client=203.0.113.0/24 trace=4bf92f3577b34da6a3ce929d0e0e4736`
	const context = ` setting="WSR_APP_PROTOCOL or WSR_SNAPSHOT_RULES, or a client with a function that restores (wsr.adopt)" docs=https://github.com/wsresilience/wsresilience/blob/main/docs/SNAPSHOT.md`
	for _, c := range []struct {
		e    event.Event
		want string
	}{
		{event.Event{Kind: event.Began, Client: event.Resilient}, `level=INFO msg="session began" ` + about},
		{event.Event{Kind: event.Began, Client: event.Resilient, Adopted: wire.AdoptOwed}, ``},
		{event.Event{Kind: event.Detached, Cause: event.DetachedHeartbeat, Code: 4408, Fact: "no heartbeat"},
			`level=INFO msg="session detached" ` + about + ` cause=heartbeat code=4408 fact="no heartbeat"`},
		{event.Event{Kind: event.Detached, Cause: event.DetachedSuperseded, Code: 4409, Came: other},
			`level=INFO msg="session detached" ` + about + ` cause=superseded code=4409 from=198.51.100.0/24 fact="superseded by another connection of the same session"`},
		{event.Event{Kind: event.Detached, Cause: event.DetachedClosed, Ending: session.EndedClosed}, ``},
		{event.Event{Kind: event.Resumed, Owner: "10.0.0.7:15801", Via: "10.0.0.8", Away: 2345 * time.Millisecond, Lacking: 3, Took: 1234 * time.Microsecond, Came: other},
			`level=INFO msg="session resumed" ` + about + ` owner=10.0.0.7:15801 away=2.35s replayed=3 via=10.0.0.8 from=198.51.100.0/24 took=1.23ms`},
		{event.Event{Kind: event.Resumed, Resume: event.ResumeAdopted, Adopted: wire.AdoptOwnerLost, Owner: "10.0.0.8:15801", Former: "10.0.0.7:15801", Away: -1, Fact: "owner 10.0.0.7:15801 has released its lease"},
			`level=INFO msg="session adopted" ` + about + ` reason=owner_lost owner=10.0.0.8:15801 former=10.0.0.7:15801 replayed=0 took=0s fact="owner 10.0.0.7:15801 has released its lease"`},
		{event.Event{Kind: event.Resumed, Resume: event.ResumeReset, Reset: wire.ResetToken, Fact: "token superseded"},
			`level=INFO msg="resume refused: RESET" ` + about + ` reason=token took=0s fact="token superseded"`},
		{event.Event{Kind: event.HandedOver, HandOver: event.HandOverMoved}, `level=INFO msg="session is handed over" ` + about + ` cause=moved`},
		{event.Event{Kind: event.Ended, Client: event.Resilient, Ending: session.EndedClosed, Closed: session.CauseClient, Code: 1000, Took: 90 * time.Second},
			`level=INFO msg="session ended" ` + about + ` reason=closed by=client code=1000 age=1m30s`},
		{event.Event{Kind: event.Ended, Client: event.Resilient, Ending: session.EndedClosed, Closed: session.CauseNoApp, Code: 1012, Advice: event.AdviceContext},
			`level=INFO msg="session ended" ` + about + ` reason=closed by=sidecar code=1012 age=0s fact="nothing restores the app's context on a fresh app socket"` + context},
		{event.Event{Kind: event.MessageRefused, Size: 1048577, Limit: 1048576, Advice: event.AdviceSize},
			`level=WARN msg="message refused: it is above the limit" ` + about + ` from=client size=1048577 limit=1048576 setting=WSR_MAX_MESSAGE docs=https://github.com/wsresilience/wsresilience/blob/main/docs/CONFIG.md`},
		{event.Event{Kind: event.MessageSkipped, Messages: 1},
			`level=WARN msg="message given up by its client" ` + about + ` messages=1 fact="connections ended at it again and again, with 1003, 1007 or 1009; the app goes on without it"`},
		{event.Event{Kind: event.Journaled, Err: store.ErrLost}, `level=WARN msg="the journal lost records of a session: they are written again" ` + about},
		{event.Event{Kind: event.Journaled, Err: store.ErrFenced}, ``},
		{event.Event{Kind: event.HeartbeatRejected, Beat: session.BeatDamaged}, `level=INFO msg="heartbeat rejected" ` + about + ` audit=true reason=damaged`},
		{event.Event{Kind: event.Authorized, Answer: event.AppRefused, Status: 403}, `level=INFO msg="the app does not allow a client its session any more" ` + about + ` status=403 audit=true`},
		{event.Event{Kind: event.TokenReused, Fact: "token superseded"},
			`level=WARN msg="a resume token came that was used up, or that two clients use: there may be a copy of it" ` + about + ` audit=true fact="token superseded"`},
		{event.Event{Kind: event.Began, Client: event.Plain}, ``}, // there may be thousands a second
		{event.Event{Kind: event.Ended, Client: event.Plain, Ending: session.EndedClosed}, ``},
		{event.Event{Kind: event.RoundTrip}, ``},
	} {
		l, out := newTestLife(slog.LevelInfo)
		c.e.Session, c.e.Subject = id, who
		l.Observe(c.e)
		if got := strings.TrimSuffix(out.take(), "\n"); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.e, got, c.want)
		}
	}
}

// Every value of every label has words.
func TestEveryValueHasWords(t *testing.T) {
	var all []event.Event
	for e := range event.Values[session.Ending]() {
		all = append(all, event.Event{Kind: event.Ended, Client: event.Resilient, Ending: e})
	}
	for c := session.CauseClient; c.String() != "unknown"; c++ {
		all = append(all, event.Event{Kind: event.Ended, Client: event.Resilient, Ending: session.EndedClosed, Closed: c})
	}
	for r := range event.Values[event.RestartOutcome]() {
		all = append(all, event.Event{Kind: event.AppRestarted, Restart: r})
	}
	for _, e := range all {
		l, out := newTestLife(slog.LevelInfo)
		l.Observe(e)
		got := out.take()
		silent := e.Closed == session.CauseClient || e.Closed == session.CauseApp || e.Ending == session.EndedClosed && e.Closed == 0 || e.Kind == event.AppRestarted
		if got == "" || !silent && !strings.Contains(got, "fact=") || strings.HasSuffix(got, ": \n") {
			t.Errorf("%s, %s: %q", e, e.Closed, got)
		}
	}
}

// A storm fills no log, what else happens is still told, and afterwards how much
// was left out.
func TestLinesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, out := newTestLife(slog.LevelInfo)
		for range 1000 {
			l.Observe(event.Event{Kind: event.Resumed, Resume: event.ResumeReset, Reset: wire.ResetTryAgain})
		}
		l.Observe(event.Event{Kind: event.Resumed, Resume: event.ResumeReset, Reset: wire.ResetLost})
		got := out.take()
		if n := strings.Count(got, "reason=try_again"); n < 1 || n > int(maxLines.N) {
			t.Errorf("%d lines of 1000", n)
		}
		if !strings.Contains(got, "reason=lost") {
			t.Error("a line of another kind is missing")
		}
		m := New()
		m.WatchLife(l)
		wantLines(t, scrape(t, m), `wsr_log_lines_left_out_total 950`)
		told := int64(strings.Count(got, "try_again"))
		time.Sleep(leftOutAfter + time.Second)
		synctest.Wait()
		want := `level=INFO msg="lines like this were left out" like="resume refused: RESET" event="reset try_again" left_out=`
		if got := out.take(); !strings.Contains(got, want) || strings.Count(got, "\n") != 1 || told != maxLines.N || !strings.Contains(got, "left_out=950") {
			t.Errorf("%s, want %s", got, want)
		}
		l.Observe(event.Event{Kind: event.Resumed, Resume: event.ResumeReset, Reset: wire.ResetTryAgain})
		if got := out.take(); !strings.Contains(got, "try_again") {
			t.Error("nothing is told after the storm")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := out.take(); got != "" {
			t.Errorf("told again: %s", got)
		}
	})
}

// Below the level of the log nothing is made.
func TestLifeBelowLevel(t *testing.T) {
	l, out := newTestLife(slog.LevelError)
	l.Observe(event.Event{Kind: event.Began, Client: event.Resilient})
	l.Observe(event.Event{Kind: event.Panicked}) // has a line of its own
	if got := out.take(); got != "" || len(l.kinds) != 0 {
		t.Errorf("%q", got)
	}
}

// What happens all the time costs nothing.
func TestWhatIsOnlyCountedCostsNothing(t *testing.T) {
	l, _ := newTestLife(slog.LevelInfo)
	who := event.NewSubject(event.About{Path: "/chat"})
	for _, e := range []event.Event{
		{Kind: event.Journaled}, {Kind: event.RoundTrip}, {Kind: event.TimersFired}, {Kind: event.Accepted}, {Kind: event.Dialled},
		{Kind: event.Began}, {Kind: event.Ended, Ending: session.EndedClosed}, // of plain connections
	} {
		e.Session, e.Subject = wire.SessionID{1}, who
		var o event.Observer = l
		if n := testing.AllocsPerRun(100, func() { o.Observe(e) }); n != 0 {
			t.Errorf("%s: %v allocations", e, n)
		}
	}
}

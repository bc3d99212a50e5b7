package observe

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("scrape: status %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func wantLines(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains("\n"+text, "\n"+line+"\n") {
			t.Errorf("the scrape lacks %q", line)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

func TestEvents(t *testing.T) {
	m := New()
	rec := &store.Record{Frames: []store.Frame{{Seq: 1, Data: make([]byte, 10)}, {Seq: 2, Data: make([]byte, 5)}}}
	for _, e := range []event.Event{
		{Kind: event.Refused, Refusal: event.RefusedOrigin},
		{Kind: event.Accepted, Client: event.Resilient},
		{Kind: event.Accepted, Client: event.Resilient},
		{Kind: event.Began, Client: event.Plain},
		{Kind: event.Ended, Client: event.Plain, Ending: session.EndedClosed, Took: 2 * time.Second},
		{Kind: event.Ended, Client: event.Resilient, Ending: session.EndedExpired, Took: time.Hour},
		{Kind: event.Detached, Cause: event.DetachedGone},
		{Kind: event.Resumed, Resume: event.ResumeResumed, Took: 3 * time.Millisecond},
		{Kind: event.Resumed, Resume: event.ResumeAdopted, Adopted: wire.AdoptOwnerLost, Took: 30 * time.Millisecond},
		{Kind: event.Resumed, Resume: event.ResumeReset, Reset: wire.ResetToken, Took: time.Millisecond},
		{Kind: event.Dialled, Answer: event.AppOK, Took: time.Millisecond},
		{Kind: event.Journaled, Record: rec, Took: time.Millisecond},
		{Kind: event.Journaled, Record: rec, Err: fmt.Errorf("%w: %w", store.ErrUnavailable, context.DeadlineExceeded), Took: time.Second},
		{Kind: event.Journaled, Record: rec, Err: fmt.Errorf("epoch 3: %w", store.ErrFenced), Took: time.Millisecond},
		{Kind: event.RoundTrip, Took: 20 * time.Millisecond},
		{Kind: event.LinkState, Link: heartbeat.StateDegraded},
		{Kind: event.Blind},
		{Kind: event.Panicked},
	} {
		m.Observe(e)
	}
	wantLines(t, scrape(t, m),
		`wsr_requests_refused_total{reason="origin"} 1`,
		`wsr_requests_refused_total{reason="host"} 0`,
		`wsr_connections_accepted_total{kind="resilient"} 2`,
		`wsr_sessions_created_total{kind="plain"} 1`,
		`wsr_sessions_ended_total{kind="plain",reason="closed"} 1`,
		`wsr_sessions_ended_total{kind="resilient",reason="expired"} 1`,
		`wsr_session_age_seconds_sum{kind="resilient"} 3600`,
		`wsr_connections_detached_total{cause="gone"} 1`,
		`wsr_resumes_total{outcome="resumed",reason=""} 1`,
		`wsr_resumes_total{outcome="adopted",reason="owner_lost"} 1`,
		`wsr_resumes_total{outcome="reset",reason="token"} 1`,
		`wsr_resume_seconds_count 2`,
		`wsr_upstream_dials_total{outcome="ok"} 1`,
		`wsr_journal_appends_total{result="ok"} 1`,
		`wsr_journal_appends_total{result="unavailable"} 1`,
		`wsr_journal_appends_total{result="fenced"} 1`,
		`wsr_journal_frames_total 2`,
		`wsr_journal_frame_bytes_total 15`,
		`wsr_heartbeat_rtt_seconds_count 1`,
		`wsr_link_state_changes_total{state="DEGRADED"} 1`,
		`wsr_plain_blind_total 1`,
		`wsr_panics_total 1`,
	)
}

func TestTraffic(t *testing.T) {
	m := New()
	wantLines(t, scrape(t, m), `wsr_sessions{state="attached"} 0`)
	m.Watch(func() event.Stats {
		return event.Stats{
			Plain: 1, Attached: 2, Detached: 3, WindowBytes: 4, Budget: 5,
			PlainTraffic: session.Counters{InMessages: 6, OutBytes: 7, BeatsSent: 8},
			Traffic:      session.Counters{OutMessages: 9, InBytes: 10, Duplicates: 11, Replayed: 12, ReplayedBytes: 13, AcksHeard: 14, WindowFull: 15},
			Tunnels:      16, Draining: true, Snapshots: 17, SnapshotBytes: 18, OldTokens: 19,
			Suspicious: 20, Used: event.Used{Memory: .21, Loops: .22, Handshakes: .23, Sessions: .24, Journal: .25}, Driver: "aio",
		}
	})
	wantLines(t, scrape(t, m),
		`wsr_sessions{state="plain"} 1`,
		`wsr_sessions{state="attached"} 2`,
		`wsr_sessions{state="detached"} 3`,
		`wsr_window_bytes 4`,
		`wsr_memory_budget_bytes 5`,
		`wsr_messages_total{direction="inbound",kind="plain"} 6`,
		`wsr_message_bytes_total{direction="outbound",kind="plain"} 7`,
		`wsr_heartbeats_sent_total{kind="plain"} 8`,
		`wsr_messages_total{direction="outbound",kind="resilient"} 9`,
		`wsr_message_bytes_total{direction="inbound",kind="resilient"} 10`,
		`wsr_duplicates_dropped_total 11`,
		`wsr_replayed_messages_total 12`,
		`wsr_replayed_bytes_total 13`,
		`wsr_acks_total{direction="received"} 14`,
		`wsr_window_full_total 15`,
		`wsr_tunnels 16`,
		`wsr_draining 1`,
		`wsr_snapshot_sessions 17`,
		`wsr_snapshot_bytes 18`,
		`wsr_old_tokens 19`,
		`wsr_links_suspicious 20`,
		`wsr_driver{driver="aio"} 1`,
		`wsr_driver{driver="epoll"} 0`,
		`wsr_driver{driver="goroutine"} 0`,
		`wsr_used_ratio{of="memory"} 0.21`,
		`wsr_used_ratio{of="loops"} 0.22`,
		`wsr_used_ratio{of="handshakes"} 0.23`,
		`wsr_used_ratio{of="sessions"} 0.24`,
		`wsr_used_ratio{of="journal"} 0.25`,
	)
}

// TestLabelsAreBounded: whatever an event says, no series is added.
func TestLabelsAreBounded(t *testing.T) {
	m := New()
	count := func(text string) (n int) {
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "wsr_") {
				n++
			}
		}
		return n
	}
	before := count(scrape(t, m))
	for i := range 256 {
		for kind := range event.Values[event.Kind]() {
			v := uint8(i)
			m.Observe(event.Event{
				Kind: kind, Client: event.ClientKind(v), Refusal: event.Refusal(v), Ending: session.Ending(v), Cause: event.DetachCause(v),
				Resume: event.ResumeOutcome(v), Adopted: wire.AdoptReason(v), Reset: wire.ResetReason(v), Forward: event.ForwardOutcome(v),
				Answer: event.AppAnswer(v), HandOver: event.HandOverCause(v), Restart: event.RestartOutcome(v), Ownership: event.OwnershipOutcome(v),
				Link: heartbeat.State(v), Beat: session.BeatFault(v), FromApp: v&1 != 0, Stream: event.StreamOutcome(v), Record: new(store.Record), Err: errors.New("hunter2"),
			})
		}
	}
	text := scrape(t, m)
	if after := count(text); after != before {
		t.Errorf("%d series, %d before", after, before)
	}
	wantLines(t, text, `wsr_requests_refused_total{reason="origin"} 1`, `wsr_journal_appends_total{result="other"} 256`, `wsr_panics_total 256`)
}

// TestEveryKindIsCounted: no kind of event is forgotten.
func TestEveryKindIsCounted(t *testing.T) {
	for kind := range event.Values[event.Kind]() {
		if kind == event.Answered {
			continue // for traces: what becomes of handshakes is counted by other kinds
		}
		m := New()
		ours := func() string {
			_, text, _ := strings.Cut(scrape(t, m), "# HELP wsr_")
			return text
		}
		before := ours()
		m.Observe(event.Event{
			Kind: kind, Refusal: event.RefusedBody, Ending: session.EndedClosed, Adopted: wire.AdoptDrained, Reset: wire.ResetLost,
			Beat: session.BeatStale, Record: new(store.Record), Messages: 1,
		})
		if ours() == before {
			t.Errorf("%v: nothing was counted", kind)
		}
	}
}

func TestEventsDoNotAllocate(t *testing.T) {
	var m event.Observer = New()
	rec := &store.Record{Frames: make([]store.Frame, 3)}
	for kind := range event.Values[event.Kind]() {
		if n := testing.AllocsPerRun(100, func() {
			m.Observe(event.Event{Kind: kind, Refusal: event.RefusedOrigin, Ending: session.EndedClosed, Record: rec, Took: time.Second})
		}); n != 0 {
			t.Errorf("%v: %v allocations, want none", kind, n)
		}
	}
}

func TestNamesAreThoseOfPrometheus(t *testing.T) {
	problems, err := promlint.New(strings.NewReader(scrape(t, New()))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "wsr_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	if !strings.Contains(Markdown(), "| `wsr_sessions` | gauge | `state`: attached, detached, plain |") {
		t.Errorf("the table is not as expected:\n%s", Markdown())
	}
}

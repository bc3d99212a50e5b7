package observe

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/store"
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
	m.Refused("origin")
	m.Accepted("resilient")
	m.Accepted("resilient")
	m.Began("plain")
	m.Ended("plain", "closed", 2*time.Second)
	m.Ended("resilient", "expired", time.Hour)
	m.Detached("gone")
	m.Resumed("resumed", "", 3*time.Millisecond)
	m.Resumed("adopted", "owner_lost", 30*time.Millisecond)
	m.Resumed("reset", "token", time.Millisecond)
	m.Dialled("ok", time.Millisecond)
	rec := &store.Record{Frames: []store.Frame{{Seq: 1, Data: make([]byte, 10)}, {Seq: 2, Data: make([]byte, 5)}}}
	m.Journaled(rec, nil, time.Millisecond)
	m.Journaled(rec, fmt.Errorf("%w: %w", store.ErrUnavailable, context.DeadlineExceeded), time.Second)
	m.Journaled(rec, fmt.Errorf("epoch 3: %w", store.ErrFenced), time.Millisecond)
	m.RoundTrip(20 * time.Millisecond)
	m.LinkState(heartbeat.StateDegraded)
	m.Panicked()
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
		`wsr_panics_total 1`,
	)
}

func TestTraffic(t *testing.T) {
	m := New()
	wantLines(t, scrape(t, m), `wsr_sessions{state="attached"} 0`)
	m.Watch(func() Stats {
		return Stats{
			Plain: 1, Attached: 2, Detached: 3, WindowBytes: 4, Budget: 5,
			PlainTraffic: session.Counters{InMessages: 6, OutBytes: 7, BeatsSent: 8},
			Traffic:      session.Counters{OutMessages: 9, InBytes: 10, Duplicates: 11, Replayed: 12, ReplayedBytes: 13, AcksHeard: 14, WindowFull: 15},
			Tunnels:      16, Draining: true, Snapshots: 17, SnapshotBytes: 18,
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
	)
}

// TestLabelsAreBounded: whatever is passed as a label, no series is added and
// nothing of it shows (I9).
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
	for i := range 1000 {
		secret := fmt.Sprintf("hunter%d", i)
		m.Refused(secret)
		m.Accepted(secret)
		m.Began(secret)
		m.Ended(secret, secret, 0)
		m.Detached(secret)
		m.Resumed(secret, secret, 0)
		m.Resumed("adopted", secret, 0)
		m.Dialled(secret, 0)
		m.Tunnelled(secret, 0)
		m.AppRestarted(secret, 0)
		m.HandedOver(secret)
		m.Authorised(secret)
		m.Doubted(secret)
		m.LinkState(heartbeat.State(i))
	}
	text := scrape(t, m)
	if after := count(text); after != before {
		t.Errorf("%d series, %d before", after, before)
	}
	if strings.Contains(text, "hunter") {
		t.Error("the scrape shows what was passed as a label")
	}
	wantLines(t, text, `wsr_requests_refused_total{reason="other"} 1000`)
}

func TestEventsDoNotAllocate(t *testing.T) {
	m := New()
	rec := &store.Record{Frames: make([]store.Frame, 3)}
	if n := testing.AllocsPerRun(100, func() {
		m.Refused("origin")
		m.Ended("resilient", "closed", time.Second)
		m.Resumed("resumed", "", time.Millisecond)
		m.Journaled(rec, nil, time.Millisecond)
		m.RoundTrip(time.Millisecond)
		m.LinkState(heartbeat.StateConnected)
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
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

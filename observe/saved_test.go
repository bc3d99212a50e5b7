package observe

import (
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/wire"
)

// What sessions saved, and what they did not.
func TestSaved(t *testing.T) {
	m := New()
	for _, e := range []event.Event{
		{Kind: event.Resumed, Resume: event.ResumeResumed, Away: 2 * time.Second, Lacking: 3},
		{Kind: event.Resumed, Resume: event.ResumeAdopted, Adopted: wire.AdoptDrained, Away: 0, Lacking: 4},
		{Kind: event.Resumed, Resume: event.ResumeAdopted, Adopted: wire.AdoptOwnerLost, Away: -1, Lacking: 5}, // not known for how long
		{Kind: event.Resumed, Resume: event.ResumeReset, Reset: wire.ResetLost},
		{Kind: event.Ended, Client: event.Resilient, Ending: session.EndedClosed, Closed: session.CauseNoApp},
		{Kind: event.RoundTrip, Took: 600 * time.Millisecond, Deviation: 50 * time.Millisecond, Loss: .5},
		{Kind: event.RoundTrip, Took: 20 * time.Millisecond},
		{Kind: event.TimersFired, Took: 30 * time.Millisecond},
	} {
		m.Observe(e)
	}
	wantLines(t, scrape(t, m),
		`wsr_messages_saved_total 12`,
		`wsr_away_seconds_count 2`,
		`wsr_away_seconds_sum 2`,
		`wsr_sessions_lost_total{reason="messages"} 1`,
		`wsr_sessions_lost_total{reason="context"} 1`,
		`wsr_sessions_lost_total{reason="gone"} 0`,
		`wsr_heartbeat_rtt_seconds_bucket{le="0.5"} 1`,
		`wsr_heartbeat_rtt_seconds_count 2`,
		`wsr_link_deviation_seconds_bucket{le="0.04"} 1`,
		`wsr_link_deviation_seconds_count 2`,
		`wsr_link_loss_ratio_bucket{le="0.25"} 1`,
		`wsr_timer_late_seconds_bucket{le="0.025"} 0`,
		`wsr_timer_late_seconds_count 1`,
	)
}

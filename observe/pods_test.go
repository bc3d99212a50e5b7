package observe

import (
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/event"
)

func TestPodEvents(t *testing.T) {
	m := New()
	wantLines(t, scrape(t, m),
		`wsr_journal_available 1`, // before anything was heard
		`wsr_tunnel_requests_total{outcome="unreachable"} 0`,
		`wsr_sessions_handed_over_total{cause="deadline"} 0`,
	)
	for _, e := range []event.Event{
		{Kind: event.Forwarded, Forward: event.ForwardServed, Took: 3 * time.Second},
		{Kind: event.Forwarded, Forward: event.ForwardNotOwner, Took: time.Second},
		{Kind: event.Forwarded, Forward: event.ForwardUnreachable, Took: 5 * time.Second},
		{Kind: event.TokenReused},
		{Kind: event.ForeignRecord},
		{Kind: event.StreamChanged, Stream: event.StreamMade},
		{Kind: event.AppRestarted, Restart: event.RestartOK, Took: 2 * time.Second},
		{Kind: event.AppRestarted, Restart: event.RestartGaveUp, Took: 30 * time.Second},
		{Kind: event.HandedOver, HandOver: event.HandOverMoved},
		{Kind: event.HandedOver, HandOver: event.HandOverDetached},
		{Kind: event.Authorized, Answer: event.AppRefused},
		{Kind: event.OwnershipChecked, Ownership: event.OwnershipFenced},
		{Kind: event.StoreChanged, Available: false},
		{Kind: event.Refused, Refusal: event.RefusedMisdirected},
		{Kind: event.Refused, Refusal: event.RefusedProof},
		{Kind: event.Refused, Refusal: event.RefusedJournal},
		{Kind: event.Refused, Refusal: event.RefusedDraining},
		{Kind: event.Detached, Cause: event.DetachedSuperseded},
	} {
		m.Observe(e)
	}
	text := scrape(t, m)
	wantLines(t, text,
		`wsr_tunnel_requests_total{outcome="served"} 1`,
		`wsr_tunnel_requests_total{outcome="not_owner"} 1`,
		`wsr_tunnel_requests_total{outcome="unreachable"} 1`,
		`wsr_tunnel_answer_seconds_count 2`, // the third is no answer
		`wsr_tunnel_answer_seconds_sum 4`,
		`wsr_token_reuse_total 1`,
		`wsr_journal_foreign_messages_total 1`,
		`wsr_journal_streams_changed_total{outcome="made"} 1`,
		`wsr_app_restarts_total{outcome="ok"} 1`,
		`wsr_app_restarts_total{outcome="gave_up"} 1`,
		`wsr_app_restart_seconds_sum 2`,
		`wsr_sessions_handed_over_total{cause="moved"} 1`,
		`wsr_sessions_handed_over_total{cause="detached"} 1`,
		`wsr_resume_authorisations_total{outcome="refused"} 1`,
		`wsr_ownership_checks_total{outcome="fenced"} 1`,
		`wsr_journal_available 0`,
		`wsr_requests_refused_total{reason="misdirected"} 1`,
		`wsr_requests_refused_total{reason="proof"} 1`,
		`wsr_requests_refused_total{reason="journal"} 1`,
		`wsr_requests_refused_total{reason="draining"} 1`,
		`wsr_connections_detached_total{cause="superseded"} 1`,
	)
	m.Observe(event.Event{Kind: event.StoreChanged, Available: true})
	wantLines(t, scrape(t, m), `wsr_journal_available 1`)
}

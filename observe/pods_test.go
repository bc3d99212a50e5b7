package observe

import (
	"testing"
	"time"
)

func TestPodEvents(t *testing.T) {
	m := New()
	wantLines(t, scrape(t, m),
		`wsr_journal_available 1`, // before anything was heard
		`wsr_tunnel_requests_total{outcome="silent"} 0`,
		`wsr_sessions_handed_over_total{cause="deadline"} 0`,
	)
	m.Tunnelled("served", 3*time.Second)
	m.Tunnelled("elsewhere", time.Second)
	m.Tunnelled("silent", 5*time.Second)
	m.TokenReused()
	m.AppRestarted("ok", 2*time.Second)
	m.AppRestarted("gave_up", 30*time.Second)
	m.HandedOver("moved")
	m.HandedOver("detached")
	m.Authorised("refused")
	m.Doubted("fenced")
	m.StoreChanged(false)
	for _, label := range []string{"misdirected", "proof", "strict", "draining"} {
		m.Refused(label)
	}
	for _, cause := range []string{"goaway", "handed", "moved"} {
		m.Detached(cause)
	}
	text := scrape(t, m)
	wantLines(t, text,
		`wsr_tunnel_requests_total{outcome="served"} 1`,
		`wsr_tunnel_requests_total{outcome="elsewhere"} 1`,
		`wsr_tunnel_requests_total{outcome="silent"} 1`,
		`wsr_tunnel_answer_seconds_count 2`, // silence is no answer
		`wsr_tunnel_answer_seconds_sum 4`,
		`wsr_token_reuse_total 1`,
		`wsr_app_restarts_total{outcome="ok"} 1`,
		`wsr_app_restarts_total{outcome="gave_up"} 1`,
		`wsr_app_restart_seconds_sum 2`,
		`wsr_sessions_handed_over_total{cause="moved"} 1`,
		`wsr_sessions_handed_over_total{cause="detached"} 1`,
		`wsr_resume_authorisations_total{outcome="refused"} 1`,
		`wsr_ownership_doubts_total{outcome="fenced"} 1`,
		`wsr_journal_available 0`,
		`wsr_requests_refused_total{reason="misdirected"} 1`,
		`wsr_requests_refused_total{reason="proof"} 1`,
		`wsr_requests_refused_total{reason="strict"} 1`,
		`wsr_requests_refused_total{reason="draining"} 1`,
		`wsr_requests_refused_total{reason="other"} 0`,
		`wsr_connections_detached_total{cause="goaway"} 1`,
		`wsr_connections_detached_total{cause="handed"} 1`,
		`wsr_connections_detached_total{cause="moved"} 1`,
	)
	m.StoreChanged(true)
	wantLines(t, scrape(t, m), `wsr_journal_available 1`)
}

package observe

import "time"

// Tunnelled counts a resume that was passed on to the owner of its session:
// served, elsewhere (the owner has it no more), refused (nobody listens) or
// silent. took is until the answer.
func (m *Metrics) Tunnelled(outcome string, took time.Duration) {
	m.tunnelled.inc(outcome)
	if outcome != "silent" { // then it is our own patience
		m.tunnelTime.Observe(took.Seconds())
	}
}

// TokenReused counts an old token that came although a newer one was known to
// have arrived.
func (m *Metrics) TokenReused() { m.reused.Inc() }

// AppRestarted counts a session whose app went away under it: ok when the app
// came back in time, otherwise gave_up.
func (m *Metrics) AppRestarted(outcome string, took time.Duration) {
	m.restarted.inc(outcome)
	if outcome == "ok" { // otherwise it is WSR_UPSTREAM_RETRY
		m.restartTime.Observe(took.Seconds())
	}
}

// HandedOver counts a session that was given up for another sidecar to adopt,
// by what made it happen: moved (its client came elsewhere), deadline (of the
// drain) or detached (no client was there).
func (m *Metrics) HandedOver(cause string) { m.handed.inc(cause) }

// Authorised counts an answer of the app to WSR_RESUME_AUTH: ok, refused or
// failed.
func (m *Metrics) Authorised(outcome string) { m.authorised.inc(outcome) }

// OwnershipSuspect counts a look at whose a session is after this process had stalled:
// confirmed or fenced.
func (m *Metrics) Doubted(outcome string) { m.doubted.inc(outcome) }

// StoreChanged notes whether the journal is within reach. Until the first
// call it is.
func (m *Metrics) StoreChanged(available bool) {
	if available {
		m.available.Set(1)
	} else {
		m.available.Set(0)
	}
}

// pods registers what happens between sidecars, and between their lives.
func (m *Metrics) pods() {
	m.tunnelled = newSet(m.counter("wsr_tunnel_requests_total", "Resumes that were passed on to the sidecar that owns the session.", "outcome"), tunnelOutcomes)
	m.tunnelTime = m.histogram("wsr_tunnel_answer_seconds", "Time until the owner answered a resume that was passed on to it.", networkBuckets).WithLabelValues()
	m.reused = m.counter("wsr_token_reuse_total", "Old tokens that came although their client was known to have a newer one. More than a few: somebody copies tokens.").WithLabelValues()
	m.restarted = newSet(m.counter("wsr_app_restarts_total", "Sessions that were held because their app socket broke.", "outcome"), restartOutcomes)
	m.restartTime = m.histogram("wsr_app_restart_seconds", "Time that sessions were held until the app was back.", networkBuckets).WithLabelValues()
	m.handed = newSet(m.counter("wsr_sessions_handed_over_total", "Sessions that were given up, complete, for another sidecar to adopt.", "cause"), handovers)
	m.authorised = newSet(m.counter("wsr_resume_authorisations_total", "Answers of the app to WSR_RESUME_AUTH.", "outcome"), outcomes)
	m.doubted = newSet(m.counter("wsr_ownership_doubts_total", "Sessions whose ownership was checked because this process had stalled.", "outcome"), doubts)
	m.available = m.gauge("wsr_journal_available", "1 while the journal is within reach, otherwise 0.")
	m.available.Set(1)
}

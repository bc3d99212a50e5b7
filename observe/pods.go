package observe

import "github.com/wsresilience/wsresilience/event"

// movement counts what happens between sidecars, and between their lives.
func (m *Metrics) movement(e *event.Event) {
	switch e.Kind {
	case event.Forwarded:
		m.forwarded.inc(e.Forward)
		if e.Forward != event.ForwardUnreachable { // then it is our own patience
			m.forwardTime.Observe(e.Took.Seconds())
		}
	case event.HandedOver:
		m.handedOver.inc(e.HandOver)
	case event.AppRestarted:
		m.restarted.inc(e.Restart)
		if e.Restart == event.RestartOK { // otherwise it is WSR_UPSTREAM_RETRY
			m.restartTime.Observe(e.Took.Seconds())
		}
	case event.OwnershipChecked:
		m.ownership.inc(e.Ownership)
	case event.ForeignRecord:
		m.foreign.Inc()
	case event.StreamChanged:
		m.streams.inc(e.Stream)
	case event.StoreChanged: // until the first one it is within reach
		available := 0.
		if e.Available {
			available = 1
		}
		m.available.Set(available)
	}
}

func (m *Metrics) pods() {
	m.forwarded = newSet(m.counter("wsr_tunnel_requests_total", "Resumes that were passed on to the sidecar that owns the session.", "outcome"), event.Values[event.ForwardOutcome]())
	m.forwardTime = m.histogram("wsr_tunnel_answer_seconds", "Time until the owner answered a resume that was passed on to it.", networkBuckets).WithLabelValues()
	m.reused = m.counter("wsr_token_reuse_total", "Old tokens that came although their client was known to have a newer one. More than a few: tokens are being copied.").WithLabelValues()
	m.restarted = newSet(m.counter("wsr_app_restarts_total", "Sessions that were held because their app socket broke.", "outcome"), event.Values[event.RestartOutcome]())
	m.restartTime = m.histogram("wsr_app_restart_seconds", "Time that sessions were held until the app was back.", networkBuckets).WithLabelValues()
	m.handedOver = newSet(m.counter("wsr_sessions_handed_over_total", "Sessions that were given up, complete, for another sidecar to adopt.", "cause"), event.Values[event.HandOverCause]())
	m.authorized = newSet(m.counter("wsr_resume_authorisations_total", "Answers of the app to WSR_RESUME_AUTH, at resumes and every WSR_REAUTH_EVERY.", "outcome"), event.Values[event.AppAnswer]())
	m.ownership = newSet(m.counter("wsr_ownership_checks_total", "Sessions that made sure whether they were still this sidecar's, because its process had stalled.", "outcome"), event.Values[event.OwnershipOutcome]())
	m.foreign = m.counter("wsr_journal_foreign_messages_total", "Messages in the journal that no owner of their session wrote, each time that they are met. They are skipped. Any: somebody else can write there.").WithLabelValues()
	m.streams = newSet(m.counter("wsr_journal_streams_changed_total", "Streams of the journal that were missing or not as they have to be: somebody else can change them. wrong: it stays so until an operator acts, and the log says what it is.", "outcome"), event.Values[event.StreamOutcome]())
	m.available = m.gauge("wsr_journal_available", "1 while the journal is within reach, otherwise 0.")
	m.available.Set(1)
}

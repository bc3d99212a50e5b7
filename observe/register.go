package observe

import (
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/internal/idempotency"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/wire"
)

// Buckets of the histograms, in seconds.
var (
	// What a network does: from a machine's own loopback to a satellite.
	networkBuckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

	// How long users are away: from a reload of a page to a night.
	awayBuckets = []float64{.1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600, 28800}

	// How much round trips vary: around what makes a path suspicious.
	deviationBuckets = []float64{.001, .0025, .005, .01, .02, .04, .08, .16, .32, 1}

	// Shares, of lost heartbeats for one.
	shareBuckets = []float64{0, .03, .1, .25, .5, .75, 1}

	// How late something was that this process does by itself.
	lateBuckets = []float64{.0001, .001, .005, .01, .025, .05, .1, .25, .5, 1}

	// How long a session lives: from one that failed at once to a day.
	ageBuckets = []float64{1, 10, 60, 300, 1800, 3600, 14400, 43200, 86400}
)

// New returns metrics on a registry of their own, with those of the process
// and the Go runtime beside them.
func New() *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), traffic: newTraffic(), keys: newKeys(), certificates: newCertificates()}
	m.registry.MustRegister(m.traffic, m.keys, m.certificates, buildInfo(), collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "wsr_log_lines_dropped_total", Help: "Writes to the log that were dropped because they were not read fast enough.",
		}, m.linesDropped),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "wsr_log_lines_left_out_total", Help: "Lines about sessions that were left out of the log, since there were too many of their kind in a second.",
		}, m.linesLeftOut))
	m.connections()
	m.resumes()
	m.links()
	m.app()
	m.journal()
	m.pods()
	m.settings()
	m.spans()
	m.appLost = m.counter("wsr_app_sockets_lost_total", "Sockets of the app that ended as when it restarts, and that were looked for.").WithLabelValues()
	m.evicted = m.counter("wsr_sessions_evicted_total", "Detached sessions that were given up since memory was short: to the journal, from where their clients get them back, or for good if it is away.").WithLabelValues()
	m.shortages = newSet(m.counter("wsr_shortages_total", "Times that something was used up: descriptors, of which the last are kept for probes and the journal; local ports of an address towards the app.", "resource"), event.Values[event.Resource]())
	refused := m.counter("wsr_messages_refused_total", "Messages above WSR_MAX_MESSAGE. One of a client ends its connection, one of the app its session.", "from")
	m.tooBig = [2]prometheus.Counter{refused.WithLabelValues("client"), refused.WithLabelValues("app")}
	m.skipped = m.counter("wsr_messages_skipped_total", "Messages that resilient clients gave up: connections ended at them again and again, with 1003, 1007 or 1009.").WithLabelValues()
	m.rejected = newSet(m.counter("wsr_heartbeats_rejected_total", "Heartbeats of resilient clients, and answers to ours, that were damaged, stale, or answer none that waits for an answer.", "reason"), span(session.BeatDamaged, session.BeatUnknown))
	m.keyed = newSet(m.counter("wsr_keyed_messages_total", "Messages with a key (WSR_IDEMPOTENCY_RULES): first, and handed to the app; repeated, or underway while another one is with the app, and dropped; in doubt since a sidecar is gone, and handed to the app again, or refused as doubt; unkeyed, with a key of its client that no rule takes, and handed to the app; forbidden by the state of its entity, and dropped.", "fate"), event.Values[idempotency.Fate]())
	m.blind = m.counter("wsr_plain_blind_total", "Plain connections that carry what are no WebSocket frames. They pass as bytes: without pings, and without a close frame when the sidecar stops.").WithLabelValues()
	m.panics = m.counter("wsr_panics_total", "Sessions that broke an invariant and were ended, the process going on. Any is a bug.").WithLabelValues()
	return m
}

func (m *Metrics) connections() {
	m.accepted = newSet(m.counter("wsr_connections_accepted_total", "WebSocket connections that were accepted, resumes included.", "kind"), event.Values[event.ClientKind]())
	m.refused = newSet(m.counter("wsr_requests_refused_total", "Requests that the sidecar refused by itself.", "reason"), event.Values[event.Refusal]())
	m.detached = newSet(m.counter("wsr_connections_detached_total", "Connections that resilient sessions lost.", "cause"), event.Values[event.DetachCause]())
	m.began = newSet(m.counter("wsr_sessions_created_total", "Sessions that began; a plain connection counts as one.", "kind"), event.Values[event.ClientKind]())
	ended := m.counter("wsr_sessions_ended_total", "Sessions that ended.", "kind", "reason")
	m.endedPlain = newSet(ended, event.Values[session.Ending](), "plain")
	m.endedResilient = newSet(ended, event.Values[session.Ending](), "resilient")
	age := m.histogram("wsr_session_age_seconds", "Age of sessions when they ended.", ageBuckets, "kind")
	m.plainAge = age.WithLabelValues("plain")
	m.resilientAge = age.WithLabelValues("resilient")
}

func (m *Metrics) resumes() {
	resumes := m.counter("wsr_resumes_total", "Resumes by how they ended, and why.", "outcome", "reason")
	m.resumed = resumes.WithLabelValues("resumed", "")
	m.adopted = newSet(resumes, span(wire.AdoptDrained, wire.AdoptOwed), "adopted")
	m.reset = newSet(resumes, span(wire.ResetUnknown, wire.ResetTryAgain), "reset")
	m.lost = newSet(m.counter("wsr_sessions_lost_total", "Sessions that their users lost: that ended by neither side's doing, or that clients came back for in vain.", "reason"), event.Values[event.Loss]())
	m.saved = m.counter("wsr_messages_saved_total", "Messages of apps that clients lacked when they came back, and got: sent and lost on the way, or said while they were away.").WithLabelValues()
	m.away = m.histogram("wsr_away_seconds", "Time that users were away: from the loss of a connection to the one on which the session went on, where both are known. A session that moved with its client counts as 0.", awayBuckets).WithLabelValues()
	m.resumeTime = m.histogram("wsr_resume_seconds", "Time from the request of a resume to its WELCOME, where it was granted.", networkBuckets).WithLabelValues()
}

func (m *Metrics) links() {
	m.linkStates = newSet(m.counter("wsr_link_state_changes_total", "Links to clients that entered a state.", "state"), span(heartbeat.StateHandshaking, heartbeat.StateDisconnected))
	m.roundTrip = m.histogram("wsr_heartbeat_rtt_seconds", "Round-trip time of answered heartbeats.", networkBuckets).WithLabelValues()
	m.deviation = m.histogram("wsr_link_deviation_seconds", "Standard deviation of the latest eight round-trip times of a link, at each answered heartbeat. Above 40 ms something on the path is likely to buffer or inspect.", deviationBuckets).WithLabelValues()
	m.loss = m.histogram("wsr_link_loss_ratio", "Share of the latest 32 heartbeats of a link that were not answered in time, at each answered heartbeat.", shareBuckets).WithLabelValues()
	m.timerLate = m.histogram("wsr_timer_late_seconds", "How late timers of sessions fired: what the process and the machine have to do beside them.", lateBuckets).WithLabelValues()
}

func (m *Metrics) app() {
	m.dialled = newSet(m.counter("wsr_upstream_dials_total", "Handshakes with the app.", "outcome"), event.Values[event.AppAnswer]())
	m.dialTime = m.histogram("wsr_upstream_dial_seconds", "Time of a handshake with the app.", networkBuckets).WithLabelValues()
}

func (m *Metrics) journal() {
	m.appended = newSet(m.counter("wsr_journal_appends_total", "Records that were written to the journal, or failed to be.", "result"), event.Values[event.AppendResult]())
	m.frames = m.counter("wsr_journal_frames_total", "Messages in the records that were written.").WithLabelValues()
	m.frameBytes = m.counter("wsr_journal_frame_bytes_total", "Bytes of the messages in the records that were written.").WithLabelValues()
	m.appendTime = m.histogram("wsr_journal_append_seconds", "Time of an append to the journal, failed ones too.", networkBuckets).WithLabelValues()
}

// counter registers a counter. Its series are there once they have been asked
// for.
func (m *Metrics) counter(name, help string, labels ...string) *prometheus.CounterVec {
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	m.registry.MustRegister(vec)
	return vec
}

func (m *Metrics) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	vec := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
	m.registry.MustRegister(vec)
	return vec
}

func (m *Metrics) gauge(name, help string) prometheus.Gauge {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	m.registry.MustRegister(g)
	return g
}

// buildInfo is 1, with what was built as labels.
func buildInfo() prometheus.Collector {
	version := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		version = info.Main.Version
	}
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "wsr_build_info", Help: "1, for the version that runs.",
		ConstLabels: prometheus.Labels{"version": version, "go": runtime.Version()},
	}, func() float64 { return 1 })
}

// Package observe is what an operator sees of a sidecar: metrics, logs and
// the admin endpoint. Nothing here shows a token, a header value or a payload
// (I9), and nothing here makes the data path wait.
package observe

import (
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/store"
)

// Metrics counts what happens in one sidecar. A proxy reports single events
// to its methods, which are safe for concurrent use, take no lock and
// allocate nothing. What happens per message is not reported but read at each
// scrape, from the Stats of Watch.
type Metrics struct {
	registry *prometheus.Registry
	traffic  *traffic
	log      atomic.Pointer[Writer]

	accepted, began               set
	endedPlain, endedResilient    set
	refused, detached, linkStates set
	resumed                       prometheus.Counter
	adopted, reset                set
	dialled, appended             set
	frames, frameBytes, panics    prometheus.Counter
	tunnelled, restarted, handed  set
	authorised, doubted           set
	reused                        prometheus.Counter
	available                     prometheus.Gauge

	plainAge, resilientAge prometheus.Observer
	resumeTime, roundTrip  prometheus.Observer
	dialTime, appendTime   prometheus.Observer
	tunnelTime             prometheus.Observer
	restartTime            prometheus.Observer
}

// Handler answers a scrape in the formats of Prometheus and OpenMetrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}

// Refused counts a request that got no further.
func (m *Metrics) Refused(label string) { m.refused.inc(label) }

// Accepted counts a connection.
func (m *Metrics) Accepted(kind string) { m.accepted.inc(kind) }

// Began counts a session, or a plain connection as its own session.
func (m *Metrics) Began(kind string) { m.began.inc(kind) }

// Ended counts the end of what Began counted.
func (m *Metrics) Ended(kind, reason string, age time.Duration) {
	if kind == "plain" {
		m.endedPlain.inc(reason)
		m.plainAge.Observe(age.Seconds())
		return
	}
	m.endedResilient.inc(reason)
	m.resilientAge.Observe(age.Seconds())
}

// Detached counts a resilient session that lost its connection.
func (m *Metrics) Detached(cause string) { m.detached.inc(cause) }

// Resumed counts how a resume ended: resumed, adopted or reset.
func (m *Metrics) Resumed(outcome, reason string, took time.Duration) {
	switch outcome {
	case "resumed":
		m.resumed.Inc()
	case "adopted":
		m.adopted.inc(reason)
	default:
		m.reset.inc(reason)
		return // a refusal's time says nothing about a user's wait
	}
	m.resumeTime.Observe(took.Seconds())
}

// Dialled counts a handshake with the app.
func (m *Metrics) Dialled(outcome string, took time.Duration) {
	m.dialled.inc(outcome)
	m.dialTime.Observe(took.Seconds())
}

// Journaled counts an append to the journal. err wraps one of store's.
func (m *Metrics) Journaled(rec *store.Record, err error, took time.Duration) {
	m.appended.inc(appendResult(err))
	m.appendTime.Observe(took.Seconds())
	if err != nil {
		return
	}
	size := 0
	for i := range rec.Frames {
		size += len(rec.Frames[i].Data)
	}
	m.frames.Add(float64(len(rec.Frames)))
	m.frameBytes.Add(float64(size))
}

// appendResult names what became of an append.
func appendResult(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, store.ErrBusy):
		return "busy"
	case errors.Is(err, store.ErrFenced):
		return "fenced"
	case errors.Is(err, store.ErrEnded):
		return "ended"
	case errors.Is(err, store.ErrLost):
		return "lost"
	case errors.Is(err, store.ErrFull):
		return "full"
	case errors.Is(err, store.ErrTooLarge):
		return "too_large"
	case errors.Is(err, store.ErrCorrupt):
		return "corrupt"
	case errors.Is(err, store.ErrUnavailable):
		return "unavailable"
	}
	return other
}

// RoundTrip takes note of one answered heartbeat.
func (m *Metrics) RoundTrip(rtt time.Duration) { m.roundTrip.Observe(rtt.Seconds()) }

// LinkState counts a link that entered state.
func (m *Metrics) LinkState(state heartbeat.State) { m.linkStates.inc(state.String()) }

// Panicked counts a session that broke an invariant and was ended.
func (m *Metrics) Panicked() { m.panics.Inc() }

// WatchLog makes every scrape show what w dropped.
func (m *Metrics) WatchLog(w *Writer) { m.log.Store(w) }

// linesDropped is what the log lost so far.
func (m *Metrics) linesDropped() float64 {
	w := m.log.Load()
	if w == nil {
		return 0
	}
	return float64(w.Dropped())
}

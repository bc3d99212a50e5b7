// Package observe is what an operator sees of a sidecar: metrics, logs and
// the admin endpoint. Nothing here shows a token, a header value or a payload
// (I9), and nothing here makes the data path wait.
package observe

import (
	"net/http"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/internal/idempotency"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/wire"
)

// Metrics counts what happens in one sidecar. It is the proxy's Observer, takes
// no lock and allocates nothing. What happens per message is no event but read
// at each scrape, from the Stats of Watch.
type Metrics struct {
	traces       traces
	registry     *prometheus.Registry
	traffic      *traffic
	keys         *keys
	certificates *certificates
	log          atomic.Pointer[Writer]
	life         atomic.Pointer[Life]

	accepted, began            set[event.ClientKind]
	endedPlain, endedResilient set[session.Ending]
	refused                    set[event.Refusal]
	detached                   set[event.DetachCause]
	linkStates                 set[heartbeat.State]
	resumed                    prometheus.Counter
	adopted                    set[wire.AdoptReason]
	reset                      set[wire.ResetReason]
	dialled, authorized        set[event.AppAnswer]
	appended                   set[event.AppendResult]
	frames, frameBytes, panics prometheus.Counter
	forwarded                  set[event.ForwardOutcome]
	restarted                  set[event.RestartOutcome]
	handedOver                 set[event.HandOverCause]
	ownership                  set[event.OwnershipOutcome]
	reused                     prometheus.Counter
	foreign                    prometheus.Counter
	blind                      prometheus.Counter
	streams                    set[event.StreamOutcome]
	available                  prometheus.Gauge
	shortages                  set[event.Resource]
	evicted, appLost, skipped  prometheus.Counter
	reloads, refusedReloads    prometheus.Counter
	refusedSettings            prometheus.Gauge
	tooBig                     [2]prometheus.Counter // of clients, of the app
	rejected                   set[session.BeatFault]
	keyed                      set[idempotency.Fate]
	lost                       set[event.Loss]
	saved                      prometheus.Counter

	plainAge, resilientAge prometheus.Observer
	resumeTime, roundTrip  prometheus.Observer
	away, deviation, loss  prometheus.Observer
	timerLate              prometheus.Observer
	dialTime, appendTime   prometheus.Observer
	forwardTime            prometheus.Observer
	restartTime            prometheus.Observer
}

// Observe counts an event.
func (m *Metrics) Observe(e event.Event) {
	switch e.Kind {
	case event.Refused:
		m.refused.inc(e.Refusal)
	case event.Accepted:
		m.accepted.inc(e.Client)
	case event.Began:
		m.began.inc(e.Client)
	case event.Ended:
		m.ended(&e)
	case event.Detached:
		m.detached.inc(e.Cause)
	case event.Resumed:
		m.resumeEnded(&e)
	case event.TokenReused:
		m.reused.Inc()
	case event.Authorized:
		m.authorized.inc(e.Answer)
	case event.Dialled:
		m.dialled.inc(e.Answer)
		m.dialTime.Observe(e.Took.Seconds())
	case event.Journaled:
		m.journaled(&e)
	case event.RoundTrip:
		m.roundTrip.Observe(e.Took.Seconds())
		m.deviation.Observe(e.Deviation.Seconds())
		m.loss.Observe(e.Loss)
	case event.TimersFired:
		m.timerLate.Observe(e.Took.Seconds())
	case event.LinkState:
		m.linkStates.inc(e.Link)
	case event.Short:
		m.shortages.inc(e.Resource)
	case event.AppLost:
		m.appLost.Inc()
	case event.Evicted:
		m.evicted.Inc()
	case event.MessageRefused:
		if e.FromApp {
			m.tooBig[1].Inc()
		} else {
			m.tooBig[0].Inc()
		}
	case event.MessageSkipped:
		m.skipped.Add(float64(e.Messages))
	case event.HeartbeatRejected:
		m.rejected.inc(e.Beat)
	case event.Keyed:
		m.keyed.inc(e.Fate)
	case event.Blind:
		m.blind.Inc()
	case event.Panicked:
		m.panics.Inc()
	default:
		m.movement(&e)
	}
}

func (m *Metrics) ended(e *event.Event) {
	if e.Client == event.Plain {
		m.endedPlain.inc(e.Ending)
		m.plainAge.Observe(e.Took.Seconds())
		return
	}
	m.endedResilient.inc(e.Ending)
	m.lost.inc(e.Lost())
	m.resilientAge.Observe(e.Took.Seconds())
}

func (m *Metrics) resumeEnded(e *event.Event) {
	switch e.Resume {
	case event.ResumeResumed:
		m.resumed.Inc()
	case event.ResumeAdopted:
		m.adopted.inc(e.Adopted)
	default:
		m.reset.inc(e.Reset)
		m.lost.inc(e.Lost())
		return // a refusal's time says nothing about a user's wait
	}
	m.saved.Add(float64(e.Lacking))
	if e.Away >= 0 {
		m.away.Observe(e.Away.Seconds())
	}
	m.resumeTime.Observe(e.Took.Seconds())
}

func (m *Metrics) journaled(e *event.Event) {
	m.appended.inc(event.ResultOf(e.Err))
	m.appendTime.Observe(e.Took.Seconds())
	if e.Err != nil {
		return
	}
	size := 0
	for i := range e.Record.Frames {
		size += len(e.Record.Frames[i].Data)
	}
	m.frames.Add(float64(len(e.Record.Frames)))
	m.frameBytes.Add(float64(size))
}

// Handler answers a scrape in the formats of Prometheus and OpenMetrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}

// WatchLife makes every scrape show what l left out.
func (m *Metrics) WatchLife(l *Life) { m.life.Store(l) }

// linesLeftOut is what the log was spared so far.
func (m *Metrics) linesLeftOut() float64 {
	l := m.life.Load()
	if l == nil {
		return 0
	}
	return float64(l.LeftOut())
}

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

package observe

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// SpanCounts are what became of the spans of traces so far.
type SpanCounts struct {
	Exported uint64 // the collector has them
	Full     uint64 // dropped: the queue was full
	Failed   uint64 // dropped: the collector was away, or refused a batch
	Rejected uint64 // by a collector that took others
}

// traces turns the counts into metrics.
type traces struct {
	counts atomic.Pointer[func() SpanCounts]
}

// WatchTraces makes every scrape ask counts, which must be safe for concurrent use.
// Until then all of it reads 0.
func (m *Metrics) WatchTraces(counts func() SpanCounts) { m.traces.counts.Store(&counts) }

func (m *Metrics) spans() {
	for outcome, of := range map[string]func(SpanCounts) uint64{
		"exported": func(c SpanCounts) uint64 { return c.Exported },
		"full":     func(c SpanCounts) uint64 { return c.Full },
		"failed":   func(c SpanCounts) uint64 { return c.Failed },
		"rejected": func(c SpanCounts) uint64 { return c.Rejected },
	} {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name:        "wsr_trace_spans_total",
			Help:        "Spans by what became of them: exported to the collector; dropped since the queue was full (OTEL_BSP_MAX_QUEUE_SIZE), or since sending failed; rejected by a collector that took others.",
			ConstLabels: prometheus.Labels{"outcome": outcome},
		}, func() float64 {
			counts := m.traces.counts.Load()
			if counts == nil {
				return 0
			}
			return float64(of((*counts)()))
		}))
	}
}

package observe

import "testing"

func TestTraces(t *testing.T) {
	m := New()
	wantLines(t, scrape(t, m), `wsr_trace_spans_total{outcome="exported"} 0`)
	m.WatchTraces(func() SpanCounts { return SpanCounts{1, 2, 3, 4} })
	wantLines(t, scrape(t, m), `wsr_trace_spans_total{outcome="exported"} 1`, `wsr_trace_spans_total{outcome="full"} 2`,
		`wsr_trace_spans_total{outcome="failed"} 3`, `wsr_trace_spans_total{outcome="rejected"} 4`)
}

package admission

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics count what the webhook does. They are safe for concurrent use.
type Metrics struct {
	pods     *prometheus.CounterVec
	duration prometheus.Histogram
	errors   *prometheus.CounterVec
}

// NewMetrics registers the metrics; expiry says when the certificate ends, and
// the zero time while there is none.
func NewMetrics(registry prometheus.Registerer, expiry func() time.Time) *Metrics {
	m := &Metrics{
		pods: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wsr_injector_pods_total", Help: "Pods that the API server asked about, by what became of them and why.",
		}, []string{"outcome", "reason"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "wsr_injector_duration_seconds", Help: "Time to answer a review.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wsr_injector_cluster_errors_total", Help: "Calls to the API server that failed or took too long.",
		}, []string{"call"}),
	}
	registry.MustRegister(m.pods, m.duration, m.errors, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "wsr_injector_certificate_expiry_seconds", Help: "When the webhook's certificate ends, as Unix time; 0 while there is none.",
	}, func() float64 {
		if t := expiry(); !t.IsZero() {
			return float64(t.Unix())
		}
		return 0
	}))
	for _, call := range []string{"namespace", "services", "secret", "event", "certificate", "version", "round", "nats"} {
		m.errors.WithLabelValues(call)
	}
	return m
}

// ClusterError counts a failed call.
func (m *Metrics) ClusterError(call string) { m.errors.WithLabelValues(call).Inc() }

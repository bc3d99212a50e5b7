package observe

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A CertificateState is what an operator should know of a certificate.
type CertificateState struct {
	Of       string // listener, peers
	NotAfter time.Time
	Invalid  bool // its files cannot be used, so that those of before are
}

// certificates turns their states into metrics. A sidecar without TLS has none.
type certificates struct {
	states atomic.Pointer[func() []CertificateState]

	end, invalid *prometheus.Desc
}

func newCertificates() *certificates {
	return &certificates{
		end:     prometheus.NewDesc("wsr_certificate_not_after_seconds", "When a certificate that is in use ends, as a Unix time: of the listener (WSR_TLS_CERT), or for other sidecars (peers, WSR_PEER_CERT). Absent without TLS.", []string{"of"}, nil),
		invalid: prometheus.NewDesc("wsr_certificate_files_invalid", "1 while the files of a certificate, or its authorities, cannot be used, so that those of before stay, otherwise 0. Absent without TLS.", []string{"of"}, nil),
	}
}

// WatchCertificates makes every scrape ask states, which must be safe for
// concurrent use. Until then all of it reads 0.
func (m *Metrics) WatchCertificates(states func() []CertificateState) {
	m.certificates.states.Store(&states)
}

// Describe implements prometheus.Collector.
func (c *certificates) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.end
	ch <- c.invalid
}

// Collect implements prometheus.Collector.
func (c *certificates) Collect(ch chan<- prometheus.Metric) {
	list := []CertificateState{{Of: "listener"}, {Of: "peers"}}
	if states := c.states.Load(); states != nil {
		list = (*states)()
	}
	for _, s := range list {
		invalid := 0.0
		if s.Invalid {
			invalid = 1
		}
		ch <- prometheus.MustNewConstMetric(c.end, gauge, unix(s.NotAfter), s.Of)
		ch <- prometheus.MustNewConstMetric(c.invalid, gauge, invalid, s.Of)
	}
}

func unix(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.Unix())
}

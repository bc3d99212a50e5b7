package observe

import (
	"strings"
	"testing"
	"time"
)

func TestCertificates(t *testing.T) {
	m := New()
	wantLines(t, scrape(t, m), `wsr_certificate_files_invalid{of="peers"} 0`)
	m.WatchCertificates(func() []CertificateState { return nil })
	if text := scrape(t, m); strings.Contains(text, "wsr_certificate") {
		t.Errorf("without TLS: %s", text)
	}
	m.WatchCertificates(func() []CertificateState {
		return []CertificateState{{"listener", time.Unix(1893456000, 5), false}, {"peers", time.Unix(1, 0), true}}
	})
	wantLines(t, scrape(t, m),
		`wsr_certificate_not_after_seconds{of="listener"} 1.893456e+09`,
		`wsr_certificate_files_invalid{of="listener"} 0`,
		`wsr_certificate_not_after_seconds{of="peers"} 1`,
		`wsr_certificate_files_invalid{of="peers"} 1`,
	)
}

package main

import "testing"

const exposition = `# HELP apiserver_admission_webhook_admission_duration_seconds x
apiserver_admission_webhook_admission_duration_seconds_bucket{name="namespace.inject.wsresilience.io",operation="CREATE",le="0.005"} 90
apiserver_admission_webhook_admission_duration_seconds_bucket{name="namespace.inject.wsresilience.io",operation="CREATE",le="0.025"} 98
apiserver_admission_webhook_admission_duration_seconds_bucket{name="namespace.inject.wsresilience.io",operation="CREATE",le="+Inf"} 100
apiserver_admission_webhook_admission_duration_seconds_bucket{name="pod.inject.wsresilience.io",operation="CREATE",le="0.005"} 0
apiserver_admission_webhook_admission_duration_seconds_bucket{name="pod.inject.wsresilience.io",operation="CREATE",le="0.025"} 100
apiserver_admission_webhook_admission_duration_seconds_bucket{name="pod.inject.wsresilience.io",operation="CREATE",le="+Inf"} 100
apiserver_admission_webhook_admission_duration_seconds_bucket{name="other",operation="CREATE",le="+Inf"} 7
`

func TestHistogram(t *testing.T) {
	h := parseHistogram(exposition, "apiserver_admission_webhook_admission_duration_seconds_bucket", "inject.wsresilience.io")
	if h.count() != 200 || h[0.005] != 90 || h[0.025] != 198 {
		t.Fatalf("read %v", h)
	}
	if p50, p99 := h.quantile(.5), h.quantile(.99); p50 != 0.025 || p99 != 0.025 {
		t.Errorf("median below %v, 99th percentile below %v", p50, p99)
	}
	later := histogram{}
	for bound, n := range h {
		later[bound] = 2 * n
	}
	if d := later.since(h); d.count() != 200 {
		t.Errorf("the difference has %v", d.count())
	}
}

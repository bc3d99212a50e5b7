package measure

import (
	"testing"
)

const metricsText = `# HELP go_gc_duration_seconds A summary.
# TYPE go_gc_duration_seconds summary
go_gc_duration_seconds{quantile="0.5"} 1.5e-05
go_gc_duration_seconds{quantile="1"} 0.000125
wsr_sessions{state="a b"} 3

go_memstats_heap_inuse_bytes 4.096e+06
`

func TestParseMetrics(t *testing.T) {
	m, err := parseMetrics([]byte(metricsText))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{
		`go_gc_duration_seconds{quantile="1"}`: 0.000125,
		`wsr_sessions{state="a b"}`:            3,
		`go_memstats_heap_inuse_bytes`:         4096000,
	} {
		if got := m[name]; got != want {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
	if len(m) != 4 {
		t.Errorf("%d metrics, want 4: %v", len(m), m)
	}
	for _, bad := range []string{"word", "name value", "name "} {
		if _, err := parseMetrics([]byte(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func FuzzParseMetrics(f *testing.F) {
	f.Add([]byte(metricsText))
	f.Add([]byte("a 1\nb{c=\"d e\"} NaN\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := parseMetrics(text)
		if err != nil && m != nil {
			t.Fatalf("%d metrics beside the error %v", len(m), err)
		}
	})
}

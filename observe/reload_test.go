package observe

import "testing"

func TestReloads(t *testing.T) {
	m := New()
	wantLines(t, scrape(t, m), `wsr_settings_reloads_total{outcome="ok"} 0`, `wsr_settings_reloads_total{outcome="refused"} 0`, `wsr_settings_invalid 0`)
	m.Reloaded(false)
	wantLines(t, scrape(t, m), `wsr_settings_reloads_total{outcome="refused"} 1`, `wsr_settings_invalid 1`)
	m.Reloaded(true)
	wantLines(t, scrape(t, m), `wsr_settings_reloads_total{outcome="ok"} 1`, `wsr_settings_invalid 0`)
}

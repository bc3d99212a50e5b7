package observe

import "testing"

func TestKeys(t *testing.T) {
	m := New()
	wantLines(t, scrape(t, m), `wsr_keys_file_invalid 0`)
	m.WatchKeys(func() []KeyUse { return []KeyUse{{"aa", 1, 2, 3}, {"bb", 2, 0, 4}} })
	m.KeysFileInvalid(true)
	wantLines(t, scrape(t, m),
		`wsr_keys_file_invalid 1`,
		`wsr_key_place{key="aa"} 1`,
		`wsr_key_uses_total{key="aa",use="seal"} 2`,
		`wsr_key_uses_total{key="aa",use="open"} 3`,
		`wsr_key_place{key="bb"} 2`,
		`wsr_key_uses_total{key="bb",use="open"} 4`,
	)
}

package heartbeat

import (
	"math"
	"testing"
	"time"
)

func TestInterval(t *testing.T) {
	const s = time.Second
	wide := &Config{Min: s, Max: 5 * time.Minute}
	tests := []struct {
		name string
		cfg  *Config
		rtt  time.Duration
		loss float64
		want time.Duration
	}{
		{"default, nothing measured", nil, 0, 0, 5 * s},
		{"zero value is the default", &Config{}, 0, 0, 5 * s},
		{"negative is the default", &Config{Base: -1, Min: -1, Max: -1}, 0, 0, 5 * s},
		{"a quick link is not asked more often", nil, 10 * ms, 0, 5 * s},
		{"the reference round trip", nil, 100 * ms, 0, 5 * s},
		{"twice the reference", nil, 200 * ms, 0, 10 * s},
		{"a quarter lost", nil, 0, 0.25, 7500 * ms},
		{"both", nil, 150 * ms, 0.25, 11250 * ms},
		{"above the maximum", nil, time.Second, 0, 15 * s},
		{"below the minimum", &Config{Base: 200 * ms}, 0, 0, 1 * s},
		{"below the minimum, until the link calls for more", &Config{Base: 2 * s, Min: 5 * s}, 300 * ms, 0, 6 * s},
		{"maximum wins", &Config{Min: 20 * s, Max: 10 * s}, 0, 0, 10 * s},
		{"loss counts up to 0.99", wide, 0, 1, 14900 * ms},
		{"exactly 30 s", wide, 600 * ms, 0, 29 * s},
		{"just above 30 s", wide, 619 * ms, 0, 29 * s},
		{"just below 30 s", wide, 581 * ms, 0, 29 * s},
		{"a second above 30 s", wide, 620 * ms, 0, 31 * s},
		{"exactly 60 s", wide, 1200 * ms, 0, 59 * s},
		{"the maximum is 30 s", &Config{Max: 30 * s}, time.Hour, 1, 29 * s},
		{"the minimum is 60 s", &Config{Min: 60 * s, Max: 60 * s}, 0, 0, 59 * s},
		{"a product beyond any Duration", &Config{Base: 24 * 365 * time.Hour}, math.MaxInt64, 1, 15 * s},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.cfg.Interval(tt.rtt, tt.loss); got != tt.want {
				t.Errorf("interval %v, want %v", got, tt.want)
			}
		})
	}
}

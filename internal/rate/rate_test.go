package rate

import (
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/internal/monotime"
)

// TestBucket plays takes: at each moment how many are taken, and how long the next
// one waits then.
func TestBucket(t *testing.T) {
	const s, ms = time.Second, time.Millisecond
	type line struct {
		at   time.Duration
		take int64
		wait time.Duration
	}
	for name, tt := range map[string]struct {
		limit Limit
		play  []line
	}{
		"no limit": {Limit{}, []line{{0, 1 << 30, 0}, {0, 1 << 30, 0}}},
		"ten a second": {Limit{10, s}, []line{
			{0, 9, 0},
			{0, 1, 100 * ms}, // all ten at once
			{99 * ms, 0, ms},
			{100 * ms, 1, 100 * ms}, // then one each tenth of a second
			{250 * ms, 1, 50 * ms},
		}},
		"it fills up, and not beyond": {Limit{10, s}, []line{
			{0, 10, 100 * ms},
			{500 * ms, 4, 0},
			{time.Hour, 9, 0},
			{time.Hour, 1, 100 * ms},
		}},
		"a debt is paid first": {Limit{10, s}, []line{
			{0, 100, 9*s + 100*ms},
			{5 * s, 0, 4*s + 100*ms},
			{9*s + 100*ms, 0, 0},
		}},
		"one a minute":             {Limit{1, time.Minute}, []line{{0, 1, time.Minute}, {59 * s, 0, s}, {time.Minute, 1, time.Minute}}},
		"what does not divide":     {Limit{3, s}, []line{{0, 2, 0}, {0, 1, 333_333_332}}},
		"the largest, and a debt":  {Limit{1 << 30, s}, []line{{0, 1 << 30, 0}, {0, 1 << 30, s}}},
		"a long debt at low rates": {Limit{1 << 10, s}, []line{{0, 1 << 30, (1<<20-1)*s + 976_562}}},
	} {
		for _, begin := range []monotime.Time{1, -monotime.Time(time.Hour)} { // before the process too
			var b Bucket
			for _, l := range tt.play {
				now := begin.Add(l.at)
				b.Take(now, tt.limit, l.take)
				if wait := b.Wait(now, tt.limit); wait != l.wait {
					t.Errorf("%s: after %v the next waits %v, want %v", name, l.at, wait, l.wait)
				}
			}
		}
	}
}

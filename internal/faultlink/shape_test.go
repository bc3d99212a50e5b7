package faultlink

import (
	"testing"
	"time"
)

func TestDelayStaysWithinJitter(t *testing.T) {
	s := shape{latency: 30 * time.Millisecond, jitter: 40 * time.Millisecond}
	for _, c := range []struct {
		random float64
		want   time.Duration
	}{
		{0, 0}, // 30 - 40 is before now
		{0.5, 30 * time.Millisecond},
		{0.75, 50 * time.Millisecond},
	} {
		if got := s.delay(c.random); got != c.want {
			t.Errorf("delay(%v) = %v, want %v", c.random, got, c.want)
		}
	}
}

// A pending cut lets exactly its bytes pass, however they are asked for, and
// cuts once. The model counts bytes one by one.
func FuzzPendingCut(f *testing.F) {
	f.Add(uint16(0), []byte{1})
	f.Add(uint16(10), []byte{4, 4, 4, 4})
	f.Add(uint16(8), []byte{4, 4, 4})
	f.Fuzz(func(t *testing.T, left uint16, wants []byte) {
		tr := pendingCut{set: true, left: int64(left)}
		asked, passed, done := 0, 0, false
		for _, w := range wants {
			want := int(w) + 1
			n, hit := tr.take(want)
			if done {
				if n != want || hit {
					t.Fatalf("a cut that is done let %d of %d pass, hit %v", n, want, hit)
				}
				continue
			}
			asked, passed = asked+want, passed+n
			if done = asked >= int(left); done != hit {
				t.Fatalf("asked for %d of %d, hit %v", asked, left, hit)
			}
			if want := min(asked, int(left)); passed != want {
				t.Fatalf("%d passed, want %d", passed, want)
			}
		}
	})
}

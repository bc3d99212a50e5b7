package sim

import (
	"math/rand/v2"
	"testing"
	"time"
)

// Events happen in the order of their times, and those of one time in the order in
// which they were added, however many wait.
func TestEventsHappenInOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for round := range 300 {
		// Most events wait for long, and a few clusters of them do not: the heap
		// has small branches beside large ones.
		c := clock{now: began}
		type mark struct {
			at     int64
			serial uint64
		}
		var last mark
		left := 2000
		var add func()
		add = func() {
			left--
			at := c.now.Add(time.Duration(random.Int64N(int64(1) << random.IntN(34))))
			m := mark{at.UnixNano(), c.serial + 1}
			c.at(at, func() {
				if m.at < last.at || m.at == last.at && m.serial < last.serial {
					t.Fatalf("round %d: event %d of %d happens behind event %d of %d", round, m.serial, m.at, last.serial, last.at)
				}
				last = m
				for range random.IntN(4) {
					if left > 0 {
						add()
					}
				}
			})
		}
		for range 1 + random.IntN(100) {
			add()
		}
		if !c.runUntil(began.Add(time.Hour)) || len(c.queue) > 0 {
			t.Fatalf("round %d: %d events are left", round, len(c.queue))
		}
	}
}

package proxy

import (
	"sync/atomic"
	"time"

	"github.com/wsresilience/wsresilience/internal/monotime"
	"github.com/wsresilience/wsresilience/session"
)

// stallCheckInterval is how often a stallDetector looks at the clock, unless
// leases are short.
const stallCheckInterval = time.Second

// A stallDetector notices that this process did not run for so long that others
// may take it for dead and have adopted its sessions: it was stopped, or its
// machine was asleep. It looks at the clock regularly; whoever finds that the
// last look is too long ago has found a stall. It is safe for concurrent use.
type stallDetector struct {
	limit time.Duration // 0: nobody would adopt anything
	last  atomic.Int64  // the last look, as a monotime.Time
	count atomic.Uint32 // stalls so far
}

// start begins at now; sleeps longer than limit are stalls.
func (d *stallDetector) start(now time.Time, limit time.Duration) {
	d.limit = limit
	d.last.Store(int64(monotime.At(now)))
}

// stalls returns how many stalls there were, the one that ends now included.
func (d *stallDetector) stalls(now time.Time) uint32 {
	if d.limit == 0 {
		return 0
	}
	if last := d.last.Load(); int64(monotime.At(now))-last > int64(d.limit) {
		d.note(now, last)
	}
	return d.count.Load()
}

// note counts the stall since last, once, before the look that ends it can be
// seen.
func (d *stallDetector) note(now time.Time, last int64) {
	seen := d.count.Load()
	if d.last.Load() == last && d.count.CompareAndSwap(seen, seen+1) {
		d.last.Store(int64(monotime.At(now)))
	}
}

// watch looks at the clocks until stop is closed. While a machine sleeps its
// monotonic clock may stand still, and the wall clock tells.
func (d *stallDetector) watch(stop <-chan struct{}) {
	tick := time.NewTicker(min(stallCheckInterval, d.limit/4))
	defer tick.Stop()
	wall := time.Now().Round(0)
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			now := time.Now() // not when the tick was due
			d.stalls(now)
			if now.Round(0).Sub(wall) > d.limit {
				d.count.Add(1)
			}
			wall = now.Round(0)
			d.last.Store(int64(monotime.At(now)))
		}
	}
}

// suspectOwnershipLocked makes the session find out whether it is still ours.
func (c *sessionDriver) suspectOwnershipLocked(now time.Time, stalls uint32) {
	c.stalls = stalls
	if m, ok := c.m.(*session.Session); ok && !c.over {
		m.SuspectOwnership()
		c.armLocked(now, now) // this step may be one that only looks
	}
}

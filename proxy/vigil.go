package proxy

import (
	"sync/atomic"
	"time"

	"github.com/wsresilience/wsresilience/internal/monotime"
	"github.com/wsresilience/wsresilience/session"
)

// vigilPace is how often the vigil looks at the clock, but with short leases.
const vigilPace = time.Second

// vigil notices that this process did not run for so long that others may
// take it for dead and have adopted its sessions: it was stopped, or its
// machine was asleep. It looks at the clock regularly; whoever finds that the
// last look is too long ago has found a stall. It is safe for concurrent use.
type vigil struct {
	limit time.Duration // 0: nobody would adopt anything
	last  atomic.Int64  // the last look, as a monotime.Time
	count atomic.Uint32 // stalls so far
}

// start begins at now; sleeps longer than limit are stalls.
func (v *vigil) start(now time.Time, limit time.Duration) {
	v.limit = limit
	v.last.Store(int64(monotime.At(now)))
}

// stalls returns how many stalls there were, the one that ends now included.
func (v *vigil) stalls(now time.Time) uint32 {
	if v.limit == 0 {
		return 0
	}
	if last := v.last.Load(); int64(monotime.At(now))-last > int64(v.limit) {
		v.note(now, last)
	}
	return v.count.Load()
}

// note counts the stall since last, once, before the look that ends it can be
// seen.
func (v *vigil) note(now time.Time, last int64) {
	seen := v.count.Load()
	if v.last.Load() == last && v.count.CompareAndSwap(seen, seen+1) {
		v.last.Store(int64(monotime.At(now)))
	}
}

// watch looks at the clocks until stop is closed. While a machine sleeps its
// monotonic clock may stand still, and the wall clock tells.
func (v *vigil) watch(stop <-chan struct{}) {
	tick := time.NewTicker(min(vigilPace, v.limit/4))
	defer tick.Stop()
	wall := time.Now().Round(0)
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			now := time.Now() // not when the tick was due
			v.stalls(now)
			if now.Round(0).Sub(wall) > v.limit {
				v.count.Add(1)
			}
			wall = now.Round(0)
			v.last.Store(int64(monotime.At(now)))
		}
	}
}

// wake makes the session find out whether it is still ours. The caller holds
// the conduit's lock.
func (c *conduit) wake(now time.Time, stalls uint32) {
	c.stall = stalls
	if m, ok := c.m.(*session.Session); ok && !c.over {
		m.SuspectOwnership()
		c.arm(now, now) // this step may be one that only looks
	}
}

package demo

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/internal/faultlink"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

// The demo's network, where nothing is cut.
const (
	// linkLatency and linkJitter are those of a fair mobile network, so that
	// messages are under way when a cut comes.
	linkLatency = 20 * time.Millisecond
	linkJitter  = 5 * time.Millisecond

	// longestSilence is just below what the plain client stands.
	longestSilence = 1800 * time.Millisecond
)

// cutter breaks a link, in one way after the other.
type cutter struct {
	link  *faultlink.Link
	tally *tally
	every time.Duration

	mu   sync.Mutex // held during a cut
	next int
}

// run cuts again and again until ctx ends, and leaves the link whole.
func (c *cutter) run(ctx context.Context) {
	for {
		if proc.Sleep(ctx, c.every) != nil {
			return
		}
		c.cut(ctx)
	}
}

// cut breaks the link in the next way.
func (c *cutter) cut(ctx context.Context) {
	if !c.mu.TryLock() {
		return // it is being cut
	}
	defer c.mu.Unlock()
	ways := [...]func(context.Context){
		c.kill(faultlink.RST, "RST, as a middlebox does that forgot the connections"),
		c.kill(faultlink.FIN, "FIN, as a proxy does that restarts"),
		c.kill(faultlink.DropTarget, "half open, the clients are not told"),
		c.silence,
		c.kill(faultlink.DropClient, "half open, the sidecar is not told"),
	}
	ways[c.next%len(ways)](ctx)
	c.next++
}

func (c *cutter) kill(kind faultlink.Kind, how string) func(context.Context) {
	return func(context.Context) {
		c.tally.fault(cutFault, "cut: %s", how)
		c.link.Cut(kind)
	}
}

// silence holds everything up for a while and loses nothing.
func (c *cutter) silence(ctx context.Context) {
	most := min(longestSilence, c.every)
	d := most/2 + rand.N(most/2)
	c.tally.fault(cutFault, "cut: silence for %s", d.Round(100*time.Millisecond))
	c.link.Silence()
	_ = proc.Sleep(ctx, d)
	c.link.Heal()
}

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/wsresilience/wsresilience/internal/faultlink"
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

// cutter breaks a link again and again.
type cutter struct {
	link  *faultlink.Link
	tally *tally
	every time.Duration
}

// run breaks the link in one way after the other until ctx ends, and leaves
// it whole.
func (c *cutter) run(ctx context.Context) {
	ways := [...]func(context.Context){
		c.kill(faultlink.RST, "RST, as a middlebox does that forgot the connections"),
		c.kill(faultlink.FIN, "FIN, as a proxy does that restarts"),
		c.kill(faultlink.DropTarget, "half open, the clients are not told"),
		c.silence,
		c.kill(faultlink.DropClient, "half open, the sidecar is not told"),
	}
	for i := 0; ; i++ {
		sleep(ctx, c.every)
		if ctx.Err() != nil {
			return
		}
		ways[i%len(ways)](ctx)
	}
}

func (c *cutter) kill(kind faultlink.Kind, how string) func(context.Context) {
	return func(context.Context) {
		c.tally.cut(how)
		c.link.Cut(kind)
	}
}

// silence holds everything up for a while and loses nothing.
func (c *cutter) silence(ctx context.Context) {
	most := min(longestSilence, c.every)
	d := most/2 + rand.N(most/2)
	c.tally.cut(fmt.Sprintf("silence for %s", d.Round(100*time.Millisecond)))
	c.link.Silence()
	sleep(ctx, d)
	c.link.Heal()
}

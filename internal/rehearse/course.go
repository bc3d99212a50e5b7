package rehearse

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/internal/lab/proc"
	"github.com/wsresilience/wsresilience/internal/rehearse/load"
	"github.com/wsresilience/wsresilience/internal/rehearse/plan"
	"github.com/wsresilience/wsresilience/internal/rehearse/report"
	"github.com/wsresilience/wsresilience/internal/rehearse/tally"
)

// rehearse is the run itself: all clients come, the faults happen, and what is
// under way arrives.
func (r *run) rehearse(ctx context.Context) *report.Run {
	calm := time.Duration(r.Profile.Ramp) + r.Baseline
	end := calm + plan.Length(r.Faults) + r.After
	// Whoever is under way when ctx ends may arrive.
	flying, land := context.WithCancel(context.WithoutCancel(ctx))
	defer land()

	var faults sync.WaitGroup
	r.load = load.New(r.clients())
	r.load.Start(flying)
	faults.Go(func() { r.breakThings(ctx, calm) })
	end = r.watch(ctx, end, &faults)
	r.load.Stop()
	faults.Wait() // they heal what they broke
	patience := r.Settle
	if ctx.Err() != nil {
		patience = min(patience, interruptedSettle)
	}
	limit, cancel := context.WithTimeout(flying, patience)
	defer cancel()
	r.load.Settle(limit, func(waiting [tally.Sides]int) {
		r.tell(r.load.Now(), fmt.Sprintf("what is under way arrives (%d plain and %d resilient clients wait)", waiting[tally.Plain], waiting[tally.Resilient]))
	})
	land()
	r.load.Wait()
	return r.result(calm, end)
}

// watchPace is how often it is told where the run is.
const watchPace = time.Second

// watch waits until the run is at end, and all faults have been over for a while,
// however long the user's hooks take. It returns when that was.
func (r *run) watch(ctx context.Context, end time.Duration, faults *sync.WaitGroup) time.Duration {
	over := make(chan time.Duration, 1)
	go func() {
		faults.Wait()
		over <- r.load.Now()
	}()
	waiting := true
	for (waiting || r.load.Now() < end) && ctx.Err() == nil {
		select {
		case last := <-over:
			waiting, end = false, max(end, last+r.After)
		default:
		}
		r.tell(end, "")
		_ = proc.Sleep(ctx, min(watchPace, max(watchPace/10, end-r.load.Now())))
	}
	if ctx.Err() != nil {
		return r.load.Now()
	}
	return max(end, r.load.Now())
}

func (r *run) tell(end time.Duration, phase string) {
	if r.Watch == nil {
		return
	}
	p := Progress{At: r.load.Now(), End: end, Phase: phase}
	for side := range tally.Sides {
		clients := r.load.Clients(side)
		if clients == 0 {
			continue
		}
		l := &r.load.Live[side]
		p.Sides = append(p.Sides, SideProgress{
			Side: side, Clients: clients, Up: l.Up.Load(), Due: l.Due.Load(), Answered: l.Answered.Load(), Losses: l.Losses.Load(),
		})
	}
	r.Watch(p)
}

// interruptedSettle is how long who interrupts a run waits at most.
const interruptedSettle = 5 * time.Second

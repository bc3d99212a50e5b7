package rehearse

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/internal/backoff"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
	"github.com/wsresilience/wsresilience/internal/rehearse/plan"
	"github.com/wsresilience/wsresilience/internal/rehearse/report"
	"github.com/wsresilience/wsresilience/internal/rehearse/tally"
)

// rehearse is the run itself: all clients come, the faults happen, and what is
// under way arrives.
func (r *run) rehearse(ctx context.Context) *report.Run {
	r.began = time.Now()
	calm := time.Duration(r.profile.Ramp) + r.Baseline
	end := calm + plan.Length(r.Faults) + r.After
	// Whoever is under way when ctx ends may arrive.
	flying, land := context.WithCancel(context.WithoutCancel(ctx))
	loading, stop := context.WithCancel(flying)
	defer land()
	defer stop()

	var tasks, faults sync.WaitGroup
	for i := range r.profile.Plain + r.profile.Resilient {
		// The sides alternate, so that each fault and each moment meets both.
		p := r.newPilot(i, r.sideOf(i))
		r.pilots = append(r.pilots, p)
		delay := time.Duration(float64(r.profile.Ramp) * float64(i) / float64(r.profile.Plain+r.profile.Resilient))
		tasks.Go(func() {
			if proc.Sleep(flying, delay) == nil {
				p.fly(flying, loading)
			}
		})
	}
	faults.Go(func() { r.breakThings(ctx, calm) })
	end = r.watch(ctx, end, &faults)
	stop()
	r.loaders.Wait() // a message that is due at the last moment is waited for too
	faults.Wait()    // they heal what they broke
	patience := r.Settle
	if ctx.Err() != nil {
		patience = min(patience, interruptedSettle)
	}
	r.settle(flying, patience)
	land()
	tasks.Wait()
	return r.result(calm, end)
}

// sideOf says which side client i is of: they alternate in proportion.
func (r *run) sideOf(i int) tally.Side {
	all := r.profile.Plain + r.profile.Resilient
	if (i+1)*r.profile.Resilient/all > i*r.profile.Resilient/all {
		return tally.Resilient
	}
	return tally.Plain
}

// fly runs a client until ctx ends; it is logged in before it says anything.
func (p *pilot) fly(ctx, loading context.Context) {
	wait := backoff.New(backoff.Policy{Base: backoffBase, Max: backoffMax}, p.run.random("login", p.account.Number).Float64)
	for err := p.login.once(ctx, p); err != nil; err = p.login.once(ctx, p) {
		p.run.failed(ctx, p.account.Side, err)
		pause, _ := wait.Next()
		if proc.Sleep(ctx, pause) != nil {
			return
		}
	}
	switch {
	case p.account.Side == tally.Resilient:
		p.flyResilient(ctx, loading)
	case p.run.Foreign != nil:
		p.flyForeign(ctx, loading)
	default:
		p.flyPlain(ctx, loading)
	}
}

// watchPace is how often it is told where the run is.
const watchPace = time.Second

// watch waits until the run is at end, and all faults have been over for a while,
// however long the user's hooks take. It returns when that was.
func (r *run) watch(ctx context.Context, end time.Duration, faults *sync.WaitGroup) time.Duration {
	over := make(chan time.Duration, 1)
	go func() {
		faults.Wait()
		over <- r.now()
	}()
	waiting := true
	for (waiting || r.now() < end) && ctx.Err() == nil {
		select {
		case last := <-over:
			waiting, end = false, max(end, last+r.After)
		default:
		}
		r.tell(end, "")
		_ = proc.Sleep(ctx, min(watchPace, max(watchPace/10, end-r.now())))
	}
	if ctx.Err() != nil {
		return r.now()
	}
	return max(end, r.now())
}

func (r *run) tell(end time.Duration, phase string) {
	if r.Watch == nil {
		return
	}
	p := Progress{At: r.now(), End: end, Phase: phase}
	for side := range tally.Sides {
		clients := [...]int{r.profile.Plain, r.profile.Resilient}[side]
		if clients == 0 {
			continue
		}
		l := &r.live[side]
		p.Sides = append(p.Sides, SideProgress{
			Side: side, Clients: clients, Up: l.Up.Load(), Due: l.Due.Load(), Answered: l.Answered.Load(), Losses: l.Losses.Load(),
		})
	}
	r.Watch(p)
}

const (
	// settleLook is how often it is looked whether everything has arrived.
	settleLook = 100 * time.Millisecond

	// interruptedSettle is how long who interrupts a run waits at most.
	interruptedSettle = 5 * time.Second

	// settleQuiet is how long no plain client, all of them connected, must have
	// heard anything for the rest to be lost.
	settleQuiet = 2 * time.Second
)

// settle waits until everybody is connected and every answer there, or for as
// long as that may take. What a plain client has lost nobody sends again, so for
// those it is enough that nothing comes any more.
func (r *run) settle(ctx context.Context, patience time.Duration) {
	limit, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	answered, since := int64(-1), time.Now()
	for limit.Err() == nil {
		var waiting [tally.Sides]int
		for _, p := range r.pilots {
			if p.account.Waiting() {
				waiting[p.account.Side]++
			}
		}
		plain := &r.live[tally.Plain]
		if n := plain.Answered.Load(); n != answered || plain.Up.Load() < int64(r.profile.Plain) {
			answered, since = n, time.Now()
		}
		if waiting[tally.Resilient] == 0 && (waiting[tally.Plain] == 0 || time.Since(since) > settleQuiet) {
			return
		}
		r.tell(r.now(), fmt.Sprintf("what is under way arrives (%d plain and %d resilient clients wait)", waiting[tally.Plain], waiting[tally.Resilient]))
		_ = proc.Sleep(limit, settleLook)
	}
}

package demo

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

// faultPace is how often a fault that is due is tried while it has to wait for
// another one's end.
const faultPace = 100 * time.Millisecond

// runner makes things happen on a testbed.
type runner struct {
	testbed *testbed
	tallies *tallies
	tally   *tally // the terminal's
	cuts    *cutter
}

// run breaks things until ctx ends, and then comes to an end at which every
// message is accounted for. What is under way is neither lost nor received, so
// nothing is judged before both clients have heard from an app, and it from
// them, over a network that is whole. The keyboard is given back as soon as
// there is nothing more to press.
func (p *runner) run(ctx context.Context, k *keyboard) {
	faults, cancel := context.WithCancel(ctx)
	defer cancel()
	stopped := context.AfterFunc(p.testbed.ended, cancel) // a session that is over has nothing more to show
	defer stopped()
	if k.present() {
		go p.keys(faults, cancel).read(k.in)
	}
	var running sync.WaitGroup
	running.Go(func() { p.alone(faults, p.cuts.run) })
	running.Go(func() {
		o := &p.tally.options
		p.alone(faults, func(ctx context.Context) {
			perform(ctx, &routine{every: o.kill, fault: p.kill}, &routine{every: o.drain, fault: p.drain})
		})
	})
	running.Wait()
	k.close()
	p.end()
}

func (p *runner) kill() bool    { return p.testbed.fleet.kill(p.tally) }
func (p *runner) drain() bool   { return p.testbed.fleet.drain(p.tally) }
func (p *runner) restart() bool { return p.testbed.fleet.restart(p.tally) }

// alone runs act until ctx ends, but not while a browser shows the demo: who
// presses buttons there wants to see what those do. It begins anew after that.
func (p *runner) alone(ctx context.Context, act func(context.Context)) {
	for ctx.Err() == nil {
		await(ctx, func() bool { return !p.tallies.watching() })
		acting, stop := context.WithCancel(ctx)
		var interrupter sync.WaitGroup
		interrupter.Go(func() {
			await(acting, p.tallies.watching)
			stop()
		})
		act(acting)
		await(acting, p.tallies.watching) // there may be nothing to do
		stop()
		interrupter.Wait()
	}
}

// end lets everything arrive, for as long as the session lives.
func (p *runner) end() {
	limit, done := context.WithTimeout(p.testbed.ended, settleLimit)
	defer done()
	p.tally.settle()
	p.testbed.fleet.rest()
	await(limit, p.testbed.fleet.idle)
	await(limit, p.tally.fresh())
	p.testbed.stopProducer()
	await(limit, p.tally.quiet)
	p.tally.finish()
}

// A routine is a fault that comes again and again.
type routine struct {
	every time.Duration
	fault func() bool // false: it has to wait
	due   time.Time
}

// perform does what is due, the longest overdue first, until ctx ends.
func perform(ctx context.Context, routines ...*routine) {
	began := time.Now()
	for _, r := range routines {
		r.due = began.Add(r.every)
	}
	routines = slices.DeleteFunc(routines, func(r *routine) bool { return r.every == 0 })
	for len(routines) > 0 && ctx.Err() == nil {
		next := slices.MinFunc(routines, func(a, b *routine) int { return a.due.Compare(b.due) })
		_ = proc.Sleep(ctx, time.Until(next.due))
		for ctx.Err() == nil && !next.fault() {
			_ = proc.Sleep(ctx, faultPace)
		}
		next.due = next.due.Add(next.every)
	}
}

// keys are those of the demo, until ctx ends.
func (p *runner) keys(ctx context.Context, quit func()) keys {
	now := func(fault func() bool) func() {
		return func() {
			if ctx.Err() == nil && !fault() {
				p.tally.say("not now: a pod is on its way")
			}
		}
	}
	return keys{
		'k': now(p.kill), 'd': now(p.drain), 'r': now(p.restart),
		'c': func() { go p.cuts.cut(ctx) }, // silence lasts, and other keys need not wait
		'q': quit, ctrlC: interrupt,
	}
}

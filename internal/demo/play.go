package demo

import (
	"context"
	"slices"
	"sync"
	"time"
)

// faultPace is how often a fault that is due is tried while it has to wait for
// another one's end.
const faultPace = 100 * time.Millisecond

// play is what happens on a stage.
type play struct {
	stage *stage
	tally *tally
	cuts  *cutter
}

// run breaks things until ctx ends, and then comes to an end at which every
// message is accounted for. What is under way is neither lost nor received, so
// nothing is judged before both clients have heard from an app, and it from
// them, over a network that is whole. The keyboard is given back as soon as
// there is nothing more to press.
func (p *play) run(ctx context.Context, k *keyboard) {
	faults, cancel := context.WithCancel(ctx)
	defer cancel()
	stopped := context.AfterFunc(p.stage.ended, cancel) // a session that is over has nothing more to show
	defer stopped()
	if k.present() {
		go p.keys(faults, cancel).read(k.in)
	}
	var running sync.WaitGroup
	running.Go(func() { p.cuts.run(faults) })
	running.Go(func() {
		o := &p.tally.options
		perform(faults, &routine{every: o.kill, fault: p.stage.fleet.kill}, &routine{every: o.drain, fault: p.stage.fleet.drain})
	})
	running.Wait()
	k.close()
	p.end()
}

// end lets everything arrive, for as long as the session lives.
func (p *play) end() {
	limit, done := context.WithTimeout(p.stage.ended, settleLimit)
	defer done()
	p.tally.settle()
	await(limit, p.stage.fleet.idle)
	await(limit, p.tally.fresh())
	p.stage.stopProducer()
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
		sleep(ctx, time.Until(next.due))
		for ctx.Err() == nil && !next.fault() {
			sleep(ctx, faultPace)
		}
		next.due = next.due.Add(next.every)
	}
}

// keys are those of the demo, until ctx ends.
func (p *play) keys(ctx context.Context, quit func()) keys {
	now := func(fault func() bool) func() {
		return func() {
			if ctx.Err() == nil && !fault() {
				p.tally.say("not now: a pod is on its way")
			}
		}
	}
	return keys{
		'k': now(p.stage.fleet.kill), 'd': now(p.stage.fleet.drain), 'r': now(p.stage.fleet.restart),
		'c': func() { go p.cuts.cut(ctx) }, // silence lasts, and other keys need not wait
		'q': quit, ctrlC: interrupt,
	}
}

package sim

import (
	"context"
	"iter"
	"time"
)

// A task is code of a process that waits in the middle: a coroutine. It ends when its
// process does.
type task struct {
	p    *pod
	next func() (struct{}, bool)
	stop func()
	turn func(struct{}) bool
	over bool
}

// ended is what a task panics with whose process is gone.
type ended struct{}

// start begins a task. Its body runs at once, up to where it waits.
func (p *pod) start(body func(*task)) *task {
	t := &task{p: p}
	t.next, t.stop = iter.Pull(func(turn func(struct{}) bool) {
		defer func() {
			t.over = true
			delete(p.tasks, t)
			if r := recover(); r != nil {
				if _, ok := r.(ended); !ok {
					p.f.fail(r)
				}
			}
		}()
		t.turn = turn
		body(t)
	})
	p.tasks[t] = struct{}{}
	t.next()
	return t
}

// call begins something and waits until done is called, which may be more than once.
func (t *task) call(begin func(done func())) {
	finished, waits := false, false
	begin(func() {
		if !finished {
			finished = true
			if waits {
				t.p.soon(func() {
					if !t.over {
						t.next()
					}
				})
			}
		}
	})
	for !finished {
		waits = true
		if !t.turn(struct{}{}) {
			panic(ended{})
		}
	}
}

// sleep waits for d.
func (t *task) sleep(d time.Duration) {
	t.call(func(done func()) { t.p.after(d, done) })
}

// callContext is the context of a call that a task makes, with a deadline in the
// fleet's time.
type callContext struct {
	context.Context
	t  *task
	by time.Time
}

func (t *task) context(limit time.Duration) *callContext {
	return &callContext{context.Background(), t, t.p.f.now.Add(limit)}
}

func (c *callContext) Deadline() (time.Time, bool) { return c.by, true }

func (c *callContext) Err() error {
	if c.t.p.f.now.Before(c.by) {
		return nil
	}
	return context.DeadlineExceeded
}

// pause is how the store waits.
func pause(ctx context.Context, d time.Duration) error {
	c := ctx.(*callContext)
	c.t.sleep(min(d, max(0, c.by.Sub(c.t.p.f.now))))
	return c.Err()
}

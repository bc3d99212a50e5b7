package console

import (
	"context"
	"time"
)

// How much of a processor operators may take: looking at all sessions is work of the
// same kind as passing messages on, and whoever asks again and again should wait, and
// not the clients.
const (
	// lookedAtOnce is how many sessions are looked at without a rest: some tens of
	// microseconds.
	lookedAtOnce = 128
	// rests is how many times as long as the work a rest takes: a fifth of one
	// processor is left for looking.
	rests = 4
	// longestRest bounds a rest where the work took long because the machine is busy.
	longestRest = 50 * time.Millisecond
)

// A look is somebody's turn at looking at all sessions, with rests in between. See
// Console.look.
type look struct {
	ctx   context.Context // whoever asked
	leave func()
	began time.Time // the work since the last rest
	n     int
}

// look waits until it is the caller's turn; nil: whoever asked is gone. The caller
// calls done when its answer is written.
func (c *Console) look(ctx context.Context) *look {
	leave := turn(ctx, c.looking)
	if leave == nil {
		return nil
	}
	return &look{ctx: ctx, leave: leave, began: time.Now()}
}

// done gives the turn to the next, after a rest.
func (l *look) done() { time.AfterFunc(l.rest(), l.leave) }

// at counts one session, and rests when it is time to. It reports whether whoever
// asked is still there.
func (l *look) at() bool {
	if l.n++; l.n%lookedAtOnce != 0 {
		return true
	}
	timer := time.NewTimer(l.rest())
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.ctx.Done():
		return false
	}
	l.began = time.Now()
	return true
}

// rest is how long a rest takes after the work since the last one.
func (l *look) rest() time.Duration { return min(rests*time.Since(l.began), longestRest) }

package proxy

import (
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/internal/transport"
	"github.com/wsresilience/wsresilience/session"
)

// A step acts on the Outputs of a machine after an input. It is under the lock of
// its session from its beginning to its end, also while it waits for a write that
// a round of the event loop has taken.
type step struct {
	c     *sessionDriver
	now   time.Time
	o     session.Output
	toApp bool // which write it waits for
}

// steps are lent for as long as they take.
var steps = sync.Pool{New: func() any { return new(step) }}

// settleLocked acts on the machine's Outputs, in the order that their type demands,
// until there is nothing left to do.
func (c *sessionDriver) settleLocked(now time.Time) { c.settleInRoundLocked(now, nil) }

// settleInRoundLocked is settleLocked, and gives the first write to the round, if
// there is one that takes it: then it reports that the step waits, and the lock is
// the step's.
func (c *sessionDriver) settleInRoundLocked(now time.Time, r *transport.Round) (waits bool) {
	s := steps.Get().(*step)
	s.c, s.now, s.o.Heard = c, now, &c.place
	if s.run(r) {
		return true
	}
	s.giveBack()
	return false
}

func (s *step) giveBack() {
	s.c, s.o.Heard = nil, nil
	steps.Put(s)
}

// run goes on until there is nothing left to do, or until it waits.
func (s *step) run(r *transport.Round) (waits bool) {
	c, o := s.c, &s.o
	for {
		c.m.Output(s.now, o)
		if len(o.ToApp) > 0 {
			if s.toApp = true; c.app.leaveTo(r, o.ToApp, s) {
				return true
			}
			r = nil
			c.m.AppWrote(s.now, c.app.write(o.ToApp, c.plain))
		}
		if len(o.ToClient) > 0 {
			if s.toApp = false; c.client.leaveTo(r, o.ToClient, s) {
				return true
			}
			r = nil
			c.m.ClientWrote(c.client.write(o.ToClient, c.plain))
		}
		if o.Idle() {
			c.client.pause(o.PauseClient)
			c.pauseAppLocked(s.now, o.PauseApp)
			c.armLocked(s.now, o.Deadline)
			c.forgetLocked()
			return false
		}
		c.performLocked(o)
	}
}

// Wrote implements transport.Waiter: the step goes on, and ends.
func (s *step) Wrote(n int) {
	c, o := s.c, &s.o
	defer c.leave()
	if s.toApp {
		c.m.AppWrote(s.now, c.app.wrote(n, o.ToApp, c.plain))
		if len(o.ToClient) > 0 {
			c.m.ClientWrote(c.client.write(o.ToClient, c.plain))
		}
	} else {
		c.m.ClientWrote(c.client.wrote(n, o.ToClient, c.plain))
	}
	c.performLocked(o)
	s.run(nil)
	s.giveBack()
}

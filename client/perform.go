package client

import (
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/wsresilience/wsresilience/seqwindow"
)

// signal wakes goroutines that wait for a change. The zero value is ready.
// Conn.mu guards it.
type signal struct{ ch chan struct{} }

func (s *signal) wait() <-chan struct{} {
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	return s.ch
}

func (s *signal) notify() {
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}

// await releases mu until s is notified. The error is that of ctx, or
// os.ErrDeadlineExceeded when expired is closed first.
func (c *Conn) await(ctx context.Context, expired <-chan struct{}, s *signal) error {
	ch := s.wait()
	c.mu.Unlock()
	defer c.mu.Lock()
	select {
	case <-ch:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-expired:
		return os.ErrDeadlineExceeded
	}
}

// signalled is the state of the machine when the signals were last given.
type signalled struct {
	received seqwindow.Serial
	acked    seqwindow.Serial
	told     int
	held     int
	rejected seqwindow.Serial // the last
	welcomed bool
	waiting  bool // for an attempt to resume, or for the Store
	closing  bool
	over     bool
}

// perform performs the machine's pending actions. It is called after each
// change of the machine, before mu is released.
func (c *Conn) perform(now time.Time) {
	if c.released {
		return
	}
	var late time.Duration
	if !c.armed.IsZero() && now.After(c.armed) {
		late = now.Sub(c.armed)
	}
	if c.hasSlept(now) {
		c.m.networkChanged(now)
	}
	c.m.tick(now, late)
	c.postEvents()
	if c.m.durable.due || c.m.durable.on && c.m.handled() != c.m.durable.received {
		c.saveDue()
	}
	c.runRestore()
	connEnded := c.serviceLinks(now)
	c.startDial(now)
	c.notify(connEnded)
	if c.m.err != nil {
		c.release()
		return
	}
	c.armTimer(now)
}

// maxClockStep is how far the wall clock may get ahead without it meaning that
// this computer has slept, during which the monotonic clock may stand still.
const maxClockStep = 2 * time.Second

// hasSlept reports whether this computer has slept since the last call.
func (c *Conn) hasSlept(now time.Time) bool {
	ahead := now.Round(0).Sub(c.began.Round(0)) - now.Sub(c.began)
	slept := ahead-c.slept > maxClockStep
	c.slept = ahead
	return slept
}

// postEvents passes the machine's events on.
func (c *Conn) postEvents() {
	for _, e := range c.m.events {
		c.log.Info("client: "+e.Kind.String(), slog.String("session", c.m.session.String()),
			slog.String("state", e.State.String()), slog.String("reason", e.Reason))
		enqueue(c.events, e)
	}
	clear(c.m.events)
	c.m.events = c.m.events[:0]
}

// serviceLinks wakes the writers that have something to write, and closes the
// connections that have ended. It reports whether there were any.
func (c *Conn) serviceLinks(now time.Time) (ended bool) {
	kept := c.links[:0]
	for _, l := range c.links {
		if l.conn.closed != nil {
			ended = true
			c.log.Info("client: connection ended", slog.String("session", c.m.session.String()),
				slog.Int("code", int(l.conn.closed.Code)), slog.String("reason", l.conn.closed.Reason))
			l.closeAfterWrite(now)
			continue
		}
		if c.m.pending(l.conn) {
			l.wakeWriter()
		}
		kept = append(kept, l)
	}
	clear(c.links[len(kept):])
	c.links = kept
	return ended
}

// notify gives the signals whose condition has changed.
func (c *Conn) notify(connEnded bool) {
	s := signalled{
		received: c.m.in.Received(), acked: c.m.out.acked, told: c.m.told, held: c.m.out.sizes.len(),
		welcomed: c.m.plain || c.m.token != "",
		waiting:  c.m.dial.busy || c.m.durable.waiting || c.m.renewal.begins(),
		closing:  c.m.closing.started(), over: c.m.err != nil,
	}
	if n := len(c.m.out.rejected); n > 0 {
		s.rejected = c.m.out.rejected[n-1]
	}
	ended := s.over != c.signalled.over || s.closing != c.signalled.closing
	if ended || s.received != c.signalled.received || s.welcomed != c.signalled.welcomed || s.waiting != c.signalled.waiting {
		c.arrived.notify()
	}
	if ended || s.acked != c.signalled.acked || s.told != c.signalled.told || s.held < c.signalled.held || s.rejected != c.signalled.rejected {
		c.freed.notify()
	}
	if s.acked != c.signalled.acked && c.keeper != nil && c.m.durable.on {
		c.saveDue() // the Store forgets them
	}
	c.restoreMoved.notify()
	if connEnded || !c.m.full() {
		c.room.notify()
	}
	c.signalled = s
}

// armTimer sets the timer to the machine's deadline.
func (c *Conn) armTimer(now time.Time) {
	at := c.m.deadline()
	if at.Equal(c.armed) {
		return
	}
	c.armed = at
	if at.IsZero() {
		c.timer.Stop()
		return
	}
	c.timer.Reset(max(0, at.Sub(now)))
}

func (c *Conn) timerFired() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.armed.IsZero() || now.Before(c.armed) {
		return // it was set again meanwhile
	}
	c.perform(now)
}

// release frees what a session needs only until its end.
func (c *Conn) release() {
	c.released = true
	c.timer.Stop()
	c.cancel()
	close(c.events)
}

package client

import (
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/wsresilience/wsresilience/seqwindow"
)

// signal wakes those who wait for a change. The zero value is ready; the
// owner of Conn.mu uses it.
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

// await gives mu away until s is notified. It returns why it will not be:
// ctx is done, or expired is closed.
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

// marks are what the signals were last given for.
type marks struct {
	received seqwindow.Serial
	acked    seqwindow.Serial
	held     int
	welcomed bool
	closing  bool
	over     bool
}

// settle turns what the machine wants into deeds. Whoever has changed the
// machine calls it before giving mu away.
func (c *Conn) settle(now time.Time) {
	if c.released {
		return
	}
	var late time.Duration
	if !c.armed.IsZero() && now.After(c.armed) {
		late = now.Sub(c.armed)
	}
	c.m.tick(now, late)
	c.tell()
	died := c.tend(now)
	if o, ok := c.m.wantDial(now); ok {
		c.tasks.Go(func() { c.redial(o) })
	}
	c.notify(died)
	if c.m.err != nil {
		c.release()
		return
	}
	c.arm(now)
}

// tell posts the machine's events.
func (c *Conn) tell() {
	for _, e := range c.m.events {
		c.log.Info("client: "+e.Kind.String(), slog.String("session", c.m.session.String()),
			slog.String("state", e.State.String()), slog.String("reason", e.Reason))
		if post(c.events, e) {
			c.eventsLost++
		}
	}
	clear(c.m.events)
	c.m.events = c.m.events[:0]
}

// tend wakes the writers that have something to do, and lets go of the
// connections that are over. It tells whether there were any.
func (c *Conn) tend(now time.Time) (died bool) {
	kept := c.links[:0]
	for _, l := range c.links {
		if l.leg.dead != nil {
			died = true
			c.log.Info("client: connection is over", slog.String("session", c.m.session.String()),
				slog.Int("code", int(l.leg.dead.Code)), slog.String("reason", l.leg.dead.Reason))
			l.bury(now)
			continue
		}
		if c.m.pending(l.leg) {
			l.rouse()
		}
		kept = append(kept, l)
	}
	clear(c.links[len(kept):])
	c.links = kept
	return died
}

func (c *Conn) notify(died bool) {
	s := marks{
		received: c.m.in.Received(), acked: c.m.out.acked, held: c.m.out.sizes.len(),
		welcomed: c.m.bare || c.m.token != "",
		closing:  c.m.closing.begun(), over: c.m.err != nil,
	}
	ended := s.over != c.seen.over || s.closing != c.seen.closing
	if ended || s.received != c.seen.received || s.welcomed != c.seen.welcomed {
		c.arrived.notify()
	}
	if ended || s.acked != c.seen.acked || s.held < c.seen.held {
		c.freed.notify()
	}
	if died || !c.m.full() {
		c.room.notify()
	}
	c.seen = s
}

// arm sets the timer for what the machine waits for.
func (c *Conn) arm(now time.Time) {
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

func (c *Conn) fire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.armed.IsZero() || now.Before(c.armed) {
		return // it was set anew meanwhile
	}
	c.settle(now)
}

// release frees what only a living session needs.
func (c *Conn) release() {
	c.released = true
	c.timer.Stop()
	c.cancel()
	close(c.events)
}

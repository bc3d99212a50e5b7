package client

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/sim/seam"
	"github.com/wsresilience/wsresilience/wire"
)

// Simulate gives the machine of this package to the simulator of this module, which
// drives it without sockets. No other program can make a Seam.
func Simulate(to *seam.Seam) {
	to.New = func(s seam.Settings, random *rand.Rand) (seam.Client, error) {
		o := Options{Adopt: s.Adopt, OutboxMessages: s.OutboxMessages, OutboxBytes: s.OutboxBytes, QueueBytes: s.QueueBytes, MaxMessage: s.MaxMessage, AckDelay: s.AckDelay}
		cfg, err := o.settings()
		if err != nil {
			return nil, err
		}
		cfg.restores = s.Restores
		return &simulated{m: newMachine(cfg, random)}, nil
	}
}

// simulated is a seam.Client.
type simulated struct {
	m     *machine
	wrote int
}

type simulatedOffer struct{ offer offer }

func (o simulatedOffer) Wire() wire.Offer { return o.offer.Offer }

func (c *simulated) FirstOffer() seam.Offer { return simulatedOffer{c.m.firstOffer()} }

func (c *simulated) WantDial(now time.Time) (seam.Offer, bool) {
	o, ok := c.m.wantDial(now)
	return simulatedOffer{o}, ok
}

func (c *simulated) UnderWay(o seam.Offer) bool {
	of := o.(simulatedOffer).offer
	return c.m.underWay(&of)
}

func (c *simulated) Attach(now time.Time, o seam.Offer) seam.Conn {
	conn := c.m.attach(now, o.(simulatedOffer).offer)
	if conn == nil {
		return nil
	}
	return &simulatedConn{c.m, conn}
}

func (c *simulated) DialFailed(now time.Time)               { c.m.dialFailed(now) }
func (c *simulated) RetryAfter(d time.Duration)             { c.m.retryAfter(d) }
func (c *simulated) Tick(now time.Time, late time.Duration) { c.m.tick(now, late) }
func (c *simulated) Deadline() time.Time                    { return c.m.deadline() }
func (c *simulated) NetworkChanged(now time.Time)           { c.m.networkChanged(now) }

func (c *simulated) Write(text bool, p []byte) error {
	if err := c.m.over(); err != nil {
		return err
	}
	typ := MessageBinary
	if text {
		typ = MessageText
	}
	_, err := c.m.write(typ, p)
	if err == nil {
		c.wrote++
	}
	return err
}

func (c *simulated) Read(now time.Time) (text bool, p []byte, more bool) {
	msg, ok := c.m.in.take(now)
	return msg.typ == MessageText, msg.data, ok
}

func (c *simulated) Close(now time.Time, code int, reason string) {
	c.m.close(now, ws.StatusCode(code), reason)
}

func (c *simulated) Restoring() (number int, wanted bool) { return c.m.restoring() }

func (c *simulated) Restore(text bool, p []byte) {
	op := ws.OpBinary
	if text {
		op = ws.OpText
	}
	r := &c.m.restore
	r.queue = c.m.appendControl(r.queue, wire.AppendRestore(nil, op, p))
}

func (c *simulated) Restored(number int) { c.m.restored(number, false) }

func (c *simulated) Events() (list []seam.Event) {
	for _, e := range c.m.events {
		kind := e.Kind.String()
		if e.Kind == EventState {
			kind = e.State.String()
		}
		list = append(list, seam.Event{Kind: kind, Reason: e.Reason})
	}
	c.m.events = c.m.events[:0]
	return list
}

func (c *simulated) View() seam.View {
	m := c.m
	v := seam.View{Over: m.err != nil, Queued: m.in.bytes, Epoch: m.epoch}
	v.Connected = m.current != nil && m.current.welcomed
	if m.err != nil {
		if lost, ok := errors.AsType[*SessionLostError](m.err); ok {
			v.Lost, v.Unacked = string(lost.Reason), lost.Unacked
		}
		v.Code, v.Confirmed = CloseStatus(m.err), m.closing.failed == nil
	} else {
		v.Unacked = m.out.unacked()
	}
	v.Acked = c.wrote - v.Unacked
	return v
}

// simulatedConn is a seam.Conn.
type simulatedConn struct {
	m    *machine
	conn *connection
}

func (s *simulatedConn) Received(now time.Time, p []byte) (used int) {
	for first := true; s.conn.closed == nil && (first || used < len(p)); first = false {
		if s.m.full() {
			break
		}
		n := copy(s.conn.input.space(), p[used:])
		used += n
		s.m.received(now, s.conn, n)
	}
	return used
}

func (s *simulatedConn) Fill(now time.Time) []byte       { return s.m.fill(now, s.conn, nil) }
func (s *simulatedConn) Broken(now time.Time, why error) { s.m.broken(now, s.conn, why) }

func (s *simulatedConn) Closed() (code int, final []byte, over bool) {
	if s.conn.closed == nil {
		return 0, nil, false
	}
	return int(s.conn.closed.Code), s.conn.finalBytes, true
}

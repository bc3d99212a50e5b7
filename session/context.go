package session

import (
	"bytes"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/snapshot"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

// context is what a fresh app socket must hear before the session goes on
// (DESIGN §5). Most sessions have none: their messages are never
// looked at.
type context struct {
	keeper  *snapshot.Tracker // nil: no guide covers the session's path
	version uint32            // that the journal has
	flight  uint32            // that is on its way there

	// A message that changed the context is acknowledged when the journal has
	// the change: the client then need not say it again to a next owner.
	holding bool
	hold    seqwindow.Serial // the last message that may be acknowledged

	// The app's protocol may need several messages for one thing to be said.
	// What it has heard in part is acknowledged when it has heard the rest: a
	// next app socket hears it from the beginning.
	whole seqwindow.Serial // the last message that ended something
}

func (c *context) follows() bool   { return c.keeper != nil }
func (c *context) restoring() bool { return c.keeper != nil && c.keeper.Restoring() }
func (c *context) unsaved() bool   { return c.keeper != nil && c.keeper.Version() != c.version }

// restorable tells whether a fresh app socket would know what the old one did.
func (c *context) restorable() bool { return c.keeper != nil && c.keeper.Complete() }

func (c *context) attach(now time.Time, attached bool, s *Session) {
	if c.keeper != nil {
		c.keeper.Attach(now, attached)
		c.say(s)
	}
}

// restore follows the opening of a fresh app socket.
func (c *context) restore(now time.Time, s *Session) {
	if c.keeper == nil {
		return
	}
	c.keeper.Restore(now)
	c.say(s)
}

// say puts what the keeper has for the app behind the control frames, which
// go before the session's own messages.
func (c *context) say(s *Session) {
	for _, m := range c.keeper.ToApp() {
		s.app.control = frame.Append(s.app.control, s.cfg.masked(opcodeOf(m)), m.Data)
	}
}

// handed shows the keeper the messages that the app's socket has taken and
// that are not acknowledged yet.
func (c *context) handed(now time.Time, s *Session) {
	if c.keeper == nil || s.queue.Sent() == s.queue.Acked() {
		return
	}
	s.queue.Each(s.queue.Acked(), func(seq seqwindow.Serial, _ uint32, parts [][]byte) bool {
		if seqwindow.Less(s.queue.Sent(), seq) {
			return false
		}
		before := c.keeper.Version()
		if m, ok := s.inboundMessage(bytes.Join(parts, nil)); ok {
			c.keeper.Inbound(now, m)
		}
		if !c.keeper.InFlight() {
			c.whole = seq
		}
		if c.keeper.Version() != before && !c.holding && s.cfg.Journal {
			c.holding, c.hold = true, seq-1
		}
		return true
	})
	c.say(s)
}

// inboundMessage is a client's message as the app sees it. raw is ours.
func (s *Session) inboundMessage(raw []byte) (snapshot.Message, bool) {
	h, err := frame.Rules{Masked: true, Rsv: frame.RSV1}.Parse(raw)
	if err != nil {
		return snapshot.Message{}, false
	}
	p := raw[h.Size:]
	frame.Mask(p, h.Mask, 0)
	if h.Rsv&frame.RSV1 != 0 {
		if p, err = s.inflate(p); err != nil {
			return snapshot.Message{}, false
		}
	}
	return snapshot.Message{Binary: h.OpCode == ws.OpBinary, Data: p}, true
}

// outbound shows the keeper a message of the app, and tells whether it is the
// keeper's own: an answer to what it said, or a keepalive while no client is
// there to give one.
func (c *context) outbound(now time.Time, s *Session, m *frame.Message) (swallow bool) {
	p := m.Payload()
	if m.Compressed() {
		var err error
		if p, err = s.inflate(p); err != nil {
			return false // appData finds out too, and says so
		}
	}
	swallow = c.keeper.Outbound(now, snapshot.Message{Binary: m.OpCode == ws.OpBinary, Data: p})
	c.say(s)
	for _, d := range c.keeper.ToClient() {
		s.deliverOwn(now, d)
	}
	return swallow
}

// deliverOwn sends the client a message that the keeper made of the app's.
func (s *Session) deliverOwn(now time.Time, m snapshot.Message) {
	if m.Binary && wire.IsMagic(m.Data) && s.echo == nil {
		s.toWindow(now, escaped(m.Data))
		return
	}
	s.toWindow(now, frame.Append(nil, ws.Header{Fin: true, OpCode: opcodeOf(m)}, m.Data))
}

func opcodeOf(m snapshot.Message) ws.OpCode {
	if m.Binary {
		return ws.OpBinary
	}
	return ws.OpText
}

// ContextSize is how many bytes of context the session keeps.
func (s *Session) ContextSize() (n int) {
	for _, e := range s.Context() {
		n += e.Size
	}
	return n
}

// Context lists what is kept for a fresh app socket, without payloads.
func (s *Session) Context() []snapshot.Entry {
	if s.context.keeper == nil {
		return nil
	}
	return s.context.keeper.Entries()
}

// restarts tells whether an app of this protocol that closes with this code is
// likely to be back soon.
func (c *context) restarts(code ws.StatusCode) bool {
	return c.keeper != nil && c.keeper.Restarts(uint16(code))
}

func (c *context) deadline(s *Session) time.Time {
	if !c.quiet(s) {
		return time.Time{}
	}
	return c.keeper.Deadline()
}

// quiet tells whether something may be said to the app now: not inside of a
// message, which may end inside of something else.
func (c *context) quiet(s *Session) bool {
	return c.keeper != nil && s.app.open && !s.restart.lost && !s.queue.MidMessage()
}

func (c *context) tick(now time.Time, s *Session) {
	if !c.quiet(s) {
		return
	}
	c.keeper.Tick(now)
	c.say(s)
	if c.keeper.Failed() {
		s.app.control = nil
		s.appLeft(now, ws.StatusAbnormalClosure, "app did not take the context back")
	}
}

// save returns what the journal is to keep; nil without a keeper.
func (c *context) save() []byte {
	if c.keeper == nil {
		return nil
	}
	c.flight = c.keeper.Version()
	return c.keeper.Save()
}

// saved follows a record that is safe.
func (c *context) saved(rec *store.Record) {
	if rec.Context == nil {
		return
	}
	if c.version = c.flight; !c.unsaved() {
		c.holding = false
		return
	}
	if at := seqwindow.Serial(rec.InAcked); seqwindow.Less(c.hold, at) {
		c.hold = at // what came after is in none yet
	}
}

// heard returns the last message up to ack with which the app has heard
// something whole.
func (c *context) heard(ack seqwindow.Serial) seqwindow.Serial {
	if c.keeper != nil && c.keeper.InFlight() && seqwindow.Less(c.whole, ack) {
		return c.whole
	}
	return ack
}

// holds tells whether an acknowledgement waits for something else than time.
func (c *context) holds() bool {
	return c.holding || c.keeper != nil && c.keeper.InFlight()
}

// ackable returns the last message that may be acknowledged, of those up to
// ack that were handed over.
func (c *context) ackable(ack seqwindow.Serial) seqwindow.Serial {
	if c.holding && seqwindow.Less(c.hold, ack) {
		ack = c.hold
	}
	return c.heard(ack)
}

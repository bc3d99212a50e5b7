package session

import (
	"bytes"
	"time"

	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/snapshot"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

// context is what a fresh app socket must hear before the session goes on
// (design section 5). Most sessions have none: their messages are never
// looked at.
type context struct {
	keeper  *snapshot.Keeper // nil: no guide covers the session's path
	version uint32           // that the journal has
	flight  uint32           // that is on its way there

	// A message that changed the context is acknowledged when the journal has
	// the change: the client then need not say it again to a next owner.
	holding bool
	hold    seqwindow.Serial // the last message that may be acknowledged
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
	for _, m := range c.keeper.Say() {
		opcode := frame.Text
		if m.Binary {
			opcode = frame.Binary
		}
		s.app.control = frame.Append(s.app.control, s.cfg.masked(opcode), m.Data)
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
		if c.keeper.Version() != before && !c.holding && s.cfg.Journal {
			c.holding, c.hold = true, seq-1
		}
		return true
	})
	c.say(s)
}

// inboundMessage is a client's message as the app sees it. raw is ours.
func (s *Session) inboundMessage(raw []byte) (snapshot.Message, bool) {
	h, err := frame.Rules{Masked: true, RSV: frame.RSV1}.Parse(raw)
	if err != nil {
		return snapshot.Message{}, false
	}
	p := raw[h.Size:]
	frame.Mask(p, h.Mask, 0)
	if h.RSV&frame.RSV1 != 0 {
		if p, err = s.inflate(p); err != nil {
			return snapshot.Message{}, false
		}
	}
	return snapshot.Message{Binary: h.Opcode == frame.Binary, Data: p}, true
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
	swallow = c.keeper.Outbound(now, snapshot.Message{Binary: m.Opcode == frame.Binary, Data: p})
	c.say(s)
	return swallow
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

func (c *context) deadline() time.Time {
	if c.keeper == nil {
		return time.Time{}
	}
	return c.keeper.Deadline()
}

func (c *context) tick(now time.Time, s *Session) {
	if c.keeper == nil || s.restart.lost || !s.app.open {
		return
	}
	c.keeper.Tick(now)
	c.say(s)
	if c.keeper.Failed() {
		s.app.control = nil
		s.appLeft(now, wire.CodeAbnormal, "app did not take the context back")
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
	}
}

// ackable returns the last message that may be acknowledged, of those up to
// ack that were handed over.
func (c *context) ackable(ack seqwindow.Serial) seqwindow.Serial {
	if c.holding && seqwindow.Less(c.hold, ack) {
		return c.hold
	}
	return ack
}

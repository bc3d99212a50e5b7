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

// appContext is what a fresh app socket must hear before the session goes on
// (DESIGN §5). Most sessions have none: their messages are not looked at.
type appContext struct {
	tracker       *snapshot.Tracker // nil: no policy covers the session's path
	savedVersion  uint32            // that the journal has
	savingVersion uint32            // of the record in flight

	// A message that changed the context is acknowledged when the journal has
	// the change: the client then need not repeat it to a next owner.
	ackHeld bool

	// The client may restore it (PROTOCOL §8.6).
	client       restorer
	awaited      bool   // nothing is fed to the app before RESTORED
	unanswered   uint8  // adoptions that WELCOME told of on this connection, without RESTORED yet
	restoreBegan uint32 // stamp of the last such WELCOME

	ackLimit seqwindow.Serial // of ackHeld: the last message that may be acknowledged

	// The app's protocol may need several messages for one exchange. What the
	// app has in part is acknowledged when it has the rest: a next app socket
	// gets the exchange from its beginning.
	lastWhole seqwindow.Serial // the last message that completed an exchange
}

// A restorer says what a client does for a fresh app socket (PROTOCOL §2.1).
type restorer uint8

const (
	restoresNothing restorer = iota
	restores                 // it offered wsr.adopt
	reopens                  // it offered wsr.reopen too: it restores what the tracker does not
)

func (at *Position) restorer() restorer {
	switch {
	case !at.Adopt:
		return restoresNothing
	case at.Reopen:
		return reopens
	}
	return restores
}

// tells reports whether the client is to leave the restoring to the tracker.
func (c *appContext) tells() bool {
	return c.client == reopens && c.restorable() && c.tracker.Covers()
}

func (c *appContext) tracks() bool    { return c.tracker != nil }
func (c *appContext) restoring() bool { return c.tracker != nil && c.tracker.Restoring() }
func (c *appContext) unsaved() bool   { return c.tracker != nil && c.tracker.Version() != c.savedVersion }

// restorable reports whether a fresh app socket would know what the old one did.
func (c *appContext) restorable() bool { return c.tracker != nil && c.tracker.Complete() }

// owes returns what the app owes the client, as far as its protocol shows it.
func (c *appContext) owes() snapshot.Owed {
	if c.tracker == nil {
		return snapshot.OwedUnknown
	}
	return c.tracker.Owes()
}

func (c *appContext) setAttached(now time.Time, attached bool, s *Session) {
	if c.tracker != nil {
		c.tracker.Attach(now, attached)
		c.sendToApp(s)
	}
}

// restore starts the restoring of a fresh app socket.
func (c *appContext) restore(now time.Time, s *Session) {
	if c.tracker == nil {
		return
	}
	c.tracker.Restore(now)
	c.sendToApp(s)
}

// sendToApp queues what the tracker has for the app behind the control frames,
// which are written before the client's messages.
func (c *appContext) sendToApp(s *Session) {
	for _, m := range c.tracker.ToApp() {
		s.app.control = frame.Append(s.app.control, s.cfg.masked(opcodeOf(m)), m.Data)
	}
}

// observeInbound shows the tracker the messages that the app's socket has taken
// and that are not acknowledged yet.
func (c *appContext) observeInbound(now time.Time, s *Session) {
	if c.tracker == nil || s.queue.Sent() == s.queue.Acked() {
		return
	}
	s.queue.Each(s.queue.Acked(), func(seq seqwindow.Serial, _ uint32, parts [][]byte) bool {
		if seqwindow.Less(s.queue.Sent(), seq) {
			return false
		}
		before := c.tracker.Version()
		if m, ok := s.inboundMessage(bytes.Join(parts, nil)); ok {
			c.tracker.Inbound(now, m)
		}
		if !c.tracker.InFlight() {
			c.lastWhole = seq
		}
		if c.tracker.Version() != before && !c.ackHeld && s.cfg.Journal {
			c.ackHeld, c.ackLimit = true, seq-1
		}
		return true
	})
	c.sendToApp(s)
}

// inboundMessage is a client's message as the app sees it. raw is ours.
func (s *Session) inboundMessage(raw []byte) (snapshot.Message, bool) {
	h, err := frame.Rules{Masked: true, Rsv: frame.RSV1}.Parse(raw)
	if err != nil || h.OpCode.IsControl() { // of SKIPPED
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

// observeOutbound shows the tracker a message of the app, and reports whether
// the client must not get it: an answer to what the tracker sent, or a keepalive
// while no client is attached that would answer.
func (c *appContext) observeOutbound(now time.Time, s *Session, m *frame.Message) (swallow bool) {
	p := m.Payload()
	if m.Compressed() {
		var err error
		if p, err = s.inflate(p); err != nil {
			return false // appData finds out too, and says so
		}
	}
	swallow = c.tracker.Outbound(now, snapshot.Message{Binary: m.OpCode == ws.OpBinary, Data: p})
	c.sendToApp(s)
	for _, m := range c.tracker.ToClient() {
		s.toWindow(now, s.ownFrame(m))
	}
	return swallow
}

// ownFrame is a message for the client that the app did not say.
func (s *Session) ownFrame(m snapshot.Message) []byte {
	if m.Binary && wire.IsMagic(m.Data) && s.escapes() {
		return escaped(m.Data)
	}
	return frame.Append(nil, ws.Header{Fin: true, OpCode: opcodeOf(m)}, m.Data)
}

func opcodeOf(m snapshot.Message) ws.OpCode {
	if m.Binary {
		return ws.OpBinary
	}
	return ws.OpText
}

// ContextSize is how many bytes of context the session keeps.
func (s *Session) ContextSize() (n int) {
	if s.context.tracker != nil {
		_, n = s.context.tracker.Size()
	}
	return n
}

// Context is what may be seen of what is kept for a fresh app socket, without
// payloads; false if nothing is.
func (s *Session) Context() (snapshot.View, bool) {
	if s.context.tracker == nil {
		return snapshot.View{}, false
	}
	return s.context.tracker.View(), true
}

// restarts reports whether an app of this protocol that closes with this code is
// likely to be back soon.
func (c *appContext) restarts(code ws.StatusCode) bool {
	return c.tracker != nil && c.tracker.Restarts(uint16(code))
}

// ContextKept reports whether anything is kept of what a fresh app socket must
// hear.
func (s *Session) ContextKept() bool { return s.context.tracker != nil }

// ended reports whether the app has said, in its protocol's words, that it ends
// this conversation.
func (c *appContext) ended() bool { return c.tracker != nil && c.tracker.Ended() }

func (c *appContext) deadline(s *Session) time.Time {
	if !c.mayWrite(s) {
		return time.Time{}
	}
	return c.tracker.Deadline()
}

// mayWrite reports whether the tracker may write to the app now: not inside of
// a message, whose rest may end inside of something else.
func (c *appContext) mayWrite(s *Session) bool {
	return c.tracker != nil && s.app.open && !s.restart.lost && !s.queue.MidMessage()
}

func (c *appContext) tick(now time.Time, s *Session) {
	if !c.mayWrite(s) {
		return
	}
	c.tracker.Tick(now)
	c.sendToApp(s)
	if c.tracker.Failed() {
		s.app.control = nil
		s.appDisconnected(now, ws.StatusAbnormalClosure, "app did not take the context back", CauseContextRefused)
	}
}

// change returns what the journal is to have of the context, for a record of a
// version; 0 is the newest.
func (c *appContext) change(version uint8) snapshot.Change {
	if c.tracker == nil {
		return snapshot.Change{}
	}
	return c.tracker.Change(version != 0 && version < store.Patches)
}

// carry puts the context into a record: all of it into a Snapshot, and otherwise
// what is smaller, if it has changed.
func (c *appContext) carry(rec *store.Record, change snapshot.Change) {
	switch {
	case c.tracker == nil || rec.Kind != store.Snapshot && !c.unsaved():
		return
	case rec.Kind != store.Snapshot && change.Patch != nil:
		rec.Context, rec.ContextBehind = change.Patch, true
	default:
		rec.Context = change.Whole
	}
	c.savingVersion = c.tracker.Version()
	c.tracker.Writing(rec.Context, rec.ContextBehind)
}

// saved notes that a record was accepted.
func (c *appContext) saved(rec *store.Record) {
	if rec.Context == nil {
		return
	}
	c.tracker.Written(true)
	if c.savedVersion = c.savingVersion; !c.unsaved() {
		c.ackHeld = false
		return
	}
	if at := seqwindow.Serial(rec.InAcked); seqwindow.Less(c.ackLimit, at) {
		c.ackLimit = at // what came after it is in no record yet
	}
}

// unsure notes that it is not known what the journal has of the context: what it
// gets next is whole.
func (c *appContext) unsure() {
	if c.tracker != nil {
		c.tracker.Written(false)
	}
}

// limitToWhole returns the last message up to ack that completed an exchange
// with the app.
func (c *appContext) limitToWhole(ack seqwindow.Serial) seqwindow.Serial {
	if c.tracker != nil && c.tracker.InFlight() && seqwindow.Less(c.lastWhole, ack) {
		return c.lastWhole
	}
	return ack
}

// holdsAck reports whether an acknowledgement waits for something else than time.
func (c *appContext) holdsAck() bool {
	return c.ackHeld || c.tracker != nil && c.tracker.InFlight()
}

// ackable returns the last message that may be acknowledged, of those up to
// ack that were handed over.
func (c *appContext) ackable(ack seqwindow.Serial) seqwindow.Serial {
	if c.ackHeld && seqwindow.Less(c.ackLimit, ack) {
		ack = c.ackLimit
	}
	return c.limitToWhole(ack)
}

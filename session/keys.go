package session

import (
	"bytes"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/internal/idempotency"
	"github.com/wsresilience/wsresilience/snapshot"
	"github.com/wsresilience/wsresilience/wire"
)

// keys is what a session has whose messages may act once only
// (docs/DEVICES.md).
type keys struct {
	gate    *idempotency.Gate // nil: no rule is about the session's path
	held    []byte            // the frame that waits in the gate
	offered bool              // the attached client offered wsr.keys
	next    string            // the key of the message that comes next; "": it has none
	charged int64             // against the memory budget
}

// offers notes whether the client whose connection is attached offered wsr.keys and
// wsr.share.
func (s *Session) offers(keys, share bool) {
	if (keys || share) && s.extra == nil {
		s.extra = new(extra)
	}
	if s.extra != nil {
		s.extra.keys.offered, s.extra.keys.next, s.extra.offersShare = keys, "", share
	}
}

// options returns what WELCOME says of options, and whether it says anything.
func (s *Session) options() (o wire.Options, there bool) {
	if s.extra == nil || !s.extra.keys.offered && !s.extra.offersShare {
		return 0, false
	}
	if s.extra.keys.offered && s.extra.keys.gate.TakesKeys() {
		o |= wire.OptionKeys
	}
	if s.extra.member != nil {
		o |= wire.OptionShared
	}
	return o, true
}

// clientKey acts on KEY (PROTOCOL §4.12).
func (s *Session) clientKey(now time.Time, msg []byte) {
	key, err := wire.ParseKey(msg)
	o, _ := s.options()
	switch {
	case err != nil:
		s.violation(now, err.Error())
	case o&wire.OptionKeys == 0 || s.client.welcomeDue:
		s.violation(now, "KEY that WELCOME does not allow")
	default:
		s.extra.keys.next = key
	}
}

// awaitsKeyed reports whether the next message has to be one of data, since its key
// came.
func (s *Session) awaitsKeyed() bool { return s.extra != nil && s.extra.keys.next != "" }

// takeKey returns the key of the message that has come.
func (s *Session) takeKey() string {
	if s.extra == nil {
		return ""
	}
	key := s.extra.keys.next
	s.extra.keys.next = ""
	return key
}

// keyed shows a message of the client to the gate, and reports whether it waits
// there.
func (s *Session) keyed(now time.Time, raw []byte, key string) bool {
	g := s.gate()
	if g == nil {
		return false
	}
	m, ok := s.inboundMessage(bytes.Clone(raw))
	if !ok || !g.Offer(now, uint32(s.inbox.Received()), len(raw), idempotency.Message(m), key) {
		return false
	}
	s.extra.keys.held = bytes.Clone(raw)
	return true
}

// keyHolds reports whether the client is not read since a message of it waits for
// its key: nothing overtakes it.
func (s *Session) keyHolds() bool {
	g := s.gate()
	return g != nil && g.Holds()
}

// Keyed takes the answer to the KeyCall of an earlier Output.
func (s *Session) Keyed(now time.Time, c *idempotency.Call, r idempotency.Result) {
	if g := s.gate(); g != nil {
		g.Told(now, c, r)
	}
}

// settleKeys acts on what the gate has decided.
func (s *Session) settleKeys(now time.Time, o *Output) {
	g := s.gate()
	if g == nil {
		return
	}
	if v := g.Verdict(); v != nil {
		o.Keyed = append(o.Keyed, v.Fate)
		s.admit(now, v)
	}
	for _, m := range g.Said() {
		s.sayOwn(now, m)
	}
	for _, t := range g.Outcomes() {
		if t.Fate == idempotency.FateUnkeyed {
			o.Keyed = append(o.Keyed, t.Fate)
		}
		s.outcome(now, t)
	}
	o.KeyCall = g.Call()
	s.chargeKeys(g.Cost())
}

// admit hands the message that waited on to the app, or drops it, in its place.
func (s *Session) admit(now time.Time, v *idempotency.Verdict) {
	raw := s.extra.keys.held
	s.extra.keys.held = nil
	if s.closing.ended != 0 || s.HandingOver() || !s.app.open && !s.restart.lost {
		return // it stays unacknowledged, as one that comes now
	}
	s.queueDirect(now)
	switch {
	case v.Fate.Passes():
		s.enqueue(now, raw)
	case s.queue.Empty():
		s.queue.Skip(1)
		s.inbox.Handled(now, s.queue.Sent(), len(raw))
	default:
		// A pong that nobody asked for means nothing (RFC 6455 §5.5.3), and keeps
		// the message's place.
		s.enqueue(now, frame.Append(nil, s.cfg.masked(ws.OpPong), nil))
	}
	for _, m := range v.Say {
		s.sayOwn(now, m)
	}
}

// outcome tells the client what became of a message for which it said a key
// (PROTOCOL §4.13).
func (s *Session) outcome(now time.Time, t idempotency.Told) {
	if s.closing.ended == 0 && !s.closing.byApp {
		msg := wire.AppendOutcome(nil, fates[t.Fate], t.Key)
		s.sayAlone(now, frame.Append(nil, ws.Header{Fin: true, OpCode: ws.OpBinary}, msg))
	}
}

// fates are those of the wire.
var fates = map[idempotency.Fate]wire.Fate{
	idempotency.FateFirst: wire.FateFirst, idempotency.FateRepeated: wire.FateRepeated, idempotency.FateUnderway: wire.FateUnderway,
	idempotency.FateAgain: wire.FateAgain, idempotency.FateDoubt: wire.FateDoubt, idempotency.FateUnkeyed: wire.FateUnkeyed, idempotency.FateForbidden: wire.FateForbidden,
}

// sayOwn sends the client a message of the gate.
func (s *Session) sayOwn(now time.Time, m idempotency.Message) {
	if s.closing.ended == 0 && !s.closing.byApp {
		s.sayAlone(now, s.ownFrame(snapshot.Message(m)))
	}
}

// chargeKeys counts what the gate holds against the memory budget.
func (s *Session) chargeKeys(cost int64) {
	s.cfg.Pool.Memory().Charge(cost - s.extra.keys.charged)
	s.extra.keys.charged = cost
}

// keysHanded notes that the app's socket took messages.
func (s *Session) keysHanded() {
	if g := s.gate(); g != nil {
		g.Handed(uint32(s.queue.Sent()))
	}
}

// keysReplied shows the gate a message of the app that may be an outcome.
func (s *Session) keysReplied(m *frame.Message) {
	g := s.gate()
	if g == nil || !g.Awaits() {
		return
	}
	p := m.Payload()
	if m.Compressed() {
		var err error
		if p, err = s.inflate(p); err != nil {
			return // appData finds out too, and says so
		}
	}
	g.Replied(uint32(s.window.Head()+1), idempotency.Message{Binary: m.OpCode == ws.OpBinary, Data: p})
}

// keysEnded notes that the app gets nothing more of the session here.
func (s *Session) keysEnded() {
	if g := s.gate(); g != nil {
		g.Ended()
	}
}

// keysAppGone notes that the app's socket is gone.
func (s *Session) keysAppGone() {
	if g := s.gate(); g != nil {
		g.AppGone()
	}
}

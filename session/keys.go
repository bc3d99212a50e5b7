package session

import (
	"bytes"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/internal/idempotency"
	"github.com/wsresilience/wsresilience/snapshot"
)

// keys is what a session has whose messages may act once only
// (docs/DEVICES.md).
type keys struct {
	gate    *idempotency.Gate // nil: no rule is about the session's path
	held    []byte            // the frame that waits in the gate
	charged int64             // against the memory budget
}

// keyed shows a message of the client to the gate, and reports whether it waits
// there.
func (s *Session) keyed(now time.Time, raw []byte) bool {
	g := s.gate()
	if g == nil {
		return false
	}
	m, ok := s.inboundMessage(bytes.Clone(raw))
	if !ok || !g.Offer(now, uint32(s.inbox.Received()), len(raw), idempotency.Message(m)) {
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
		o.Keyed = v
		s.admit(now, v)
	}
	for _, m := range g.Said() {
		s.sayOwn(now, m)
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

// sayOwn sends the client a message of the gate.
func (s *Session) sayOwn(now time.Time, m idempotency.Message) {
	if s.closing.ended == 0 && !s.closing.byApp {
		s.deliverOwn(now, snapshot.Message(m))
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

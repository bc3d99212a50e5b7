package proxy

import (
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/internal/transport"
	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/wire"
)

// A commonLeg is in the place of a client's connection in the driver of a common
// session. Nothing is ever written to it: what the session has for its members,
// their rounds take out of its window.
type commonLeg struct{ g *shared }

var _ transport.Conn = commonLeg{}

// Pause implements transport.Conn: it comes at the end of each step of the session,
// under its lock.
func (l commonLeg) Pause(bool) { l.g.commonSettledLocked() }

// Finish implements transport.Conn: the session is over.
func (l commonLeg) Finish() { l.g.commonOverLocked() }

// Abort implements transport.Conn, likewise.
func (l commonLeg) Abort() { l.g.commonOverLocked() }

// Write implements transport.Conn.
func (l commonLeg) Write(parts [][]byte) int { return size(parts) }

// Start implements transport.Conn.
func (l commonLeg) Start([]byte) {}

// Shut implements transport.Conn.
func (l commonLeg) Shut() {}

// Broken implements transport.Conn.
func (l commonLeg) Broken() bool { return false }

// Progress implements transport.Conn.
func (l commonLeg) Progress() (transport.Progress, bool) { return transport.Progress{}, false }

// A member is in the place of an app's socket in the driver of a session that is
// joined with others. What it says of its place is said to the common session.
type member struct {
	g *shared
	c *sessionDriver // of the member's session

	// Guarded by c.mu.
	leg     *leg   // in c, whose transport this is
	partial []byte // of a message that was written in part
	closed  bool   // the member has sent its close frame, and nothing follows

	// Guarded by g.mu.
	number uint16           // in the shared session, from 1
	delta  seqwindow.Serial // number of a message in the log, less its number to this member, behind its own
	synchrony
	alone                   // what it alone is to hear
	fed    seqwindow.Serial // the last of the log that it was given
	acked  seqwindow.Serial // the last of the log that its client has
	owed   seqwindow.Serial // number of its last message that the app's socket has not taken; owes says whether there is one
	owes   bool
	in     uint32 // its last message that was handed over
	held   uint32 // messages behind it that were not
	waits  bool   // it has something for the app
	state  session.MemberState
	left   time.Time // when its client was detached; zero while it is attached
	paused bool      // it takes nothing now
	asks   bool      // it said close, and the answer is due
	told   bool      // it was told that the app has closed
	backs  int       // of shared.backs that it was told of
	code   ws.StatusCode
	holds  time.Time // since when the others wait for it; zero: they do not
}

var _ transport.Conn = (*member)(nil)

// Write implements transport.Conn: the bytes of a client of this member, which are
// whole frames or parts of one, go to the app's socket.
func (m *member) Write(parts [][]byte) int {
	if m.closed {
		return size(parts)
	}
	s, ok := m.c.m.(*session.Session)
	if !ok {
		return size(parts)
	}
	n, hold := m.g.fromMember(m, parts, s.ControlForApp())
	if hold {
		s.HoldAcks()
	}
	return n
}

// Pause implements transport.Conn: it comes at the end of each step of the member's
// session, under its lock.
func (m *member) Pause(on bool) {
	s, ok := m.c.m.(*session.Session)
	if !ok {
		return
	}
	m.g.memberSettled(m, s.MemberState(), on)
	if frames := s.TakeOwn(); len(frames) > 0 {
		m.g.sayAlone(m, frames)
	}
}

// Finish implements transport.Conn: the member leaves.
func (m *member) Finish() { m.leave() }

// Abort implements transport.Conn, likewise.
func (m *member) Abort() { m.leave() }

func (m *member) leave() {
	m.closed, m.partial = true, nil
	why := session.EndedPanic
	if s, ok := m.c.m.(*session.Session); ok {
		why = s.EndedWith()
	}
	m.g.leaves(m, why)
}

// Start implements transport.Conn.
func (m *member) Start([]byte) {}

// Shut implements transport.Conn.
func (m *member) Shut() {}

// Broken implements transport.Conn.
func (m *member) Broken() bool { return false }

// Progress implements transport.Conn.
func (m *member) Progress() (transport.Progress, bool) { return transport.Progress{}, false }

// take takes what a member's session writes apart, of which the first control bytes
// are no messages of its client, and calls fn for each message for the app. It
// tells it which of the client's messages in it that is; 0: none. It
// returns how many messages of the client end in it, and with which code the member
// closes, if it does.
func (m *member) take(parts [][]byte, control int, fn func(raw []byte, n uint32)) (n uint32, code ws.StatusCode, closes bool) {
	rules := frame.Rules{Masked: true}
	for _, p := range parts {
		own := len(m.partial) > 0
		if own {
			p, m.partial = append(m.partial, p...), nil
		}
		for len(p) > 0 {
			h, err := rules.Parse(p)
			if err != nil || h.Total() > len(p) {
				if m.partial = p; !own {
					m.partial = append([]byte(nil), p...)
				}
				break
			}
			raw := p[:h.Total()]
			p = p[h.Total():]
			own := uint32(0)
			if control -= len(raw); control < 0 {
				n++ // also of SKIPPED, in whose place there is a pong
				own = n
			}
			switch h.OpCode {
			case ws.OpText, ws.OpBinary:
				fn(raw, own)
			case ws.OpClose:
				payload := append([]byte(nil), raw[h.Size:]...)
				frame.Mask(payload, h.Mask, 0)
				code, _, cerr := wire.ParseClosePayload(payload)
				if cerr != nil {
					code = ws.StatusNoStatusRcvd
				}
				m.closed, m.partial = true, nil
				return n, code, true
			}
		}
	}
	return n, 0, false
}

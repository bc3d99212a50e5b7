package session

import (
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/wire"
)

// restart is an app's socket that broke and may be replaced by a new one while
// the client is held (DESIGN §4.2).
type restart struct {
	allowed bool // the session may go on with a fresh app socket
	covered bool // it may if the context can be restored
	lost    bool // there is none now
	redial  bool // the driver is to be told
	code    ws.StatusCode
	reason  string
}

// appLeft decides what the end of the app's socket means: the end of the
// session, a move to another owner, or a wait for the app.
func (s *Session) appLeft(now time.Time, code ws.StatusCode, reason string) {
	s.app.in.Reset()
	s.abandonHalf()
	switch {
	case s.handover.begun:
		s.appHanded()
	case s.handover.draining && leaving(code) && !s.closing.byClient && s.cfg.Journal:
		s.handover.begun, s.handover.torn = true, code == ws.StatusAbnormalClosure
		s.appHanded()
	case s.goesOn() && (restarting(code) || s.context.restarts(code)) && !s.closing.byClient && !s.closing.byApp && s.closing.ended == 0:
		s.restart.lost, s.restart.redial = true, true
		s.restart.code, s.restart.reason = code, reason
		if s.app.blocked {
			s.app.control = nil // it takes no answer
		}
	default:
		s.appEnded(now, code, reason)
	}
}

// abandonHalf gives up on a message that the app's socket has taken a part of.
// The rest would count as handed to an app that reads no more (I3), and no
// close frame fits before it.
func (s *Session) abandonHalf() {
	if s.queue.MidMessage() {
		s.app.over, s.app.control = true, nil
	}
}

// goesOn tells whether the session may have another app socket.
func (s *Session) goesOn() bool {
	return s.restart.allowed || s.restart.covered && s.context.restorable()
}

// restarting tells whether an app that ends with this code is likely to be
// back soon: it broke, or said that it goes.
func restarting(code ws.StatusCode) bool {
	return code == ws.StatusAbnormalClosure || code == ws.StatusGoingAway || code == wire.CodeRestart
}

// AppLost tells whether the session waits for a fresh app socket.
func (s *Session) AppLost() bool { return s.restart.lost && s.closing.ended == 0 }

// AppBack gives the session the app's new socket. What the old one did not
// take whole goes to it, and the client is told by a second WELCOME (PROTOCOL
// §4.2). It returns false when the session does not want it any more.
func (s *Session) AppBack(now time.Time, subprotocol string, deflate bool) bool {
	if !s.AppLost() || s.closing.byApp || s.handover.begun {
		return false
	}
	s.restart.lost = false
	s.closing.toApp = false
	s.app = appLeg{open: true, deflate: deflate}
	s.app.lent = s.app.lentOne[:0]
	s.app.in = frame.Messages{Max: s.cfg.MaxMessage, Buffers: s.cfg.Buffers}
	if deflate {
		s.app.in.Rules.Rsv = frame.RSV1
	}
	s.appProto = subprotocol
	if err := s.queue.Rewind(s.queue.Acked()); err != nil {
		panic(err) // what is held can be sent again
	}
	s.context.restore(now, s)
	s.adopted, s.told = wire.AdoptAppRestarted, rank{s.epoch, s.generation + 1}
	if s.client.attached {
		s.welcomeAgain()
	}
	return true
}

// welcomeAgain tells the client of the app's new socket. One that has had no
// WELCOME yet hears it in that.
func (s *Session) welcomeAgain() {
	c := &s.client
	switch {
	case !c.greet:
		c.welcome, c.greet, c.again = wire.StatusAdopted, true, true
	case c.welcome == wire.StatusResumed:
		c.welcome = wire.StatusAdopted
	}
}

// AppGivenUp tells that the app did not come back: its end is the client's.
func (s *Session) AppGivenUp(now time.Time) {
	if s.AppLost() {
		s.restart.lost = false
		s.appEnded(now, s.restart.code, s.restart.reason)
	}
}

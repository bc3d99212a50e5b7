package session

import (
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/internal/monotime"
	"github.com/wsresilience/wsresilience/wire"
)

// restart is an app's socket that broke and may be replaced by a new one while
// the client is held (DESIGN §4.2).
type restart struct {
	allowed    bool // the session may go on with a fresh app socket
	ifRestored bool // it may if the context can be restored
	lost       bool // there is none now
	redial     bool // the driver is to be told
	said       restartSign
	end        *appEnd // of the last socket, if it is lost or said too much
}

// appEnd is how the app's socket ended.
type appEnd struct {
	code   ws.StatusCode
	reason string
	cause  CloseCause

	size, limit int // of the message because of which
}

// restartSign is whether an app's end says that it restarts.
type restartSign uint8

const (
	notSaid        restartSign = iota
	saidByCode                 // its close code is one for that
	saidByProtocol             // its protocol says so, or it was dialled to be restored
)

func (s *Session) restartSaid(code ws.StatusCode) restartSign {
	switch {
	case s.context.restarts(code), s.context.restoring():
		return saidByProtocol
	case code == ws.StatusGoingAway, code == wire.CodeRestart:
		return saidByCode
	}
	return notSaid
}

// appDisconnected decides what the end of the app's socket means: the end of the
// session, a hand-over, a wait for a fresh app socket, or that its cause is to be
// found out.
func (s *Session) appDisconnected(now time.Time, code ws.StatusCode, reason string, cause CloseCause) {
	s.app.in.Reset()
	s.keysAppGone()
	s.dropPartialMessage()
	switch {
	case s.handover.phase > awaitsReplies && !s.meansIt(code, cause):
		s.appFinished()
	case s.context.ended() && !s.HandingOver(): // by all that its protocol knows, it meant it
		s.appEnded(now, code, reason, cause)
	case (s.handover.draining || s.HandingOver()) && causedByShutdown(code) && !s.closing.byClient && s.cfg.Journal && !s.context.ended():
		s.handover.unclean, s.handover.owed = code == ws.StatusAbnormalClosure, s.answerMayBeMissing(now)
		if s.HandingOver() {
			s.handover.phase, s.handover.deadline = awaitsAppClose, monotime.At(now.Add(causeWait))
		} else {
			s.handover.phase = awaitsCause
		}
		s.appLost(code, reason, cause)
	case s.HandingOver():
		s.appEnded(now, code, reason, cause) // it meant the conversation, and the next owner says so
		s.appFinished()
	case s.appReplaceable() && (restarting(code) || s.context.restarts(code)) && !s.closing.byClient && !s.closing.byApp && s.closing.ended == 0:
		s.context.awaited = false // the next socket is restored from the beginning
		s.appLost(code, reason, cause)
	case !s.appReplaceable() && (restarting(code) || s.context.restarts(code)):
		s.appEnded(now, code, reason, CauseUnrestored)
	default:
		s.appEnded(now, code, reason, cause)
	}
}

// meansIt reports whether a close of the app, which has been asked to close since
// the session moves, is no answer to that: it crossed ours.
func (s *Session) meansIt(code ws.StatusCode, cause CloseCause) bool {
	return s.handover.phase == awaitsAppClose && cause == CauseApp && !causedByShutdown(code)
}

// appLost waits for what the driver finds out of an app whose socket ended.
func (s *Session) appLost(code ws.StatusCode, reason string, cause CloseCause) {
	s.restart.lost, s.restart.redial = true, true
	s.restart.end = &appEnd{code: code, reason: reason, cause: cause}
	s.restart.said = s.restartSaid(code)
	if s.app.blocked {
		s.app.control = nil // it takes no answer
	}
}

// dropPartialMessage gives up on a message that the app's socket has taken a part of.
// The rest would count as handed to an app that reads no more (I3), and no
// close frame fits before it.
func (s *Session) dropPartialMessage() {
	if s.queue.MidMessage() {
		s.app.writeClosed, s.app.control = true, nil
	}
}

// appReplaceable reports whether the session may go on with another app socket.
func (s *Session) appReplaceable() bool {
	return s.restart.allowed || s.restart.ifRestored && s.context.restorable()
}

// restarting reports whether an app that closes with this code is likely to be
// back soon: its connection broke, or it said that it goes away.
func restarting(code ws.StatusCode) bool {
	return code == ws.StatusAbnormalClosure || code == ws.StatusGoingAway || code == wire.CodeRestart
}

// AppLost reports whether the session waits for a fresh app socket.
func (s *Session) AppLost() bool { return s.restart.lost && s.closing.ended == 0 }

// AppSaidRestart reports whether the app's close said that it restarts, so that
// it was no end of this one socket. An app that did not take its context back
// counts as such: it was dialled for a reason.
func (s *Session) AppSaidRestart() bool { return s.restart.said != notSaid }

// AppRestartCertain reports whether it is more than a close code that says so: an
// app may use 1001 or 1012 to end one of its sockets.
func (s *Session) AppRestartCertain() bool { return s.restart.said == saidByProtocol }

// AppBack gives the session the app's new socket. Messages that the old one did
// not take whole go to it, and the client is told by a second WELCOME (PROTOCOL
// §4.2). AppBack reports whether the session still wanted it.
func (s *Session) AppBack(now time.Time, subprotocol string, deflate bool) bool {
	if !s.AppLost() || s.closing.byApp || s.handover.phase != notHandingOver {
		return false
	}
	s.restart.lost = false
	s.closing.toApp = false
	s.replies = s.replies.Release() // what the old one owed does not come
	s.app = appLeg{open: true, deflate: deflate}
	s.app.direct = s.app.directOne[:0]
	s.app.in = frame.Messages{Max: s.cfg.MaxMessage, Buffers: s.cfg.AppBuffers}
	if deflate {
		s.app.in.Rules.Rsv = frame.RSV1
	}
	s.subprotocol = subprotocol
	if err := s.queue.Rewind(s.queue.Acked()); err != nil {
		panic(err) // what is held can be sent again
	}
	s.context.restore(now, s)
	s.awaitRestore()
	s.adopted, s.announcedAt = s.graver(wire.AdoptAppRestarted), tokenOrder{s.epoch, s.generation + 1}
	switch {
	case s.client.attached && s.context.unanswered == maxUnanswered:
		s.violation(now, "no RESTORED")
	case s.client.attached:
		s.repeatWelcome()
	}
	return true
}

// repeatWelcome tells the client of the app's new socket (PROTOCOL §4.2), in the
// WELCOME that is due if there is one.
func (s *Session) repeatWelcome() {
	c := &s.client
	switch {
	case !c.welcomeDue:
		c.welcome, c.welcomeDue, c.rewelcome = wire.StatusAdopted, true, true
	case c.welcome == wire.StatusResumed:
		c.welcome = wire.StatusAdopted
	}
}

// AppGivenUp notes that the app did not come back, or meant it: the session ends
// as the app's last socket did.
func (s *Session) AppGivenUp(now time.Time) {
	if s.AppLost() {
		s.appMeantIt(now)
	}
}

package session

import (
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/monotime"
	"github.com/wsresilience/wsresilience/internal/replytime"
	"github.com/wsresilience/wsresilience/snapshot"
	"github.com/wsresilience/wsresilience/wire"
)

// Implementation limits of a hand-over.
const (
	// handoverWait is how long an app may take to answer the close of its socket.
	// What it wrote before its answer is still taken.
	handoverWait = time.Second

	// causeWait is how long a hand-over waits to hear why the app ended its
	// socket.
	causeWait = 2 * time.Second

	// unsureWait is how long after the time in which answers are expected one
	// may still come, of an app whose answers cannot be told from what it says
	// by itself.
	unsureWait = 5 * time.Second

	// maxHandoverBytes is how far the window may grow meanwhile: about what the
	// buffers of a socket hold. Left unread, it would be lost.
	maxHandoverBytes = 4 << 20

	// maxHandoverMessages is how many messages that may be.
	maxHandoverMessages = maxHandoverBytes / messageCost
)

// handover is how a session leaves its owner on purpose (DESIGN §4.1): first it
// stops feeding the app, then, when the app owes nothing, it closes the app's
// socket, and when that is over it writes all to the journal.
type handover struct {
	draining bool // the owner is about to stop
	phase    handoverPhase
	unclean  bool          // the app's socket did not end with a close: it may not have read or sent all
	owed     bool          // the app may have had an answer under way
	fed      uint32        // stamp of the last message that the app was handed, and 1; 0: none
	deadline monotime.Time // of the phase
}

type handoverPhase uint8

const (
	notHandingOver  handoverPhase = iota
	awaitsCause                   // not yet either: the app's socket ended while the owner is about to stop, and why is not known
	awaitsReplies                 // the app is not fed, and what it says is passed on
	awaitsAppClose                // and is asked to close
	readyToHandOver               // the app's side is over: the next record hands the session over
)

// Drain notes whether the owner is about to stop. While it is, an app that ends its
// socket may stop with it. The driver finds out (Output.FindCause): then the
// client is not told, and the session is handed over.
func (s *Session) Drain(on bool) { s.handover.draining = on }

// HandOver gives the session up so that another sidecar can adopt it with
// nothing missing. The app is handed no more messages, and what it says is
// passed on until no answer is expected any more, for at most patience; a
// session for which that was not enough is handed over as one whose app may have
// owed an answer. Then the app's socket is closed, what the app wrote before its
// answer is kept, and all that the client has not acknowledged is written to
// the journal with a mark that it is complete. Then the session ends here. What
// the client sends meanwhile is not acknowledged, and the client sends it to the
// next owner again. A later call may shorten the patience of the first.
func (s *Session) HandOver(now time.Time, patience time.Duration) {
	h := &s.handover
	end := monotime.At(now.Add(patience))
	switch {
	case h.phase == awaitsReplies && end < h.deadline:
		h.deadline = end
		return
	case s.AwaitsCause():
		h.phase, h.deadline = awaitsAppClose, monotime.At(now.Add(causeWait))
		return
	case h.phase > awaitsCause || s.closing.ended != 0:
		return
	case s.closing.byClient && !s.closing.byApp:
		return // the client's CLOSE is on its way to the app, and then the session ends
	case !s.cfg.Journal:
		s.End(now, EndedReleased, wire.CodeRestart)
		return
	}
	if s.closing.byApp || !s.app.open || s.restart.lost {
		h.unclean = s.restart.lost
		s.appFinished()
		return
	}
	h.phase, h.deadline = awaitsReplies, end
	s.window.Extend(s.cfg.WindowMessages+maxHandoverMessages+1, s.windowLimit()+maxHandoverBytes)
}

// HandingOver reports whether a hand-over has begun.
func (s *Session) HandingOver() bool { return s.handover.phase > awaitsCause }

// AwaitsCause reports whether it is to be found out why the app has ended its
// socket: AppLeft says that it stops with its pod, and AppGivenUp that it meant
// this session.
func (s *Session) AwaitsCause() bool {
	h := &s.handover
	return s.AppLost() && (h.phase == awaitsCause || h.phase == awaitsAppClose)
}

// AppLeft notes that the app stops, or may stop, with its pod: the session is handed
// over.
func (s *Session) AppLeft() {
	if s.AwaitsCause() {
		s.restart.lost = false
		s.appFinished()
	}
}

// appMeantIt notes that the app has ended this session's socket, and no other.
func (s *Session) appMeantIt(now time.Time) {
	h := &s.handover
	s.restart.lost = false
	s.appEnded(now, s.restart.end.code, s.restart.end.reason, s.restart.end.cause)
	switch h.phase {
	case awaitsCause:
		h.phase, h.unclean, h.owed = notHandingOver, false, false
	case awaitsAppClose:
		s.appFinished() // the next owner says so
	}
}

// settleHandOver closes the app's socket when no answer is expected any more, or
// when it was waited for long enough.
func (s *Session) settleHandOver(now time.Time) {
	h := &s.handover
	if h.phase != awaitsReplies {
		return
	}
	full := s.window.Bytes() >= s.cfg.WindowBytes+maxHandoverBytes/2 // the rest is for what comes before the app's close
	if !full && now.Before(s.quietAt().Time()) {
		return
	}
	h.owed = s.answerMayBeMissing(now)
	h.phase, h.deadline = awaitsAppClose, monotime.At(now.Add(handoverWait))
	s.queueAppClose(ws.StatusGoingAway, "moving")
}

// repliesEnd returns when no answer is expected any more, by what was learned.
func (s *Session) repliesEnd(e replytime.Expectation) monotime.Time {
	if s.handover.fed == 0 {
		return s.started
	}
	wait := e.Wait
	if !e.Known && !s.replies.Answered() {
		wait = replytime.LongestReply
	}
	return s.started.Add(time.Duration(s.handover.fed-1)*time.Millisecond + max(wait, s.cfg.HandOverQuiet))
}

// quietAt is when the app's socket can be closed, as far as is known now.
func (s *Session) quietAt() monotime.Time {
	if s.queue.MidMessage() {
		return s.handover.deadline // it is handed the rest
	}
	switch s.context.owes() {
	case snapshot.OwedAnswer:
		return s.handover.deadline
	case snapshot.OwedNothing:
		return min(s.repliesEnd(replytime.Expectation{Known: true}), s.handover.deadline)
	}
	return min(s.repliesEnd(s.replies.Path().Expect()), s.handover.deadline)
}

// answerMayBeMissing reports whether the app may have an answer under way. Where a preset
// does not know, and answers cannot be told from what the app says by itself, that
// is until long after the last message.
func (s *Session) answerMayBeMissing(now time.Time) bool {
	if owed := s.context.owes(); owed != snapshot.OwedUnknown {
		return owed == snapshot.OwedAnswer
	}
	e := s.replies.Path().Expect()
	if s.handover.fed == 0 || s.replies.Answered() {
		return false
	}
	end := s.repliesEnd(e)
	return e.Answers && now.Before(end.Time()) || !e.Sure && now.Before(end.Add(unsureWait).Time())
}

// handedToApp notes that the app's socket took n messages whole.
func (s *Session) handedToApp(now time.Time, n int) {
	stamp := s.stamp(now) + 1
	s.replies = s.replies.Asked(stamp, s.handover.fed, n)
	s.handover.fed = stamp
}

// handOverDeadline is when the hand-over goes on.
func (s *Session) handOverDeadline() monotime.Time {
	if s.handover.phase == awaitsReplies {
		return s.quietAt()
	}
	return s.handover.deadline
}

// appFinished notes that nothing more comes from the app: the session can be
// handed over.
func (s *Session) appFinished() {
	s.handover.phase, s.handover.deadline = readyToHandOver, 0
	s.journal.due = true
}

// tickHandOver stops waiting for an app that does not answer its close.
func (s *Session) tickHandOver(now time.Time) {
	h := &s.handover
	if h.phase == awaitsAppClose && !now.Before(h.deadline.Time()) {
		s.app.control = nil
		h.unclean = true
		s.restart.lost = false
		s.appFinished()
	}
}

// causedByShutdown reports whether a close with this code, of an app whose pod
// stops, may be due to that. Codes that concern the conversation are not.
func causedByShutdown(code ws.StatusCode) bool {
	switch code {
	case ws.StatusNormalClosure, ws.StatusGoingAway, ws.StatusNoStatusRcvd, ws.StatusAbnormalClosure,
		ws.StatusInternalServerError, wire.CodeRestart, wire.CodeTryLater:
		return true
	}
	return false
}

package session

import (
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/monotime"
	"github.com/wsresilience/wsresilience/wire"
)

// Implementation limits of a hand-over.
const (
	// handoverWait is how long an app may take to answer the close of its socket.
	// What it wrote before its answer is still taken.
	handoverWait = time.Second

	// maxHandoverBytes is how far the window may grow meanwhile: about what the
	// buffers of a socket hold. Left unread, it would be lost.
	maxHandoverBytes = 4 << 20

	// maxHandoverMessages is how many messages that may be.
	maxHandoverMessages = maxHandoverBytes / messageCost
)

// handover is how a session leaves its owner on purpose (DESIGN §4.1).
type handover struct {
	draining bool // the owner is about to stop
	begun    bool
	ready    bool // the app's side is over: the next record hands the session over
	unclean  bool // the app's socket did not end with a close: it may not have read or sent all
	deadline monotime.Time
}

// Drain notes that the owner is about to stop. From now on an app that leaves is
// taken for one that stops with it: the client is not told, and the session is
// handed over.
func (s *Session) Drain() { s.handover.draining = true }

// HandOver gives the session up so that another sidecar can adopt it with
// nothing missing: the app's socket is closed, what the app wrote before its
// answer is kept, and all that the client has not acknowledged is written to
// the journal with a mark that it is complete. Then the session ends here. What
// the client sends meanwhile is not acknowledged, and the client sends it to the
// next owner again.
func (s *Session) HandOver(now time.Time) {
	h := &s.handover
	switch {
	case h.begun || s.closing.ended != 0:
		return
	case s.closing.byClient && !s.closing.byApp:
		return // the client's CLOSE is on its way to the app, and then the session ends
	case !s.cfg.Journal:
		s.End(now, EndedReleased, wire.CodeRestart)
		return
	}
	h.begun, h.deadline = true, monotime.At(now.Add(handoverWait))
	if s.closing.byApp || !s.app.open || s.restart.lost {
		h.unclean = s.restart.lost
		s.appFinished()
		return
	}
	s.window.Extend(s.cfg.WindowMessages+maxHandoverMessages+1, s.windowLimit()+maxHandoverBytes)
	s.queueAppClose(ws.StatusGoingAway, "moving")
}

// HandingOver reports whether a hand-over has begun.
func (s *Session) HandingOver() bool { return s.handover.begun }

// appFinished notes that nothing more comes from the app: the session can be
// handed over.
func (s *Session) appFinished() {
	s.handover.ready, s.handover.deadline = true, 0
	s.journal.due = true
}

// tickHandOver stops waiting for an app that does not answer its close.
func (s *Session) tickHandOver(now time.Time) {
	h := &s.handover
	if h.begun && !h.ready && !now.Before(h.deadline.Time()) {
		s.app.control = nil
		h.unclean = true
		s.appFinished()
	}
}

// causedByShutdown reports whether a close with this code, of an app whose pod
// stops, is due to that. Codes that concern the conversation are not.
func causedByShutdown(code ws.StatusCode) bool {
	switch code {
	case ws.StatusNormalClosure, ws.StatusGoingAway, ws.StatusNoStatusRcvd, ws.StatusAbnormalClosure,
		ws.StatusInternalServerError, wire.CodeRestart, wire.CodeTryLater:
		return true
	}
	return false
}

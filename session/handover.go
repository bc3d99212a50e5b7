package session

import (
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/monotime"
	"github.com/wsresilience/wsresilience/wire"
)

// Implementation limits of a hand-over.
const (
	// handWait is how long an app may take to answer the close of its socket.
	// What it wrote before its answer is still taken.
	handWait = time.Second

	// handBytes is how far the window may grow meanwhile: about what the
	// buffers of a socket hold. Left unread, it would be lost.
	handBytes = 4 << 20

	// handMessages is how many messages that may be.
	handMessages = handBytes / messageCost
)

// handover is how a session leaves its owner on purpose (DESIGN §4.1).
type handover struct {
	draining bool // the owner is about to stop
	begun    bool
	ready    bool // the app's side is over: the next record hands the session over
	torn     bool // it did not end with a close: the app may not have read all, nor said all
	deadline monotime.Time
}

// Drain tells that the owner is about to stop. From now on an app that goes
// away is taken for one that stops with it: its end is not told to the client,
// and the session is handed over.
func (s *Session) Drain() { s.handover.draining = true }

// HandOver gives the session up so that another sidecar can adopt it with
// nothing missing: the app's socket is closed, what the app wrote before its
// answer is kept, and all that the client has not acknowledged is written to
// the journal with a mark that it is complete. Then the session ends here. What
// the client sends meanwhile is not acknowledged, and it says it to the next
// owner.
func (s *Session) HandOver(now time.Time) {
	h := &s.handover
	switch {
	case h.begun || s.closing.ended != 0:
		return
	case s.closing.byClient && !s.closing.byApp:
		return // what it said last is on its way to the app, and then it is over
	case !s.cfg.Journal:
		s.End(now, EndedReleased, wire.CodeRestart)
		return
	}
	h.begun, h.deadline = true, monotime.At(now.Add(handWait))
	if s.closing.byApp || !s.app.open || s.restart.lost {
		h.torn = s.restart.lost
		s.appHanded()
		return
	}
	s.window.Extend(s.cfg.WindowMessages+handMessages+1, s.windowLimit()+handBytes)
	s.queueAppClose(ws.StatusGoingAway, "moving")
}

// HandingOver tells whether the session is on its way to another owner.
func (s *Session) HandingOver() bool { return s.handover.begun }

// appHanded notes that nothing more comes from the app.
func (s *Session) appHanded() {
	s.handover.ready, s.handover.deadline = true, 0
	s.journal.due = true
}

// tickHandOver stops waiting for an app that does not answer its close.
func (s *Session) tickHandOver(now time.Time) {
	h := &s.handover
	if h.begun && !h.ready && !now.Before(h.deadline.Time()) {
		s.app.control = nil
		h.torn = true
		s.appHanded()
	}
}

// leaving tells whether a close with this code, of an app whose pod stops, is
// due to that. Codes that say something of the conversation are none of them.
func leaving(code ws.StatusCode) bool {
	switch code {
	case ws.StatusNormalClosure, ws.StatusGoingAway, ws.StatusNoStatusRcvd, ws.StatusAbnormalClosure,
		ws.StatusInternalServerError, wire.CodeRestart, wire.CodeTryLater:
		return true
	}
	return false
}

package session

import (
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/internal/monotime"
	"github.com/wsresilience/wsresilience/wire"
)

// clientClosed acts on CLOSE from the client: the answer to ours, or the first of
// the two. "Crossing CLOSEs answer each other" (PROTOCOL §7).
func (s *Session) clientClosed(now time.Time, code ws.StatusCode, reason string) {
	c := &s.closing
	if c.byClient || s.HandingOver() && !c.byApp {
		return // behind what the next owner is to hand over: the client says both again there
	}
	c.byClient = true
	if c.byApp {
		s.dropClient(now, s.finalClose())
		return
	}
	c.code, c.reason = code, reason
	s.cause = CauseClient
}

// appEnded notes that the app's side is over, and why. What was not handed to
// it never will be.
func (s *Session) appEnded(now time.Time, code ws.StatusCode, reason string, cause CloseCause) {
	c := &s.closing
	if c.byApp || c.ended != 0 {
		return
	}
	if !c.byClient {
		s.cause = cause
	}
	c.byApp, c.code, c.reason = true, code, wire.CutReason(reason)
	c.deadline = monotime.At(now.Add(CloseWait))
	s.dropQueue()
	s.journal.closed()
	if c.byClient && !s.client.attached {
		s.end(EndedClosed)
	}
}

// AppGone notes that the app's socket broke or ended.
func (s *Session) AppGone(now time.Time, broken bool) {
	s.app.control, s.app.writeClosed = nil, true
	s.handover.unclean = s.handover.unclean || broken && s.HandingOver() && s.handover.phase != readyToHandOver
	s.appDisconnected(now, ws.StatusAbnormalClosure, "app connection lost", CauseAppBroke)
}

// queueAppClose queues the close frame for the app, once.
func (s *Session) queueAppClose(code ws.StatusCode, reason string) {
	if s.closing.toApp || !s.app.open || s.app.writeClosed {
		return
	}
	s.closing.toApp = true
	h := s.cfg.masked(ws.OpClose)
	if !wire.ValidFrameCode(code) {
		s.app.control = frame.Append(s.app.control, h, nil)
		return
	}
	s.app.control = appendClose(s.app.control, h, code, reason)
}

// settleClose takes the steps of closing that wait for bytes to be written.
func (s *Session) settleClose(now time.Time) {
	c := &s.closing
	if c.ended != 0 {
		return
	}
	switch {
	case c.byClient && s.restart.lost:
		s.appMeantIt(now)
	case c.byClient && !c.byApp && s.context.awaited && !s.queue.Empty():
		if c.deadline == 0 {
			c.deadline = monotime.At(now.Add(CloseWait)) // for RESTORED
		}
	case c.byClient && !c.byApp && !c.toApp && s.queue.Empty() && s.app.directN == 0:
		if c.code == ws.StatusAbnormalClosure {
			s.app.control, c.toApp = nil, true // the app sees a connection that breaks
			s.appEnded(now, ws.StatusAbnormalClosure, c.reason, CauseClient)
			return
		}
		s.queueAppClose(c.code, c.reason)
		c.deadline = monotime.At(now.Add(CloseWait))
	case c.byClient && c.byApp && c.sent && len(s.client.control) == 0:
		s.dropClient(now, s.finalClose())
	}
}

// closeDue reports whether CLOSE is to be sent: "after all data" (PROTOCOL §7).
func (s *Session) closeDue() bool {
	c := &s.closing
	return c.byApp && !c.sent && (!s.window.Unsent() || s.client.refused) && c.ended == 0
}

// composeClose sends CLOSE to the client.
func (s *Session) composeClose(now time.Time) {
	c := &s.closing
	if !s.closeDue() {
		return
	}
	s.control(wire.AppendClose(nil, c.code, c.reason))
	c.sent = true
	c.deadline = monotime.At(now.Add(CloseWait))
}

// finalClose is the close of the connection after CLOSE was exchanged.
func (s *Session) finalClose() *wire.CloseError {
	code := s.closing.code
	if !wire.ValidFrameCode(code) {
		code = ws.StatusNormalClosure
	}
	return &wire.CloseError{Code: code, Reason: s.closing.reason, Quoted: true}
}

// tickClose stops waiting for an answer. An app that gives none is gone; a
// client that gives none may come back for the CLOSE.
func (s *Session) tickClose(now time.Time) {
	c := &s.closing
	if c.deadline.IsZero() || now.Before(c.deadline.Time()) {
		return
	}
	c.deadline = 0
	switch {
	case s.context.awaited && !c.byApp && !c.toApp:
		s.abandonRestore(now)
	case c.toApp && !c.byApp:
		s.app.control = nil
		s.appEnded(now, ws.StatusAbnormalClosure, "app did not answer the close", CauseClient)
	case c.byApp && s.app.open && len(s.app.control) > 0:
		s.forceApp(now)
		c.deadline = monotime.At(now.Add(CloseWait))
	case c.sent:
		s.dropClient(now, s.finalClose())
	}
}

// forceApp stops waiting for an app that does not take its close frame. Nothing is
// due for that any more, however long the journal takes to hear of the end.
func (s *Session) forceApp(now time.Time) {
	if !now.Before(s.closing.deadline.Time()) {
		s.app.control, s.closing.deadline = nil, 0
	}
}

// End ends the session for a reason of the driver's. The client's connection
// is dropped with code; a resume then is RESET.
func (s *Session) End(now time.Time, why Ending, code ws.StatusCode) {
	s.dropClient(now, &wire.CloseError{Code: code, Reason: why.String()})
	s.end(why)
	s.closing.deadline = monotime.At(now.Add(CloseWait))
	s.queueAppClose(ws.StatusGoingAway, why.String())
}

// end gives everything back. The close frames that are queued still go out.
func (s *Session) end(why Ending) {
	if s.closing.ended != 0 {
		return
	}
	s.closing.ended = why
	s.ownership.open = false
	if s.client.attached {
		s.client.attached = false
		s.client.drop = &wire.CloseError{Code: ws.StatusInternalServerError, Reason: why.String()}
	}
	s.client.beat.Disconnected()
	s.client.in.Reset()
	s.app.in.Reset()
	s.window.Reset()
	s.dropState()
	s.dropQueue()
	s.replies = s.replies.Release()
	s.queueAppClose(ws.StatusGoingAway, why.String())
}

// Forget gives all memory back, of a session that nothing follows on.
func (s *Session) Forget() {
	s.client.in.Reset()
	s.app.in.Reset()
	s.window.Reset()
	s.queue.Reset()
	if s.extra != nil {
		s.chargeKeys(0)
		s.dropState()
	}
}

// Moved reports whether a session that ended here goes on elsewhere, or can: it
// was handed over, or another owner took it.
func (s *Session) Moved() bool {
	return s.closing.ended == EndedHanded || s.closing.ended == EndedFenced
}

func (s *Session) dropQueue() {
	s.keysEnded()
	s.dropPartialMessage()
	s.queue.Reset()
	s.app.direct, s.app.directN, s.app.directBytes = nil, 0, 0
}

package session

import (
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/internal/monotime"
	"github.com/wsresilience/wsresilience/snapshot"
	"github.com/wsresilience/wsresilience/wire"
)

// Implementation limits of the restoring by a client (PROTOCOL §8.6).
const (
	// restoreWait is how long an attached client may take until RESTORED: long
	// enough for a page that has to ask somebody for a new ticket first.
	restoreWait = 30 * time.Second

	// maxUnanswered is how many adoptions one connection may owe RESTORED for.
	// Between two of them an app has started, served and broken.
	maxUnanswered = 64
)

// awaitRestore holds back what waits for a fresh app socket until the client says
// RESTORED, if it restores the app's context by itself. A client that has not
// heard of the session yet has told the app nothing.
func (s *Session) awaitRestore() {
	c := &s.client
	unaware := c.attached && c.welcomeDue && c.welcome == wire.StatusNew
	s.context.awaited = s.context.client != restoresNothing && !unaware
}

// welcomeAdopts reports whether a WELCOME that tells of an adoption is due, so
// that what the client says still concerns the app socket before.
func (s *Session) welcomeAdopts() bool {
	return s.client.welcomeDue && s.client.welcome == wire.StatusAdopted
}

// adoptionTold notes that a WELCOME tells the client of an adoption.
func (s *Session) adoptionTold(now time.Time) {
	if s.context.client != restoresNothing {
		s.setUnanswered(s.context.unanswered + 1)
		s.context.restoreBegan = s.stamp(now)
	}
}

// setUnanswered sets how many RESTORED are expected. The connection may carry
// RESTORE while there are some, which is longer than what it brings.
func (s *Session) setUnanswered(n uint8) {
	s.context.unanswered, s.client.in.Extra = n, uint8(wire.EscapeLen)
	if n > 0 {
		s.client.in.Extra = uint8(wire.RestoreLen)
	}
}

// clientRestores passes a message of RESTORE on to the app, ahead of what waits.
// It is not kept: an app socket that breaks is restored again.
func (s *Session) clientRestores(now time.Time, op ws.OpCode, message []byte) {
	c := &s.context
	switch {
	case c.unanswered == 0:
		s.violation(now, "RESTORE without an adoption")
		return
	case c.unanswered > 1 || s.welcomeAdopts() || s.restart.lost || s.HandingOver() || s.closing.byApp || s.closing.toApp || s.app.writeClosed || !s.app.open:
		return // the socket that it was meant for is gone
	}
	s.app.control = frame.Append(s.app.control, s.cfg.masked(op), message)
	s.handedToApp(now, 1)
	if c.tracker != nil {
		c.tracker.Inbound(now, snapshot.Message{Binary: op == ws.OpBinary, Data: message})
		c.sendToApp(s)
	}
}

// clientRestored notes RESTORED: the oldest adoption that the client owes an
// answer for is settled, and after the last one the app is fed.
func (s *Session) clientRestored(now time.Time) {
	c := &s.context
	if c.unanswered == 0 {
		s.violation(now, "RESTORED without an adoption")
		return
	}
	if s.setUnanswered(c.unanswered - 1); c.unanswered == 0 && !s.welcomeAdopts() {
		c.awaited = false
	}
}

// restoreFull reports whether nothing more is read from the client because of
// what restores the app's context: the app takes it slowly, or has to take the
// snapshot before it.
func (s *Session) restoreFull() bool {
	limit := s.cfg.WindowBytes
	if s.cfg.Scarce() {
		limit = scarceWindow
	}
	return s.context.unanswered > 0 && len(s.app.control) >= limit || s.context.awaited && s.context.restoring()
}

// mayHold reports whether a message can wait for RESTORED. The client is read
// meanwhile, whatever waits: RESTORED comes behind that.
func (s *Session) mayHold(raw []byte) bool {
	return s.queue.Len() <= s.cfg.WindowBytes/messageCost && s.queue.Bytes()+len(raw) <= s.windowLimit()
}

// restoreDeadline is when the client is not waited for any more.
func (s *Session) restoreDeadline() monotime.Time {
	c := &s.context
	if !c.awaited || c.unanswered == 0 || !s.client.attached || s.closing.byApp {
		return 0
	}
	return s.started.Add(time.Duration(c.restoreBegan)*time.Millisecond + restoreWait)
}

// tickRestore ends a session whose client does not restore the app's context.
// What waits is not for an app that does not know whose it is.
func (s *Session) tickRestore(now time.Time) {
	if at := s.restoreDeadline(); at != 0 && !now.Before(at.Time()) {
		s.abandonRestore(now)
	}
}

func (s *Session) abandonRestore(now time.Time) {
	s.context.awaited = false
	s.queueAppClose(ws.StatusGoingAway, "context not restored")
	s.appEnded(now, wire.CodeRestart, "context not restored", CauseNotRestored)
}

package session

import (
	"time"

	"github.com/wsresilience/wsresilience/wire"
)

// held is what a member has handed to its common session and the app's socket has
// not taken: it is not acknowledged (I3).
type held struct {
	on    bool
	bytes int
}

// holds reports whether an acknowledgement waits, and counts what it is for.
func (h *held) holds(bytes int) bool {
	if h == nil || !h.on {
		return false
	}
	h.bytes += bytes
	return true
}

// HoldAcks says of a member that what the common session takes from now on is not
// to be acknowledged before ReleaseAcks.
func (s *Session) HoldAcks() { s.extra.member.on = true }

// ReleaseAcks notes that the app's socket has all that the common session took of
// this member.
func (s *Session) ReleaseAcks(now time.Time) {
	h := s.extra.member
	if bytes := h.bytes; bytes > 0 && s.closing.ended == 0 {
		s.inbox.Handled(now, s.queue.Sent(), bytes)
	}
	*h = held{}
}

// CommonBack notes that the app of the common session of this member has a new
// socket: its client is told (PROTOCOL §4.2).
func (s *Session) CommonBack(now time.Time, why wire.AdoptReason) {
	if s.closing.ended != 0 || s.closing.byApp {
		return
	}
	s.awaitRestore()
	s.adopted, s.announcedAt = why, tokenOrder{s.epoch, s.generation + 1}
	switch {
	case s.client.attached && s.context.unanswered == maxUnanswered:
		s.violation(now, "no RESTORED")
	case s.client.attached:
		s.repeatWelcome()
	}
}

// EndedWith returns why the session is over; 0 while it is not.
func (s *Session) EndedWith() Ending { return s.closing.ended }

package session

import (
	"time"

	"github.com/wsresilience/wsresilience/seqwindow"
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

// ControlForApp returns with how many bytes what a member writes to its app begins
// that are no message of its client: they are of RESTORE, or close.
func (s *Session) ControlForApp() int {
	if s.queue.MidMessage() {
		return 0
	}
	return len(s.app.control)
}

// A MemberState is what the common session has to know of a member.
type MemberState struct {
	Attached            bool
	Acked, In           seqwindow.Serial // the last of the app's messages that its client has; its last that was handed over
	ProvenEpoch, Proven uint32           // the newest token that its client is known to have
	Attempt             uint32
}

// MemberState returns that of now.
func (s *Session) MemberState() MemberState {
	in, _ := s.inbox.AckDue(time.Time{})
	return MemberState{s.client.attached, s.window.Acked(), in, s.confirmedToken.epoch, s.confirmedToken.generation, s.attempt}
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

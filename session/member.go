package session

import (
	"time"

	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/wire"
)

// member is what a session has whose app is a common session.
type member struct {
	held held

	behind time.Duration // by how much the client's clock is; 0: it is not known
	own    [][]byte      // frames for this client alone, which TakeOwn takes
}

// held is what a member has handed to its common session and the app's socket has
// not taken: it is not acknowledged (I3).
type held struct {
	on    bool
	bytes int
}

// clockTold notes the time that a client has on its clock.
func (s *Session) clockTold(now time.Time, millis uint64) {
	if s.extra != nil && s.extra.member != nil && millis < 1<<50 {
		rtt, _ := s.client.beat.RTT()
		s.extra.member.behind = now.Sub(time.UnixMilli(int64(millis))) - rtt/2
	}
}

// unacked returns what of the session is handed over and not acknowledged; nil: its
// app is an app.
func (s *Session) unacked() *held {
	if s.extra == nil || s.extra.member == nil {
		return nil
	}
	return &s.extra.member.held
}

// sayAlone sends the client a message that nobody else has. A member gets it by its
// driver: the numbers of its messages are then not those of the log any more, which
// the journal has to know first.
func (s *Session) sayAlone(now time.Time, raw []byte) {
	if s.extra != nil && s.extra.member != nil {
		s.extra.member.own = append(s.extra.member.own, raw)
		return
	}
	s.toWindow(now, raw)
}

// TakeOwn returns what is to be said to this member alone, and forgets it: the driver
// brings it with SayOwn.
func (s *Session) TakeOwn() [][]byte {
	own := s.extra.member.own
	s.extra.member.own = nil
	return own
}

// SayOwn sends a member frames for it alone.
func (s *Session) SayOwn(now time.Time, frames [][]byte) {
	for _, raw := range frames {
		if s.closing.ended == 0 && !s.closing.byApp {
			s.toWindow(now, raw)
		}
	}
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
func (s *Session) HoldAcks() { s.extra.member.held.on = true }

// ReleaseAcks notes that the app's socket has all that the common session took of
// this member.
func (s *Session) ReleaseAcks(now time.Time) {
	h := &s.extra.member.held
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
	Share               bool // it hears of the others

	Behind time.Duration // by how much its clock is; 0: it is not known
}

// MemberState returns that of now.
func (s *Session) MemberState() MemberState {
	in, _ := s.inbox.AckDue(time.Time{})
	return MemberState{Share: s.extra.offersShare, Attached: s.client.attached, Acked: s.window.Acked(), In: in,
		ProvenEpoch: s.confirmedToken.epoch, Proven: s.confirmedToken.generation, Attempt: s.attempt, Behind: s.extra.member.behind}
}

// CommonBack notes that the app of the common session of this member has a new
// socket: its client is told (PROTOCOL §4.2).
func (s *Session) CommonBack(now time.Time, why wire.AdoptReason) {
	if s.closing.ended != 0 || s.closing.byApp {
		return
	}
	s.awaitRestore()
	s.adopted, s.announcedAt = s.graver(why), tokenOrder{s.epoch, s.generation + 1}
	switch {
	case s.client.attached && s.context.unanswered == maxUnanswered:
		s.violation(now, "no RESTORED")
	case s.client.attached:
		s.repeatWelcome()
	}
}

// EndedWith returns why the session is over; 0 while it is not.
func (s *Session) EndedWith() Ending { return s.closing.ended }

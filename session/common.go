package session

import (
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/seqwindow"
)

// A common session has the app's socket of several clients, its members, each of
// which has a Session of its own whose app it is (docs/DEVICES.md). Start.Shared
// makes one. It has no connection to a client: its driver takes messages out of
// the window for its members, and brings theirs. Its window is the log that they
// share.

// roster is what the journal has of the members.
type roster struct {
	make func() []byte
	size int // of the newest, in bytes

	// How many were made, how many of them when the record under way was, and when
	// the newest accepted one was.
	made, writing, saved uint32
}

// AttachMembers takes the place of Attach. From then on the session counts as one
// whose client is there and takes nothing, for as long as it lives: whether the
// clients are there, the members' sessions find out.
//
// roster returns what the journal is to keep of the members. It is called whenever
// a record is made.
func (s *Session) AttachMembers(now time.Time, roster func() []byte) {
	s.extra.roster.make = roster
	s.client.attached, s.client.blocked = true, true
	s.client.last = s.inbox.Received()
	s.client.beat.Disconnected() // nobody answers heartbeats, or ends a handshake
	s.context.setAttached(now, true, s)
	s.journal.attached()
}

// RosterChanged has the journal learn of the members anew.
func (s *Session) RosterChanged() {
	if s.closing.ended == 0 {
		s.journal.due = true
	}
}

// recordExtensions is what a record has in the place of the extensions that the
// client was answered. Members have none: a common session has its roster there.
func (s *Session) recordExtensions() string {
	if s.extra != nil && s.extra.roster.make != nil {
		b := s.extra.roster.make()
		s.extra.roster.made++
		s.extra.roster.size = len(b)
		return string(b)
	}
	return s.extensions
}

// namesSize is how many bytes each record has of names.
func (s *Session) namesSize() int {
	n := len(s.subprotocol) + len(s.extensions)
	if s.extra != nil {
		n += s.extra.roster.size
	}
	return n
}

// rosterWriting notes that the newest roster is in the record under way, and
// rosterSaved that the journal has that.
func (s *Session) rosterWriting() {
	if s.extra != nil {
		s.extra.roster.writing = s.extra.roster.made
	}
}

func (s *Session) rosterSaved() {
	if s.extra != nil {
		s.extra.roster.saved = s.extra.roster.writing
	}
}

// RosterSaved returns how many rosters were made before the journal had the newest
// that it has, and that one. Without a journal, and while that is away, members are
// not made to wait for it: it is all of them.
func (s *Session) RosterSaved(journalAway bool) uint32 {
	if !s.cfg.Journal || journalAway {
		return s.extra.roster.made + 1
	}
	return s.extra.roster.saved
}

// Head returns the number of the app's last message.
func (s *Session) Head() seqwindow.Serial { return s.window.Head() }

// Acked returns the last of the app's messages that the client has acknowledged,
// or that all members have.
func (s *Session) Acked() seqwindow.Serial { return s.window.Acked() }

// Visible returns the last message of the app that members may hear: what the
// journal has, so that none of them knows what an owner's death takes from the
// others. While the journal is away, that is all.
func (s *Session) Visible(journalAway bool) seqwindow.Serial {
	if s.cfg.Journal && !journalAway {
		return s.window.Journaled()
	}
	return s.window.Head()
}

// Full reports whether the app waits since its messages are not acknowledged.
func (s *Session) Full() bool { return s.full() }

// AppendLog appends to dst the frames of the app's messages that follow after, up
// to and including last, as many as fit into limit bytes, and at least one if
// there is any. It returns how many they are.
func (s *Session) AppendLog(dst []byte, after, last seqwindow.Serial, limit int) ([]byte, int) {
	n := 0
	s.window.Each(after, func(seq seqwindow.Serial, _ uint32, parts [][]byte) bool {
		size := 0
		for _, p := range parts {
			size += len(p)
		}
		if seqwindow.Less(last, seq) || n > 0 && len(dst)+size > limit {
			return false
		}
		for _, p := range parts {
			dst = append(dst, p...)
		}
		n++
		return true
	})
	return dst, n
}

// AckMembers notes that all members have the app's messages up to seq.
func (s *Session) AckMembers(seq seqwindow.Serial) {
	if s.closing.ended != 0 || seqwindow.LessEq(seq, s.window.Acked()) {
		return
	}
	size := 0
	s.window.Each(s.window.Sent(), func(at seqwindow.Serial, _ uint32, parts [][]byte) bool {
		if seqwindow.Less(seq, at) {
			return false
		}
		for _, p := range parts {
			size += len(p)
		}
		return true
	})
	s.acknowledgedByAll(seq)
	s.window.Advance(size)
	if _, err := s.window.Ack(seq); err != nil {
		panic(err) // members were told no more than there is
	}
}

// TakesFromMembers reports whether FromMember may be called: what a member sends
// goes to the app's socket at once, as far as that takes it, so that little of it
// is under way that is not acknowledged.
func (s *Session) TakesFromMembers() bool {
	return s.closing.ended == 0 && !s.closing.byApp && !s.closing.byClient && !s.HandingOver() && !s.ownership.open &&
		s.app.open && !s.app.blocked && !s.restart.lost && s.queue.Empty() && s.app.directN == 0 &&
		!s.context.restoring() && !s.context.awaited
}

// FromMember takes a message of a member: a masked frame that does not change
// before Output was acted on. It returns the number under which Handed tells that
// it arrived.
func (s *Session) FromMember(now time.Time, raw []byte) seqwindow.Serial {
	s.deliver(now, raw, raw)
	return s.client.last
}

// Handed returns the last message of members that may be acknowledged.
func (s *Session) Handed(now time.Time) seqwindow.Serial {
	ack, _ := s.inbox.AckDue(now)
	return s.context.ackable(ack)
}

// AppClosed returns with what the app's side has ended; ok is false while it has
// not.
func (s *Session) AppClosed() (code ws.StatusCode, reason string, ok bool) {
	return s.closing.code, s.closing.reason, s.closing.byApp
}

// MembersClosed notes that the last member has said CLOSE with this code.
func (s *Session) MembersClosed(now time.Time, code ws.StatusCode, reason string) {
	if s.closing.ended != 0 || s.HandingOver() {
		return
	}
	s.clientClosed(now, code, reason)
	if s.closing.ended != 0 || !s.client.attached {
		return
	}
	s.detach(now, s.cfg.TTL) // the app's answer ends it
}

// TakeAppBack reports whether the app has a new socket since the last call: members
// that are there have to be told.
func (s *Session) TakeAppBack() bool {
	back := s.client.welcomeDue
	s.client.welcomeDue, s.client.rewelcome = false, false
	return back
}

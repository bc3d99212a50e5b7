package session

import (
	"time"

	"github.com/wsresilience/wsresilience/internal/monotime"
	"github.com/wsresilience/wsresilience/wire"
)

// ownershipCheck is under way when the process was stopped for so long that
// another owner may have adopted the session. Until the journal has accepted a
// record that was written after that, nothing is read from either side or
// written to it (I5).
type ownershipCheck struct {
	open bool
	from uint32 // number of the first record that settles it
}

// SuspectOwnership notes that this process was stopped for longer than its lease
// is safe.
func (s *Session) SuspectOwnership() {
	if s.closing.ended != 0 || !s.cfg.Journal {
		return
	}
	s.replies = s.replies.Release() // what came meanwhile is read late
	s.ownership = ownershipCheck{open: true, from: s.journal.n}
	s.journal.due, s.journal.retry = true, 0
}

// OwnershipSuspect reports whether an ownership check is under way.
func (s *Session) OwnershipSuspect() bool { return s.ownership.open }

// Replaced notes that another owner has adopted the session, as the token of a
// higher epoch proves (PROTOCOL §8.4). It ends here as when the journal refuses
// a record, and the journal is told nothing more (I5).
func (s *Session) Replaced(now time.Time) {
	s.journal.final, s.journal.begun, s.journal.retry = true, false, 0
	s.End(now, EndedFenced, wire.CodeRestart)
}

// confirmed notes that record n was accepted: we are the owner.
func (s *Session) confirmed(now time.Time, n uint32) {
	if !s.ownership.open || n < s.ownership.from {
		return
	}
	s.ownership.open = false
	if h := &s.handover; h.phase == awaitsAppClose {
		h.deadline = monotime.At(now.Add(handoverWait)) // the app was not read meanwhile
	}
}

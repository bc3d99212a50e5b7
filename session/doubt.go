package session

import (
	"time"

	"github.com/wsresilience/wsresilience/internal/monotime"
)

// doubt is a session whose owner was stopped for so long that another may
// have adopted it. Until a record written after that stands in the journal,
// nothing is read from either side or written to it (I5).
type doubt struct {
	open bool
	from uint32 // number of the first record that settles it
}

// SuspectOwnership tells that this process was stopped for longer than its lease is safe.
func (s *Session) SuspectOwnership() {
	if s.closing.ended != 0 || !s.cfg.Journal {
		return
	}
	s.doubt = doubt{open: true, from: s.journal.n}
	s.journal.due, s.journal.retry = true, 0
}

// OwnershipSuspect tells whether it is not known who owns the session.
func (s *Session) OwnershipSuspect() bool { return s.doubt.open }

// confirmed notes that record n was accepted: we are the owner.
func (s *Session) confirmed(now time.Time, n uint32) {
	if !s.doubt.open || n < s.doubt.from {
		return
	}
	s.doubt.open = false
	if h := &s.handover; h.begun && !h.ready {
		h.deadline = monotime.At(now.Add(handWait)) // the app was not read meanwhile
	}
}

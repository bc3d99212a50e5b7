package session

import (
	"time"

	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/wire"
)

// A Phase is what a session does at a moment, in one word for operators. Where
// several fit, the later one in this list is said.
type Phase uint8

const (
	// PhaseAttached: a client is there. A broken connection leads to PhaseDetached.
	PhaseAttached Phase = iota
	// PhaseDetached: it waits for its client, until its TTL is over.
	PhaseDetached
	// PhaseClosing: one side has closed it, and the other has not heard of it yet.
	PhaseClosing
	// PhaseAppLost: its app's socket is gone, and a fresh one is looked for.
	PhaseAppLost
	// PhaseHandingOver: it is given up for another owner.
	PhaseHandingOver
	// PhaseSuspect: this process was stopped, and the journal is asked whether the
	// session is still its own.
	PhaseSuspect
	// PhaseEnded: it is over, and the journal is still to hear of that.
	PhaseEnded
)

var phaseNames = [...]string{"attached", "detached", "closing", "waiting_for_app", "handing_over", "checking_owner", "ended"}

func (p Phase) String() string {
	if int(p) < len(phaseNames) {
		return phaseNames[p]
	}
	return "unknown"
}

// A View is what may be seen of a session at a moment: no content (I9). It is a
// copy.
type View struct {
	Phase    Phase
	Attached bool // a client is there, whatever the phase
	Epoch    uint32
	Adopted  wire.AdoptReason // 0: it was not adopted

	Away      time.Duration // how long its client has been away; 0: it is there, or never was
	ExpiresIn time.Duration // until a detached session ends; 0: it is not detached
	Lacking   int           // messages that its client lacks, as far as is known
	ToClient  WindowView
	ToApp     WindowView
	Journal   JournalView

	ContextEntries, ContextBytes int // what a fresh app socket would hear

	Counters Counters
}

// A WindowView is one direction's messages that are kept.
type WindowView struct {
	Messages, Bytes       int  // unacknowledged towards the client; not taken yet by the app
	MaxMessages, MaxBytes int  // 0: bounded by bytes alone
	Full                  bool // whoever sends is made to wait
}

// A JournalView is how far the journal is behind the session.
type JournalView struct {
	On       bool
	Lacks    int           // messages to the client that it does not have
	Writing  bool          // a record is under way
	Failures int           // appends in a row that failed
	RetryIn  time.Duration // until the next attempt after a failure; 0: none waits
	Final    bool          // nothing is written any more
}

// View returns what may be seen of the session at now.
func (s *Session) View(now time.Time) View {
	v := View{
		Phase: s.phase(), Attached: s.client.attached, Epoch: s.epoch, Adopted: s.adopted,
		ToClient: WindowView{s.window.Len(), s.window.Bytes(), s.cfg.WindowMessages, s.cfg.WindowBytes, s.full()},
		ToApp:    WindowView{s.queue.Len(), s.queue.Bytes(), 0, s.cfg.WindowBytes, s.queueFull()},
		Away:     s.Away(now), Lacking: s.Lacking(), Counters: s.counters,
	}
	if at := s.client.expires; !v.Attached && !at.IsZero() {
		v.ExpiresIn = max(at.Time().Sub(now), 0)
	}
	if j := &s.journal; s.cfg.Journal {
		v.Journal = JournalView{
			On: true, Lacks: int(seqwindow.Diff(s.window.Head(), s.window.Journaled())),
			Writing: j.inFlight != nil, Failures: int(j.failures), Final: j.final,
		}
		if at := j.retry; !at.IsZero() && j.failures > 0 {
			v.Journal.RetryIn = max(at.Time().Sub(now), 0)
		}
	}
	if t := s.context.tracker; t != nil {
		v.ContextEntries, v.ContextBytes = t.Size()
	}
	return v
}

func (s *Session) phase() Phase {
	switch {
	case s.closing.ended != 0:
		return PhaseEnded
	case s.OwnershipSuspect():
		return PhaseSuspect
	case s.HandingOver():
		return PhaseHandingOver
	case s.AppLost():
		return PhaseAppLost
	case s.closing.byApp, s.closing.byClient:
		return PhaseClosing
	case s.client.attached:
		return PhaseAttached
	}
	return PhaseDetached
}

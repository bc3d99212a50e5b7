package session

import (
	"fmt"
	"time"

	"github.com/wsresilience/wsresilience/wire"
)

// An Unfit is why a client cannot be attached now. The zero value says that it can.
type Unfit struct {
	Reason   wire.ResetReason // for the client; 0: it can be attached
	Fact     string           // for operators
	Copied   bool             // its token has two users, or is used up and not late
	TooOften bool             // it was refused for its Rates alone
}

// Resumable tells whether a client that comes with at can be attached: whether the
// session is known to be this owner's, the token is good, and the positions can be
// (PROTOCOL §8.1, §8.2, §8.4). leaving says that the owner is about to stop, so that
// a client is not refused for coming often. Nothing changes.
func (s *Session) Resumable(now time.Time, at Position, leaving bool) Unfit {
	switch {
	case s.closing.ended != 0 && s.Moved():
		return Unfit{Reason: wire.ResetTryAgain, Fact: "it has just left this sidecar"} // and is perhaps in the journal
	case s.closing.ended != 0:
		return Unfit{Reason: wire.ResetUnknown, Fact: "it ended a moment ago"}
	case s.OwnershipSuspect():
		return Unfit{Reason: wire.ResetTryAgain, Fact: "this process had stalled, and the journal has not said yet whether it still owns the session"}
	}
	if u := s.unfitToken(at); u.Reason != 0 {
		return u
	}
	// One that moves goes on at another sidecar, which was not asked so often.
	if s.ResumesTooOften(now) && !leaving && !s.HandingOver() {
		return Unfit{Reason: wire.ResetTryAgain, Fact: "it was resumed too often in a minute (WSR_RATE_RESUMES)", TooOften: true}
	}
	reason, fact := s.Check(at)
	return Unfit{Reason: reason, Fact: fact}
}

func (s *Session) unfitToken(at Position) Unfit {
	name := func() string { return fmt.Sprintf("token %d of epoch %d", at.Generation, at.Epoch) }
	switch s.Token(at.Epoch, at.Generation, at.Attempt) {
	case TokenLate: // the connection that has overtaken it does not notice
		return Unfit{Reason: wire.ResetTryAgain, Fact: fmt.Sprintf("attempt %d is late: a later one of the same client was welcomed", at.Attempt)}
	case TokenNewer:
		return Unfit{Reason: wire.ResetTryAgain, Fact: name() + " is of another sidecar, which has adopted it"}
	case TokenUnknown:
		return Unfit{Reason: wire.ResetToken, Fact: name() + " was never sent"}
	case TokenOvertaken:
		return Unfit{Reason: wire.ResetToken, Fact: fmt.Sprintf("token superseded: attempt %d with %s was made before the client had a newer one", at.Attempt, name())}
	case TokenReused:
		return Unfit{Reason: wire.ResetToken, Fact: "token superseded: the client is known to have a newer one than " + name(), Copied: true}
	case TokenCopied:
		return Unfit{Reason: wire.ResetToken, Fact: fmt.Sprintf("attempt %d cannot be of the client that has made the others with %s", at.Attempt, name()), Copied: true}
	}
	return Unfit{}
}

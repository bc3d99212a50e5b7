package event

import (
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/wire"
)

// A Loss is why a user lost a session: its end was neither of the two sides' doing,
// or its client came back and did not have it back.
type Loss uint8

const (
	LossContext     Loss = 1 + iota // nothing restored the app's context, or the app did not take it
	LossKilled                      // the sidecar stopped before it was handed over
	LossMessages                    // messages that the client lacks are gone
	LossMemory                      // memory was short, and the journal away
	LossJournal                     // the sidecar stopped, and there is no journal
	LossNotRestored                 // the client did not restore the app's context in time
	LossPanic
	LossToken // the client's token was not valid
	LossGone  // nobody knows the session any more: most often its client was away for too long
)

var lossNames = names{
	LossContext: "context", LossKilled: "killed", LossMessages: "messages", LossMemory: "memory", LossJournal: "no_journal",
	LossNotRestored: "not_restored", LossPanic: "panic", LossToken: "token", LossGone: "gone",
}

func (l Loss) String() string { return lossNames.of(uint8(l)) }

// Lost returns why a user lost a session by e, or 0.
func (e *Event) Lost() Loss {
	switch {
	case e.Kind == Resumed && e.Resume == ResumeReset:
		return resetLosses[e.Reset]
	case e.Kind != Ended || e.Client == Plain:
		return 0
	case e.Ending == session.EndedClosed:
		return closeLosses[e.Closed]
	}
	return endingLosses[e.Ending]
}

var resetLosses = map[wire.ResetReason]Loss{
	wire.ResetUnknown: LossGone, wire.ResetToken: LossToken, wire.ResetLost: LossMessages,
}

var closeLosses = map[session.CloseCause]Loss{
	session.CauseNoApp: LossContext, session.CauseUnrestored: LossContext, session.CauseOtherProtocol: LossContext,
	session.CauseContextRefused: LossContext, session.CauseNotRestored: LossNotRestored,
}

var endingLosses = map[session.Ending]Loss{
	session.EndedKilled: LossKilled, session.EndedMemory: LossMemory, session.EndedReleased: LossJournal, session.EndedPanic: LossPanic,
	session.EndedLagged: LossMessages,
}

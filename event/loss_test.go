package event

import (
	"testing"

	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/wire"
)

// What a user lost is counted once, and what either side meant, or what goes on
// elsewhere, is no loss.
func TestLost(t *testing.T) {
	for _, c := range []struct {
		e    Event
		want Loss
	}{
		{Event{Kind: Resumed, Resume: ResumeReset, Reset: wire.ResetUnknown}, LossGone},
		{Event{Kind: Resumed, Resume: ResumeReset, Reset: wire.ResetLost}, LossMessages},
		{Event{Kind: Resumed, Resume: ResumeReset, Reset: wire.ResetToken}, LossToken},
		{Event{Kind: Resumed, Resume: ResumeReset, Reset: wire.ResetTryAgain}, 0},
		{Event{Kind: Resumed, Resume: ResumeReset, Reset: wire.ResetUnauthorized}, 0},
		{Event{Kind: Resumed, Resume: ResumeAdopted}, 0},
		{Event{Kind: Ended, Client: Resilient, Ending: session.EndedClosed, Closed: session.CauseNoApp}, LossContext},
		{Event{Kind: Ended, Client: Resilient, Ending: session.EndedClosed, Closed: session.CauseUnrestored}, LossContext},
		{Event{Kind: Ended, Client: Resilient, Ending: session.EndedClosed, Closed: session.CauseNotRestored}, LossNotRestored},
		{Event{Kind: Ended, Client: Resilient, Ending: session.EndedClosed, Closed: session.CauseClient}, 0},
		{Event{Kind: Ended, Client: Resilient, Ending: session.EndedClosed, Closed: session.CauseApp}, 0},
		{Event{Kind: Ended, Client: Resilient, Ending: session.EndedHanded}, 0},
		{Event{Kind: Ended, Client: Resilient, Ending: session.EndedFenced}, 0},
		{Event{Kind: Ended, Client: Resilient, Ending: session.EndedExpired}, 0}, // it is one when its client comes back
		{Event{Kind: Ended, Client: Resilient, Ending: session.EndedKilled}, LossKilled},
		{Event{Kind: Ended, Client: Resilient, Ending: session.EndedReleased}, LossJournal},
		{Event{Kind: Ended, Client: Resilient, Ending: session.EndedLagged}, LossMessages},
		{Event{Kind: Ended, Client: Plain, Ending: session.EndedKilled}, 0},
		{Event{Kind: Detached}, 0},
	} {
		if got := c.e.Lost(); got != c.want {
			t.Errorf("%s, %s: %s, want %s", c.e, c.e.Closed, got, c.want)
		}
	}
}

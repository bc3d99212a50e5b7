package console

import "github.com/wsresilience/wsresilience/event"

// A weight is how much an event tells an operator.
type weight uint8

const (
	untold  weight = iota // it is counted, and that is enough
	routine               // as every session has it
	notable               // it explains why somebody was disconnected, or could have been
)

// weigh returns the weight of an event. What may come thousands of times a second
// when something is wrong, as failed appends do, is told by what it leads to.
func weigh(e *event.Event) weight {
	switch e.Kind {
	case event.RoundTrip, event.TimersFired, event.Accepted:
		return untold
	case event.Began:
		if e.Adopted != 0 && e.Fact == "" {
			return untold // Resumed tells it
		}
		return routine
	case event.Detached:
		if e.Ending != 0 {
			return routine // Ended tells it
		}
	case event.Journaled:
		switch event.ResultOf(e.Err) {
		case event.AppendFenced, event.AppendEnded, event.AppendCorrupt, event.AppendTooLarge:
			return notable
		}
		return untold
	case event.Dialled, event.Authorized:
		if e.Answer == event.AppOK {
			return untold
		}
	case event.LinkState, event.HeartbeatRejected:
		return routine
	case event.OwnershipChecked:
		if e.Ownership == event.OwnershipConfirmed {
			return routine
		}
	case event.Forwarded:
		if e.Forward == event.ForwardServed {
			return routine
		}
	}
	return notable
}

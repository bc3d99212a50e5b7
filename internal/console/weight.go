package console

import "github.com/wsresilience/wsresilience/event"

// A weight is how much an event tells an operator.
type weight uint8

const (
	untold  weight = iota // it is counted, and that is enough
	routine               // as every session has it
	notable               // it explains why somebody was disconnected, or could have been
)

// weights are those of each kind of events at most. What may come thousands of
// times a second when something is wrong, as failed appends do, is told by what it
// leads to.
var weights = map[event.Kind]weight{
	event.RoundTrip: untold, event.Accepted: untold, event.TimersFired: untold, event.Answered: untold,
	event.Began: routine, event.LinkState: routine, event.HeartbeatRejected: routine, event.Keyed: notable, event.Blind: routine,
	event.Ended: notable, event.Detached: notable, event.Resumed: notable, event.Forwarded: notable, event.TokenReused: notable,
	event.Authorized: notable, event.HandedOver: notable, event.AppLost: notable, event.AppRestarted: notable, event.OwnershipChecked: notable,
	event.StoreChanged: notable, event.Dialled: notable, event.Journaled: notable, event.ForeignRecord: notable,
	event.StreamChanged: notable, event.Short: notable, event.Evicted: notable, event.MessageRefused: notable, event.MessageSkipped: notable,
	event.Refused: notable, event.Panicked: notable,
}

// weigh returns the weight of an event.
func weigh(e *event.Event) weight { return min(weights[e.Kind], outcome(e)) }

// outcome is the weight of how something came out.
func outcome(e *event.Event) weight {
	switch e.Kind {
	case event.Began:
		if e.Adopted != 0 && e.Fact == "" {
			return untold // Resumed tells it
		}
	case event.Detached:
		if e.Ending != 0 {
			return routine // Ended tells it
		}
	case event.Ended:
		if e.Client == event.Plain {
			return routine // thousands may end in a second, and their ends are listed apart
		}
	case event.Keyed:
		if e.Fate.Certain() {
			return untold
		}
	case event.Journaled:
		switch event.ResultOf(e.Err) {
		case event.AppendFenced, event.AppendEnded, event.AppendCorrupt, event.AppendTooLarge, event.AppendLost:
			return notable
		}
		return untold
	case event.Dialled, event.Authorized:
		if e.Answer == event.AppOK {
			return untold
		}
	case event.OwnershipChecked:
		if e.Ownership == event.OwnershipConfirmed {
			return routine
		}
	case event.Forwarded:
		if e.Forward == event.ForwardServed {
			return routine
		}
	case event.Refused:
		return refusal(e.Refusal)
	}
	return notable
}

// refusal is the weight of a request that got no further: one that is malformed says
// something of whoever sent it.
func refusal(r event.Refusal) weight {
	switch r {
	case event.RefusedDescriptors, event.RefusedDraining, event.RefusedHandshakes, event.RefusedJournal, event.RefusedMemory, event.RefusedOrigin,
		event.RefusedProof, event.RefusedResume, event.RefusedSessions, event.RefusedUpstream, event.RefusedUpstreamTimeout:
		return notable
	}
	return routine
}

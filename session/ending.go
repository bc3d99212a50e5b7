package session

// An Ending is why a session, or a plain connection, is over.
type Ending uint8

const (
	// EndedClosed: both sides have said so, or a side of a plain connection
	// has ended it.
	EndedClosed Ending = 1 + iota
	// EndedBroken: a side of a plain connection broke.
	EndedBroken
	// EndedTimeout: a plain client did not answer heartbeats.
	EndedTimeout
	// EndedExpired: no client came back within the TTL.
	EndedExpired
	// EndedMemory: the memory budget was used up.
	EndedMemory
	// EndedHanded: it was handed over to another owner.
	EndedHanded
	// EndedFenced: another owner had taken it.
	EndedFenced
	// EndedReleased: its owner stops, and there is no journal.
	EndedReleased
	// EndedShutdown: the sidecar of a plain connection stops.
	EndedShutdown
	// EndedPanic: it broke an invariant.
	EndedPanic
	// EndedUnauthorized: the app refuses the client.
	EndedUnauthorized
	// EndedReused: a copy of a token came that was used up.
	EndedReused
	// EndedLagged: it is a member that was too far behind the others.
	EndedLagged
	// EndedKilled: it did not come to its end before the sidecar did.
	EndedKilled
)

var endingNames = [...]string{
	EndedClosed: "closed", EndedBroken: "broken", EndedTimeout: "timeout", EndedExpired: "expired",
	EndedMemory: "memory", EndedHanded: "handed", EndedFenced: "fenced",
	EndedReleased: "released", EndedShutdown: "shutdown", EndedPanic: "panic", EndedUnauthorized: "unauthorised", EndedReused: "token_reused", EndedLagged: "lagged", EndedKilled: "killed",
}

func (e Ending) String() string {
	if e > 0 && int(e) < len(endingNames) {
		return endingNames[e]
	}
	return "unknown"
}

package event

import "github.com/wsresilience/wsresilience/session"

// Stats are totals and states of a sidecar at one moment. Totals never shrink.
// What happens per message is counted here and is no event.
type Stats struct {
	Plain, Attached, Detached int   // connections and sessions that live
	WindowBytes               int64 // held by all windows
	Budget                    int64 // limit on WindowBytes; 0 for none
	PlainTraffic              session.Counters
	Traffic                   session.Counters

	Tunnels       int   // clients that are passed through to their session's owner
	OldTokens     int   // clients that are still to be asked to come for a new token
	Draining      bool  // sessions are handed over
	Snapshots     int   // sessions whose context is kept
	SnapshotBytes int64 // held by all snapshots
}

package event

import "github.com/wsresilience/wsresilience/session"

// Stats are totals and states of a sidecar at one moment. Totals never shrink.
// What happens per message is counted here and is no event.
type Stats struct {
	Plain, Attached, Detached int   // connections and sessions that live
	WindowBytes               int64 // held by all windows
	Budget                    int64 // limit on WindowBytes; 0 for none
	PlainTraffic              session.Counters
	Slowed                    session.Slowed // of clients
	Traffic                   session.Counters

	Tunnels       int   // clients that are passed through to their session's owner
	OldTokens     int   // clients that are still to be asked to come for a new token
	Draining      bool  // sessions are handed over
	Snapshots     int   // sessions whose context is kept
	SnapshotBytes int64 // held by all snapshots
	Suspicious    int   // links whose round trips vary as with an intermediary that buffers or inspects

	Used Used

	Driver string // how plain sockets are read: aio, epoll or goroutine
}

// Used is how much is used of what a sidecar has, each from 0 to 1 or a little
// above; 0 where there is no limit.
type Used struct {
	Memory     float64 // of the budget
	Loops      float64 // time of the busiest event loop
	Handshakes float64 // of those that may be under way
	Sessions   float64 // of WSR_MAX_SESSIONS
	Journal    float64 // of the records that may be under way before those which can wait do
}

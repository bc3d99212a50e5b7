package proxy

import (
	"time"

	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/store"
)

// An Observer hears what the proxy does, apart from messages, which Stats
// counts. Its methods are called concurrently, some under a session's lock:
// they must be quick and must not call back. Labels are from small fixed
// sets; no token, header or payload is among the arguments (I9).
type Observer interface {
	// Refused tells of a request that got no further; label names why.
	Refused(label string)
	// Accepted tells of a connection, plain or resilient.
	Accepted(kind string)
	// Began and Ended tell of a session, or of a plain connection.
	Began(kind string)
	Ended(kind, reason string, age time.Duration)
	// Detached tells why a resilient session lost its connection.
	Detached(cause string)
	// Resumed tells how a resume ended: resumed, adopted or reset, and of the
	// latter two the reason; took counts from the request's arrival.
	Resumed(outcome, reason string, took time.Duration)
	// Tunnelled tells of an attempt to reach the owner of a client's session:
	// served, elsewhere, refused or silent; took until its answer.
	Tunnelled(outcome string, took time.Duration)
	// TokenReused tells of a token that came although its client had shown
	// that it had a newer one.
	TokenReused()
	// Authorised tells what the app said of a resume: ok, refused or failed.
	Authorised(outcome string)
	// HandedOver tells of a session that was given to another owner: moved,
	// when its client had come elsewhere, detached, when it had none, or deadline.
	HandedOver(cause string)
	// AppRestarted tells of an app's socket that broke and had to be made
	// anew: ok or gave_up.
	AppRestarted(outcome string, took time.Duration)
	// OwnershipSuspect tells of a session that had to make sure after a stall of this
	// process that it is still ours: confirmed or fenced.
	Doubted(outcome string)
	// StoreChanged tells that the journal can be written again, or cannot.
	StoreChanged(available bool)
	// Dialled tells of a handshake with the app: ok, refused or failed.
	Dialled(outcome string, took time.Duration)
	// Journaled tells of an append to the journal; err wraps one of store's.
	Journaled(rec *store.Record, err error, took time.Duration)
	// RoundTrip tells how long heartbeats to a client take, now and then.
	RoundTrip(rtt time.Duration)
	// LinkState tells of a client's link that entered a state.
	LinkState(state heartbeat.State)
	// Panicked tells of a session that broke an invariant and was ended.
	Panicked()
}

// Stats are totals and states at one moment.
type Stats struct {
	Plain, Attached, Detached int // connections and sessions that live
	WindowBytes               int64
	Budget                    int64
	PlainTraffic              session.Counters
	Traffic                   session.Counters

	Tunnels       int // clients that are passed through to their session's owner
	Draining      bool
	Snapshots     int // sessions whose context is kept
	SnapshotBytes int64
}

// Silent is an Observer that does nothing.
type Silent struct{}

func (Silent) Refused(string)                                {}
func (Silent) Accepted(string)                               {}
func (Silent) Began(string)                                  {}
func (Silent) Ended(string, string, time.Duration)           {}
func (Silent) Detached(string)                               {}
func (Silent) Resumed(string, string, time.Duration)         {}
func (Silent) Tunnelled(string, time.Duration)               {}
func (Silent) TokenReused()                                  {}
func (Silent) Authorised(string)                             {}
func (Silent) HandedOver(string)                             {}
func (Silent) AppRestarted(string, time.Duration)            {}
func (Silent) Doubted(string)                                {}
func (Silent) StoreChanged(bool)                             {}
func (Silent) Dialled(string, time.Duration)                 {}
func (Silent) Journaled(*store.Record, error, time.Duration) {}
func (Silent) RoundTrip(time.Duration)                       {}
func (Silent) LinkState(heartbeat.State)                     {}
func (Silent) Panicked()                                     {}

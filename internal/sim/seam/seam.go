// Package seam is where package client shows its machine to the simulator (package
// internal/sim). Programs outside of this module cannot import it, so that nothing
// of the machine becomes a part of the client's API.
package seam

import (
	"math/rand/v2"
	"time"

	"github.com/wsresilience/wsresilience/wire"
)

// Settings are what a simulated client is like. The zero value has the client's
// defaults.
type Settings struct {
	Adopt          bool // the program handles adoptions
	Restores       bool // and restores the app's context
	OutboxMessages int
	OutboxBytes    int
	QueueBytes     int
	MaxMessage     int
	AckDelay       time.Duration
}

// A Seam is filled by client.Simulate. Its function makes a machine, whose masks and
// jitter are those of random.
type Seam struct {
	New func(s Settings, random *rand.Rand) (Client, error)
}

// A Client is a client's machine. It does no I/O and reads no clock, and is not safe
// for concurrent use. After each call but those that only look, its driver calls
// Tick, then acts on Events, writes to each connection what Fill returns, ends those
// that are Closed, dials if WantDial says so, and calls Tick at Deadline.
type Client interface {
	FirstOffer() Offer
	WantDial(now time.Time) (Offer, bool)
	UnderWay(o Offer) bool
	Attach(now time.Time, o Offer) Conn // nil: the attempt was given up
	DialFailed(now time.Time)
	RetryAfter(d time.Duration)

	Tick(now time.Time, late time.Duration)
	Deadline() time.Time // zero: never

	Write(text bool, p []byte) error                     // seqwindow.ErrFull: there is no room now
	Read(now time.Time) (text bool, p []byte, more bool) // more: there was a message
	Close(now time.Time, code int, reason string)
	NetworkChanged(now time.Time)

	Restoring() (number int, wanted bool)
	Restore(text bool, p []byte)
	Restored(number int)

	Events() []Event // since the last call
	View() View
}

// A Conn is a connection of a Client.
type Conn interface {
	Received(now time.Time, p []byte) (used int) // less than all: the queue is full
	Fill(now time.Time) []byte                   // what was returned before has been written
	Broken(now time.Time, why error)
	Closed() (code int, final []byte, over bool)
}

// An Offer is a handshake's.
type Offer interface {
	Wire() wire.Offer
}

// An Event is something that happened to a session, as in package client.
type Event struct {
	Kind   string // resumed, adopted, reset, goaway, rejected, or a state
	Reason string
}

// A View is what may be seen of a session.
type View struct {
	Connected bool   // a connection is welcomed
	Over      bool   // the session has ended
	Lost      string // why it was lost; empty: it was not, or goes on
	Code      int    // with which it was closed
	Confirmed bool   // of a close: the other side has confirmed it
	Unacked   int    // messages that Write took and that the app's socket has not got
	Acked     int    // messages that it has, as far as is known
	Queued    int    // bytes that wait for Read
	Epoch     uint32
}

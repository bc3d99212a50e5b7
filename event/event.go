// Package event is what a sidecar reports of its work: the proxy makes events,
// and what counts, logs or traces them is an Observer. What they say is in types,
// so that the compiler knows every value that a metric's label can have.
package event

import (
	"time"

	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/internal/idempotency"
	"github.com/wsresilience/wsresilience/internal/traceparent"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

// An Observer is told of events. Observe is called concurrently, sometimes
// under a session's lock: it must be quick and must not call back.
type Observer interface {
	Observe(e Event)
}

// An Event is one thing that happened. Kind says which of the other fields
// mean something. None holds a token, a header or a payload (I9).
type Event struct {
	Kind    Kind
	Session wire.SessionID // zero: none, or not known
	Subject *Subject       // whose session it is; nil: nobody's, or not known

	Took      time.Duration    // Ended, Resumed, Forwarded, AppRestarted, Dialled, Journaled, RoundTrip
	Client    ClientKind       // Accepted, Began, Ended
	Refusal   Refusal          // Refused
	Ending    session.Ending   // Ended; Detached, if the session ended with its connection
	Cause     DetachCause      // Detached
	Resume    ResumeOutcome    // Resumed
	Adopted   wire.AdoptReason // Resumed, when the outcome is ResumeAdopted; Began, if it began by that
	Reset     wire.ResetReason // Resumed, when the outcome is ResumeReset
	Forward   ForwardOutcome   // Forwarded
	Answer    AppAnswer        // Authorized, Dialled
	HandOver  HandOverCause    // HandedOver
	Restart   RestartOutcome   // AppRestarted
	Ownership OwnershipOutcome // OwnershipChecked
	Available bool             // StoreChanged
	Stream    StreamOutcome    // StreamChanged
	Link      heartbeat.State  // LinkState
	Resource  Resource         // Short
	Record    *store.Record    // Journaled; only until Observe returns
	Err       error            // Journaled: nil, or wraps one of store's

	// What operators ask beside.
	Fact     string             // what it follows from, in our own words or those of an error of ours
	Advice   Advice             // Ended, Resumed: what would have kept the session
	Came     *Subject           // Detached, Resumed: the handshake that superseded the connection, or with which the client came back
	Owner    string             // Forwarded, Resumed, Began: the address of the sidecar that has the session, as far as is known
	Former   string             // Resumed, Began: of the one that had it before an adoption
	Via      string             // Resumed: the address of the sidecar by which the client came; "": it came itself
	Closed   session.CloseCause // Ended: why client and app are over with each other
	Code     uint16             // Detached, Ended: of the close; 0: there was none
	Status   int                // Authorized, Dialled, Resumed: what an app answered that refuses; 0: nothing of the kind
	Away     time.Duration      // Resumed: how long the client was without a connection; negative: not known
	Lacking  int                // Resumed: messages that the client lacked
	Beat     session.BeatFault  // HeartbeatRejected
	Fate     idempotency.Fate   // Keyed
	FromApp  bool               // MessageRefused: otherwise it is the client's
	Size     int                // MessageRefused: bytes; 0: not known
	Limit    int                // MessageRefused
	Messages int                // MessageSkipped: how many

	Deviation time.Duration // RoundTrip: of the latest of the link
	Loss      float64       // RoundTrip: share of the link's latest heartbeats that were not answered in time

	// Of what is traced.
	Span   traceparent.Parent // Answered, Dialled, Forwarded: its place in a trace; zero: it is not traced
	Parent [8]byte            // Answered, Dialled, Forwarded: the span that it is a part of; zero: none
}

// A Kind is what an Event is about.
type Kind uint8

const (
	// Refused: a request got no further.
	Refused Kind = 1 + iota
	// Accepted: a WebSocket connection was accepted, a resume included.
	Accepted
	// Began and Ended: a session, or a plain connection as its own session.
	// Took is its age.
	Began
	Ended
	// Detached: a resilient session lost its connection.
	Detached
	// Resumed: a resume ended. Took counts from the arrival of the request.
	Resumed
	// Forwarded: a client was passed on to the owner of its session. Took is
	// until the owner's answer.
	Forwarded
	// TokenReused: a token came although its client had shown that it had a
	// newer one.
	TokenReused
	// Authorized: the app was asked about a client (WSR_RESUME_AUTH).
	Authorized
	// HandedOver: a session was given up, complete, for another owner.
	HandedOver
	// AppLost: an app's socket ended as when it restarts. Took is for how long it is
	// looked for.
	AppLost
	// AppRestarted: an app's socket broke and was made anew, or could not be.
	AppRestarted
	// OwnershipChecked: after a stall of this process a session made sure
	// whether it is still ours.
	OwnershipChecked
	// StoreChanged: the journal can be written again, or cannot.
	StoreChanged
	// Dialled: a handshake was made with the app.
	Dialled
	// Journaled: a record was appended to the journal, or failed to be.
	Journaled
	// RoundTrip: a client answered a heartbeat. Took is until the answer.
	RoundTrip
	// LinkState: a client's link entered a state.
	LinkState
	// ForeignRecord: a message in the journal that no owner wrote was skipped.
	ForeignRecord
	// StreamChanged: a stream of the journal was not as it has to be.
	StreamChanged
	// Short: something that the system gives out was used up.
	Short
	// Evicted: a detached session was given up, since memory is short.
	Evicted
	// Blind: a plain connection carries what are no WebSocket frames, and passes
	// as bytes from there on.
	Blind
	// MessageRefused: a message was above the limit on messages.
	MessageRefused
	// MessageSkipped: a client gave messages up that did not come through (PROTOCOL
	// §4.9).
	MessageSkipped
	// HeartbeatRejected: a heartbeat of a client, or its answer to one, was
	// dropped.
	HeartbeatRejected
	// Keyed: a message with a key came, which acts once.
	Keyed
	// TimersFired: timers of sessions were due. Took is how late the first was.
	TimersFired
	// Answered: a handshake that asks for a session was answered, which is told of
	// those that are traced. Took counts from its arrival. Refusal, Reset and Status
	// say why the client has none.
	Answered
	// Panicked: a session broke an invariant and was ended.
	Panicked
)

var kindNames = names{
	Refused: "refused", Accepted: "accepted", Began: "began", Ended: "ended", Detached: "detached", Resumed: "resumed",
	Forwarded: "forwarded", TokenReused: "token reused", Authorized: "authorised", HandedOver: "handed over",
	AppLost: "app lost", AppRestarted: "app restarted", OwnershipChecked: "ownership", StoreChanged: "store", Dialled: "dialled",
	Journaled: "journaled", RoundTrip: "round trip", TimersFired: "timers", LinkState: "link", ForeignRecord: "foreign record", StreamChanged: "stream", Blind: "blind", Short: "short", Evicted: "evicted", MessageRefused: "message refused", MessageSkipped: "message skipped", HeartbeatRejected: "heartbeat rejected", Keyed: "keyed", Answered: "answered", Panicked: "panicked",
}

func (k Kind) String() string { return kindNames.of(uint8(k)) }

// String is the event in a few words, for logs and tests.
func (e Event) String() string {
	said := func(s string) string { return e.Kind.String() + " " + s }
	switch e.Kind {
	case Refused:
		return said(e.Refusal.String())
	case Accepted, Began:
		return said(e.Client.String())
	case Ended:
		return said(e.Client.String() + " " + e.Ending.String())
	case Detached:
		return said(e.Cause.String())
	case Resumed:
		switch e.Resume {
		case ResumeAdopted:
			return e.Resume.String() + " " + e.Adopted.String()
		case ResumeReset:
			return e.Resume.String() + " " + e.Reset.String()
		}
		return e.Resume.String()
	case Forwarded:
		return said(e.Forward.String())
	case Authorized, Dialled:
		return said(e.Answer.String())
	case HandedOver:
		return said(e.HandOver.String())
	case AppRestarted:
		return said(e.Restart.String())
	case OwnershipChecked:
		return said(e.Ownership.String())
	case StoreChanged:
		if e.Available {
			return said("available")
		}
		return said("away")
	case Journaled:
		return said(ResultOf(e.Err).String())
	case StreamChanged:
		return said(e.Stream.String())
	case Short:
		return said(e.Resource.String())
	case LinkState:
		return said(e.Link.String())
	case MessageRefused:
		return said(directionOf(e.FromApp))
	case HeartbeatRejected:
		return said(e.Beat.String())
	case Keyed:
		return said(e.Fate.String())
	}
	return e.Kind.String()
}

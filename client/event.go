package client

import "time"

// State is the state of a Conn.
type State uint8

const (
	// StateConnected: messages flow.
	StateConnected State = iota
	// StateReconnecting: the connection is lost, the session is not. Write
	// fills the outbox. Leads to StateConnected by a resume, or to StateClosed.
	StateReconnecting
	// StateClosing: one side has closed the session, and the rest is being
	// delivered.
	StateClosing
	// StateClosed: the session is over.
	StateClosed
)

var stateNames = [...]string{"connected", "reconnecting", "closing", "closed"}

func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "undefined"
}

// EventKind is the kind of an Event.
type EventKind uint8

const (
	// EventState: the state has changed.
	EventState EventKind = iota
	// EventResumed: the session goes on over a new connection, and nothing is
	// missing.
	EventResumed
	// EventAdopted: the session goes on and the app's socket behind it is a
	// new one, which was told nothing yet. Reason is drained (nothing is
	// missing), owner_lost (the old app's last words may be), app_restarted or
	// owed (an answer that the old app was about to give may be missing).
	EventAdopted
	// EventReset: the session is lost. Reason is a LostReason.
	EventReset
	// EventGoAway: the sidecar asks to move. The Conn does so by itself, and
	// stays connected meanwhile.
	EventGoAway
	// EventRejected: a message that Write took ended two connections, each with a
	// close code that refuses it (1003, 1007 or 1009, the event's Reason), and was
	// set aside, so that those behind it can pass. The app does not get it, unless
	// the session's owner had taken it without saying so.
	EventRejected
	// EventRenewed: the session is lost, and another one has taken its place, in
	// which what was not acknowledged is sent again with its keys (Options.Renew).
	// The app knows nothing of this client yet, but for its handshake, and what it
	// said last to the old session may be missing. Reason is a LostReason.
	EventRenewed
	// EventJoined: another client shares the session, Member. With Options.Share; so
	// are the following.
	EventJoined
	// EventLeft: it does so no more. One that is away has not left.
	EventLeft
	// EventConflict: the app did not get a message, since what it is about has changed:
	// see Conflict.
	EventConflict
	// EventSynchronised: what the program has of the session's state is known: see
	// Synchronisation.
	EventSynchronised
)

var eventNames = [...]string{"state", "resumed", "adopted", "reset", "goaway", "rejected", "renewed", "joined", "left", "conflict", "synchronised"}

func (k EventKind) String() string {
	if int(k) < len(eventNames) {
		return eventNames[k]
	}
	return "undefined"
}

// An Event is something that happened to a session. Programs that only
// exchange messages need none of them.
type Event struct {
	Kind   EventKind
	State  State  // after the event
	Reason string // of EventAdopted, EventReset, EventRejected and EventRenewed

	// Away is how long there was no connection, of EventResumed and EventAdopted;
	// 0 if the old one worked until the new one did.
	Away time.Duration

	Rejected *RejectedMessage // of EventRejected

	Member       uint16           // of EventJoined and EventLeft
	Conflict     *Conflict        // of EventConflict
	Synchronised *Synchronisation // of EventSynchronised
}

// A RejectedMessage is one that Write took and that cannot be delivered.
type RejectedMessage struct {
	Type MessageType
	Data []byte
	Code int // with which the connections ended
}

// eventBuffer is how many events wait for a program that does not read them.
const eventBuffer = 64

// enqueue puts an event into the channel. A full channel drops its oldest
// event: the newest say more of the present state, and the connection must not
// wait. One goroutine at a time enqueues, so the second attempt finds room.
func enqueue(ch chan Event, e Event) {
	select {
	case ch <- e:
		return
	default:
	}
	select {
	case <-ch:
	default:
	}
	ch <- e
}

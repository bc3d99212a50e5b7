package snapshot

import "time"

// A Protocol is an app protocol that a preset knows.
type Protocol struct {
	Name string        // in WSR_APP_PROTOCOL, and in the saved form
	New  func() Preset // begins to follow a conversation

	// Recognises reports whether a session speaks the protocol, as far as its
	// handshake shows it: it must not be wrong.
	// nil: no handshake shows it.
	Recognises func(Handshake) bool
}

// A Handshake is how a session began.
type Handshake struct {
	Path        string // of the request, decoded
	Query       string // as the client wrote it
	Subprotocol string // what the app chose, empty: none
}

// A Preset follows one conversation in a protocol that it knows. It is used by
// its Tracker only.
//
// What it must still know on another pod it keeps as entries of the
// Conversation, since nothing else of it is saved. The key of an entry is a kind
// in lower case, or kind/rest where rest may come from a payload: inspection
// shows the kind only (I9).
type Preset interface {
	// Inbound sees what the client said, when the app's socket has it. The
	// message is lent for the call.
	Inbound(c Conversation, now time.Time, m Message)

	// Outbound sees what the app said, also during a restore. True keeps it
	// from the client, which then hears what c.ToClient was given instead.
	Outbound(c Conversation, now time.Time, m Message) (swallow bool)

	// Restore begins to tell a fresh app socket what it must hear. The preset
	// calls c.Restored when the app is ready, at once or from Outbound, or
	// c.RestoreFailed when the app does not want the conversation back.
	// Whatever the preset knew of the old socket is void.
	Restore(c Conversation, now time.Time)

	// Tick does what is due. It is called when Deadline has passed, and more
	// often. The zero Deadline is never.
	Tick(c Conversation, now time.Time)
	Deadline() time.Time
}

// An Opener is a Preset in whose protocol the handshake decides what a fresh app
// socket can be told.
type Opener interface {
	// Opened sees how the session began, before any message.
	Opened(c Conversation, h Handshake)
}

// A ByteStream is a Preset in whose protocol a WebSocket message is no unit.
type ByteStream interface {
	// InFlight: see [Tracker.InFlight].
	InFlight(c Conversation) bool

	// Repeat tells a fresh app socket what the old one heard of a unit that is
	// not whole yet. It is the last that a restore says.
	Repeat(c Conversation)
}

// An Ender is a Preset in whose protocol an app says that it ends a conversation
// before it closes the socket.
type Ender interface {
	// Ended: see [Tracker.Ended].
	Ended() bool
}

// A Replier is a Preset in whose protocol it shows which message of the app answers
// which of the client.
type Replier interface {
	// Owes: see [Tracker.Owes].
	Owes(c Conversation) Owed
}

// A Restarter is a Preset that knows more of its protocol's closes than the
// close codes say.
type Restarter interface {
	// Restarts: see [Tracker.Restarts].
	Restarts(c Conversation, code uint16) bool
}

package client

import (
	"time"

	"github.com/wsresilience/wsresilience/wire"
)

// A Store keeps a session, and each message from the moment that Write has
// taken it until the app's socket has it, so that a program that was killed
// goes on with both (Options.Store). Package client/outbox makes one of a file.
//
// A method returns when what it does survives the end of the process. Put, Sent
// and Begin are called one at a time, so are Save and End; Put and Save can come
// at once.
type Store interface {
	// Load returns what the program before has left: its session, and the
	// messages that this session has not got, in order. Without a session both
	// are nil.
	Load() (*SavedSession, []StoredMessage, error)

	// Begin notes that a new session begins. What an earlier one has left is
	// not sent in it.
	Begin() error

	// Put takes a message. An error is that of its Write, and nothing was taken.
	Put(m *StoredMessage) error

	// Sent notes that all that was put may be sent from now on.
	Sent() error

	// Reject notes that the message in a position was set aside (EventRejected).
	Reject(position uint32) error

	// Save keeps the state of the session, and forgets the messages up to
	// s.Acked.
	Save(s *SavedSession) error

	// End notes that the session is over. Messages beyond acked are left.
	End(acked uint32) error
}

// A SavedSession is what continues a session in another process. It has the
// token in it, with which anybody can continue it (PROTOCOL §8.4).
type SavedSession struct {
	Token       string
	Session     wire.SessionID
	Epoch       uint32
	Received    uint32 // the last message that Read has returned
	Acked       uint32 // position of the last message that the app's socket has
	Shift       uint32 // what to add to a position for the wire
	Attempts    uint32 // handshakes so far that offered a token
	Subprotocol string
	Window      uint32 // bytes that the sidecar takes ahead
	MaxMessage  uint32 // bytes of the largest message that it takes
	TTL         time.Duration
}

// A StoredMessage is one that Write has taken. Positions are consecutive within
// a session, modulo 2^32.
type StoredMessage struct {
	Position uint32
	Type     MessageType
	Data     []byte
	MaySend  bool   // it may be sent at any time from now on
	Skipped  bool   // it was rejected: its place is passed over
	Key      string // of WriteKeyed; "": none
	Replaces int64  // LeftMessage.ID of what it replaces in the same step; 0: nothing
}

// A LeftMessage is one that Write took in a session that is over, and that the
// app's socket has not got, as far as is known.
type LeftMessage struct {
	ID      int64 // in its Store; above 0
	Type    MessageType
	Data    []byte
	Key     string // of WriteKeyed; "": none
	Created time.Time
	// MaybeDelivered reports whether it may have been sent, so that the app may
	// have it nevertheless.
	MaybeDelivered bool
}

// unsavedAttempts is how many attempts to resume a program may have begun whose
// number was not saved before its end.
const unsavedAttempts = 16

// Package store is the contract of the journal: what a session's owner stores
// so that the session can go on when the connection, the process or the pod is
// gone (DESIGN §4 and §6), and what a new owner reads.
//
// A session has one chain of records. Its owner appends by compare-and-set on
// the newest revision, so the chain is the fence too: the first claim of the
// session makes every later append of the former owner fail (I5). A reader
// folds the chain into one State.
//
// SealedStore implements Store over a Backend, which keeps opaque messages:
// in JetStream (natsstore), or in memory for tests (storetest).
package store

import (
	"context"
	"encoding/hex"
	"errors"
)

// An ID is a session's id.
type ID [16]byte

// String is the id in lower-case hex: one token of a subject.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// A Revision is a record's position in its store. It only grows along a chain.
// 0 means that the session has no record.
type Revision uint64

// A Kind is what a record means to the records before it.
type Kind uint8

const (
	// Claim begins an ownership: the epoch is new, the frames before it stay.
	// A claim carries neither frames nor context. Adopt writes it.
	Claim Kind = 1 + iota
	// Snapshot carries every unacknowledged outbound frame and the context;
	// nothing before it is needed any more. Cadence decides when one is due.
	Snapshot
	// Delta carries the frames that are new since the record before it.
	Delta
	// End ends the session. It is never adopted, and no record follows but End.
	End
)

func (k Kind) String() string {
	switch k {
	case Claim:
		return "claim"
	case Snapshot:
		return "snapshot"
	case Delta:
		return "delta"
	case End:
		return "end"
	}
	return "kind unknown"
}

// A Frame is one outbound message as raw WebSocket frame bytes, the way it is
// replayed.
type Frame struct {
	Seq  uint32
	Data []byte
}

// A Record is what the owner appends. Everything but Frames is the whole
// truth at the moment of writing, so a reader takes it from the newest record.
type Record struct {
	// Version is the format that Append writes, one of Versions; 0: the newest.
	// It says nothing of a record that was read.
	Version uint8

	Kind   Kind
	Epoch  uint32
	N      uint32 // number within the epoch; the claim is 0
	Owner  string // address of the owner, at most MaxOwner bytes
	Writer uint64 // random per ownership: tells two owners of one address apart

	InAcked  uint32 // last inbound message that was handed to the app's socket
	OutAcked uint32 // last outbound message that the client acknowledged
	OutHead  uint32 // last outbound message that exists, in the journal or not

	// ProvenEpoch and Proven name the newest token that the client is known to
	// have: older ones are dead (PROTOCOL §8.4).
	ProvenEpoch, Proven uint32

	// Attempt is the highest number of the client's handshakes that led to a
	// resume, or to the claim that first saw Proven; 0: it does not say them (PROTOCOL §8.1).
	Attempt uint32

	// Base is the last outbound message before this epoch, and FirstBase the one
	// before the epoch that follows ProvenEpoch: up to there, what the client has
	// of a former owner is what this one continues (PROTOCOL §8.2).
	Base, FirstBase uint32

	DetachedAt int64 // unix ms; 0 while a connection is attached
	Handed     bool  // released on purpose by a drain: everything is in the journal; of a Claim, the owner before it did that, see Released
	Unclean    bool  // with Handed: the app's socket broke before, and messages of either side may be lost in it
	Owed       bool  // with Handed: the app may have had an answer under way; and with Unclean: the client has not heard of an owner that was lost
	Denied     bool  // given back by an owner whose app did not accept the client's handshake

	Closed      bool // the app closed; CLOSE is still to be delivered
	CloseCode   uint16
	CloseReason string // at most MaxReason bytes

	Subprotocol string // what the app chose, needed to replay; at most MaxNegotiated bytes
	Extensions  string // likewise; at most MaxExtensions bytes

	// First is set by Append: nothing precedes the record, so it stands for
	// itself as a Snapshot does.
	First bool

	// Context is what a fresh app socket must hear first (package snapshot).
	// Unlike the rest it may be left out: nil means that it is as before. A
	// Snapshot always carries it.
	Context []byte // at most MaxContext bytes

	// ContextBehind says that Context comes behind the one before, and does not
	// replace it: it is a patch of it. A Snapshot has none, nor has a record of a
	// version before Patches. It says nothing of a State, whose Context is whole.
	ContextBehind bool

	Frames []Frame // oldest first

	// KeepsPast says that what is acknowledged still matters: a reader has it as the
	// Past of the State, since the newest Snapshot. No record of a version before
	// Pasts keeps one.
	KeepsPast bool

	// Past is, of a Snapshot, what its writer keeps of what is acknowledged, in place
	// of all that came before. Other records add to it, messages that were in none of
	// the records as frames. Seq says nothing but what their writer wants.
	Past []Frame
}

// Released reports whether the owner has given the session up, with everything in
// the journal, so that it need not be asked.
func (r *Record) Released() bool { return r.Handed && r.Kind != Claim }

// A State is what a chain of records amounts to.
type State struct {
	Revision Revision // the newest in the chain: Append goes after it

	// Record has the values of the newest record; its Frames are all
	// unacknowledged ones in the chain, oldest first. Its Past are the acknowledged
	// ones, where the newest record keeps them. Its Context is the newest
	// that any record carried. After Adopt, Handed, Unclean, Owed and Denied
	// are as the former owner left them.
	Record

	// Gap means that frames are missing between OutAcked and the last frame
	// kept, or may be, or that the Context is not known to be all: the answer
	// to the client is RESET (I1). Frames that the former owner sent and had
	// not yet journaled are no gap; OutHead may count them.
	Gap bool

	// SinceSnapshot counts the stored parts after the newest Snapshot. Adopt
	// uses it to keep a chain of claims from pushing the snapshot out of the
	// ring.
	SinceSnapshot int

	// Held is how many bytes the chain holds.
	Held int
}

// Limits are the largest sizes that a Store takes.
type Limits struct {
	Part   int // plaintext bytes of one stored part
	Record int // bytes of a whole record: MaxParts parts
}

// A Store keeps the chains of all sessions. It is safe for concurrent use, but
// the owner of a session has at most one append of it in flight.
//
// Errors wrap the Err values of this package. A context that ends during a
// call yields an error that wraps both its cause and ErrUnavailable.
type Store interface {
	// Append adds rec as the newest record of session id if after still is
	// the newest revision, and returns the new one. After ErrUnavailable it
	// is not known whether the record was stored. The owner then appends
	// again after the same revision: the same record, or one that has all of
	// its content. What the lost call may have left is recognised as the
	// owner's own by Epoch, Owner and Writer. rec is not kept.
	Append(ctx context.Context, id ID, after Revision, rec *Record) (Revision, error)

	// Load returns the session's state. It may be stale: a
	// caller that needs the truth adopts first.
	Load(ctx context.Context, id ID) (*State, error)

	// Limits are fixed once the store is ready.
	Limits() Limits

	// Ready returns nil if the store can take an append now, and otherwise
	// why not.
	Ready(ctx context.Context) error

	// Close releases everything. Calls after it fail with ErrUnavailable.
	Close() error
}

var (
	// ErrNotFound means that the store has no record of the session.
	ErrNotFound = errors.New("store: session not found")

	// ErrEnded means that the session is over and cannot be adopted.
	ErrEnded = errors.New("store: session has ended")

	// ErrFenced means that another owner wrote: the caller owns the session no
	// more (I5).
	ErrFenced = errors.New("store: fenced by another owner")

	// ErrLost means that the revision to append after is gone although no other
	// owner wrote: it expired, or was lost in a power cut, or what no owner wrote
	// may push it out of the ring (ErrForeign too). The owner loads, and if the
	// epoch is still its own or nothing that it can read is there, goes on with
	// a Snapshot.
	ErrLost = errors.New("store: records were lost")

	// ErrFull means that the store's limits are reached: nothing was stored,
	// the frames stay in memory, and the window's backpressure does the rest.
	ErrFull = errors.New("store: full")

	// ErrTooLarge means that the record exceeds Limits.Record or one of its
	// fields is too long. Trying again does not help.
	ErrTooLarge = errors.New("store: record too large")

	// ErrUnavailable means that the store is out of reach or does not know the
	// outcome: try again.
	ErrUnavailable = errors.New("store: unavailable")

	// ErrCorrupt means that records are there and cannot be read.
	ErrCorrupt = errors.New("store: corrupt record")

	// ErrNewer means that a sidecar of a newer version wrote: one of its version
	// can read it (docs/COMPATIBILITY.md).
	ErrNewer = errors.New("store: record of a newer version")

	// ErrForeign means that messages are in the chain which no owner wrote, or
	// not in that place.
	ErrForeign = errors.New("store: messages that no owner wrote")
)

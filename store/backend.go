package store

import (
	"context"
	"errors"
	"fmt"
)

// Ring is how many stored parts a chain keeps at least; the oldest give way
// to the newest (MaxMsgsPerSubject in JetStream, DESIGN §6).
const Ring = 32

// A Message is one stored part of a record.
type Message struct {
	Revision Revision
	Data     []byte
}

// A Backend keeps, per session, a chain of the newest Ring opaque messages. It
// knows nothing of records and keys: SealedStore makes a Store of it. It is
// safe for concurrent use.
type Backend interface {
	// Append stores data as the newest message if after is the newest
	// revision of the chain (0: the chain is empty). Its errors:
	// *FencedError when it certainly is not, ErrBusy when the backend
	// could not decide, ErrFull, and ErrUnavailable, after which the message
	// may or may not be stored.
	Append(ctx context.Context, id ID, after Revision, data []byte) (Revision, error)

	// Read returns the messages with a revision above after, oldest first, at
	// most limit of them; none is no error. It may be stale. It leaves
	// out none but those that the ring drops meanwhile.
	Read(ctx context.Context, id ID, after Revision, limit int) ([]Message, error)

	// MaxData is the largest message in bytes.
	MaxData() int

	Ready(ctx context.Context) error
	Close() error
}

// ErrBusy is between a Backend and its SealedStore: another write of the same chain
// is in flight and its outcome decides. Try again in some milliseconds.
var ErrBusy = errors.New("store: a write of the same session is in flight")

// A FencedError is a refused compare-and-set. It is ErrFenced.
type FencedError struct {
	Newest Revision // what the chain ends with, if Known
	Known  bool
}

func (e *FencedError) Error() string {
	if !e.Known {
		return ErrFenced.Error()
	}
	return fmt.Sprintf("%v: newest revision is %d", ErrFenced, e.Newest)
}

// Is makes errors.Is(err, ErrFenced) true.
func (e *FencedError) Is(target error) bool { return target == ErrFenced }

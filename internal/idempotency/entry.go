package idempotency

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A State is what is known of a key.
type State uint8

const (
	// Claimed: a session has a message with the key, and its app may have it.
	Claimed State = 1 + iota
	// Handed: the app has it, and its reply has not come.
	Handed
	// Done: it has acted, and the outcome is here if there is one.
	Done
	// Doubtful: it may have acted, and nobody will learn it.
	Doubtful
	// Free: it has not acted, and nobody has it.
	Free
)

// A Claimant is a session at an owner.
type Claimant struct {
	Owner   string // as in the records of sessions
	Session [16]byte
	Epoch   uint32
}

// An Entry is what a store keeps under a key.
type Entry struct {
	State State
	By    Claimant
	Seq   uint32 // of the message, in its session
	At    int64  // unix ms of the claim

	// Again says that the message was in doubt once, and was handed to an app
	// again: it may have acted twice.
	Again bool

	Outcome []byte // of Done: the app's message; empty: there is none
	Binary  bool   // it is binary
	OutSeq  uint32 // and its number towards the client
}

// Implementation limits of an entry.
const (
	// MaxOutcome is the largest message that is kept as an outcome: a larger one
	// is not looked at.
	MaxOutcome = 64 << 10

	entryVersion = 1
	maxOwner     = 255
	entryHead    = 1 + 1 + 1 + 16 + 4 + 4 + 8 + 4 + 1

	flagAgain, flagBinary = 1, 2
)

// MaxEntry is the size of the largest entry.
const MaxEntry = entryHead + maxOwner + MaxOutcome

// errEntry is wrapped by the errors of ParseEntry.
var errEntry = errors.New("idempotency: entry")

// AppendEntry appends the form in which an entry is stored:
//
//	version u8 | state u8 | flags u8 | session 16 B | epoch u32 | seq u32 | at ms u64 | out seq u32 | owner u8+n | outcome
func AppendEntry(dst []byte, e *Entry) []byte {
	flags := byte(0)
	if e.Again {
		flags |= flagAgain
	}
	if e.Binary {
		flags |= flagBinary
	}
	dst = append(dst, entryVersion, byte(e.State), flags)
	dst = append(dst, e.By.Session[:]...)
	dst = binary.BigEndian.AppendUint32(dst, e.By.Epoch)
	dst = binary.BigEndian.AppendUint32(dst, e.Seq)
	dst = binary.BigEndian.AppendUint64(dst, uint64(e.At))
	dst = binary.BigEndian.AppendUint32(dst, e.OutSeq)
	owner := e.By.Owner[:min(len(e.By.Owner), maxOwner)]
	dst = append(append(dst, byte(len(owner))), owner...)
	return append(dst, e.Outcome...)
}

// ParseEntry reads what AppendEntry has made. The outcome is a slice of b. What an
// entry has in this version stays in later ones.
func ParseEntry(b []byte) (*Entry, error) {
	if len(b) < entryHead || len(b) > MaxEntry {
		return nil, fmt.Errorf("%w of %d bytes", errEntry, len(b))
	}
	e := &Entry{State: State(b[1]), Again: b[2]&flagAgain != 0, Binary: b[2]&flagBinary != 0}
	if b[0] < 1 || e.State < Claimed || e.State > Free {
		return nil, fmt.Errorf("%w: version %d, state %d", errEntry, b[0], b[1])
	}
	copy(e.By.Session[:], b[3:])
	e.By.Epoch = binary.BigEndian.Uint32(b[19:])
	e.Seq = binary.BigEndian.Uint32(b[23:])
	e.At = int64(binary.BigEndian.Uint64(b[27:]))
	e.OutSeq = binary.BigEndian.Uint32(b[35:])
	n := int(b[39])
	if len(b) < entryHead+n {
		return nil, fmt.Errorf("%w: owner of %d bytes in %d", errEntry, n, len(b))
	}
	e.By.Owner = string(b[entryHead : entryHead+n])
	if rest := b[entryHead+n:]; len(rest) > 0 {
		e.Outcome = rest
	}
	return e, nil
}

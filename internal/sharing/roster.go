// Package sharing is what several clients on one session have in common, without a
// connection, a clock or a lock: who they are, as the journal keeps it.
package sharing

import (
	"encoding/binary"
	"errors"
)

// MaxMembers is how many members a roster may list: with more it would not fit its
// place in a record.
const MaxMembers = 100

// A Member is what the journal keeps of one: enough to go on with its session at
// another owner, when its client says how far it is.
type Member struct {
	Number uint16 // in the shared session, from 1
	Delta  uint32 // number of a message in the log, less its number to this member
	In     uint32 // its last message that was handed to the app's socket

	ProvenEpoch, Proven uint32 // the newest token that its client is known to have
	Attempt             uint32 // the highest number of its handshakes; 0: it does not say them
	DetachedAt          int64  // unix ms; 0 while it is attached
}

// A Roster is all members, and the number of the newest that there ever was.
type Roster struct {
	Key     [16]byte // by which more may join
	Newest  uint16
	Members []Member
}

const (
	rosterVersion = 1
	rosterFixed   = 1 + 16 + 2 + 1
	memberSize    = 2 + 5*4 + 8
)

// ErrRoster is every reason why a roster cannot be read.
var ErrRoster = errors.New("sharing: roster cannot be read")

// Append appends the roster to b:
//
//	version u8 | key 16 B | newest u16 | count u8 | each: number u16 | delta u32 | in u32 |
//	proven epoch u32 | proven u32 | attempt u32 | detached at ms i64
func (r *Roster) Append(b []byte) []byte {
	members := r.Members[:min(len(r.Members), MaxMembers)]
	b = append(b, rosterVersion)
	b = append(b, r.Key[:]...)
	b = binary.BigEndian.AppendUint16(b, r.Newest)
	b = append(b, byte(len(members)))
	for i := range members {
		m := &members[i]
		b = binary.BigEndian.AppendUint16(b, m.Number)
		for _, v := range [...]uint32{m.Delta, m.In, m.ProvenEpoch, m.Proven, m.Attempt} {
			b = binary.BigEndian.AppendUint32(b, v)
		}
		b = binary.BigEndian.AppendUint64(b, uint64(m.DetachedAt))
	}
	return b
}

// Parse reads a roster that Append wrote.
func Parse(b []byte) (r Roster, err error) {
	if len(b) < rosterFixed || b[0] != rosterVersion {
		return r, ErrRoster
	}
	r.Key, r.Newest = [16]byte(b[1:]), binary.BigEndian.Uint16(b[17:])
	count := int(b[rosterFixed-1])
	b = b[rosterFixed:]
	if count > MaxMembers || len(b) != count*memberSize {
		return r, ErrRoster
	}
	seen := map[uint16]bool{}
	for ; len(b) > 0; b = b[memberSize:] {
		m := Member{Number: binary.BigEndian.Uint16(b), DetachedAt: int64(binary.BigEndian.Uint64(b[22:]))}
		for i, v := range [...]*uint32{&m.Delta, &m.In, &m.ProvenEpoch, &m.Proven, &m.Attempt} {
			*v = binary.BigEndian.Uint32(b[2+4*i:])
		}
		if m.Number == 0 || m.Number > r.Newest || seen[m.Number] {
			return r, ErrRoster
		}
		seen[m.Number] = true
		r.Members = append(r.Members, m)
	}
	return r, nil
}

// Find returns the member with a number; nil: there is none.
func (r *Roster) Find(number uint16) *Member {
	for i := range r.Members {
		if r.Members[i].Number == number {
			return &r.Members[i]
		}
	}
	return nil
}

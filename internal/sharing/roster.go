// Package sharing is what several clients on one session have in common, without a
// connection, a clock or a lock: who they are, as the journal keeps it.
package sharing

import (
	"encoding/binary"
	"errors"
)

// Implementation limits of a roster, which is in each record of the journal.
const (
	// MaxMembers is how many members it may list.
	MaxMembers = 100

	// MaxOwn is how many messages of its own a member may have in it, and MaxAllOwn
	// all together.
	MaxOwn    = 64
	MaxAllOwn = 512

	// MaxRoster bounds it in bytes: messages that do not fit are listed without
	// what they say.
	MaxRoster = 32 << 10
)

// A Member is what the journal keeps of one: enough to go on with its session at
// another owner, when its client says how far it is.
type Member struct {
	Number uint16 // in the shared session, from 1
	Acked  uint32 // the last message that its client has acknowledged
	Delta  uint32 // number of a message in the log, less its number to this member, behind its Own
	In     uint32 // its last message that was handed to the app's socket

	ProvenEpoch, Proven uint32 // the newest token that its client is known to have
	Attempt             uint32 // the highest number of its handshakes; 0: it does not say them
	DetachedAt          int64  // unix ms; 0 while it is attached

	Share bool   // its client hears of the others
	Anew  bool   // it is to be synchronised anew
	Since uint32 // its last message of the newest synchronisation

	// Own are the messages for this member alone that its client has not
	// acknowledged, oldest first. They count as any other, so its numbers are not
	// those of the log.
	Own []Own
}

// An Own is a message for one member alone.
type Own struct {
	Seq  uint32 // its number to the member
	Data []byte // the frame; empty: it did not fit
}

// Lacks reports whether a member whose client has received so much has to be
// synchronised anew: what it lacks is not in the log.
func (m *Member) Lacks(received uint32) bool {
	return m.Anew || int32(received-m.Since) < 0
}

// Place returns how far in the log a member is whose client has received so much,
// and which of its own messages the client lacks.
func (m *Member) Place(received uint32) (log uint32, lacks []Own) {
	for i := range m.Own {
		if int32(m.Own[i].Seq-received) > 0 {
			lacks = m.Own[i:]
			break
		}
	}
	return received + m.Delta + uint32(len(lacks)), lacks
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
	memberFixed   = 2 + 7*4 + 8 + 1 + 1
	ownFixed      = 4 + 2
)

// Flags of a member.
const (
	flagShare = 1 << iota
	flagAnew
	flagsKnown = flagShare | flagAnew
)

// ErrRoster is every reason why a roster cannot be read.
var ErrRoster = errors.New("sharing: roster cannot be read")

// Append appends the roster to b:
//
//	version u8 | key 16 B | newest u16 | count u8 | each: number u16 | acked u32 | delta u32 | in u32 |
//	proven epoch u32 | proven u32 | attempt u32 | since u32 | detached at ms i64 | flags u8 |
//	own u8, each: seq u32 | data u16+n
func (r *Roster) Append(b []byte) []byte {
	members := r.Members[:min(len(r.Members), MaxMembers)]
	room := MaxRoster - rosterFixed
	for i := range members {
		room -= memberFixed + ownFixed*len(members[i].Own)
	}
	b = append(b, rosterVersion)
	b = append(b, r.Key[:]...)
	b = binary.BigEndian.AppendUint16(b, r.Newest)
	b = append(b, byte(len(members)))
	for i := range members {
		m := &members[i]
		b = binary.BigEndian.AppendUint16(b, m.Number)
		for _, v := range [...]uint32{m.Acked, m.Delta, m.In, m.ProvenEpoch, m.Proven, m.Attempt, m.Since} {
			b = binary.BigEndian.AppendUint32(b, v)
		}
		b = binary.BigEndian.AppendUint64(b, uint64(m.DetachedAt))
		b = append(b, m.flags(), byte(len(m.Own)))
		for _, o := range m.Own {
			if len(o.Data) > room {
				o.Data = nil
			}
			room -= len(o.Data)
			b = binary.BigEndian.AppendUint32(b, o.Seq)
			b = append(binary.BigEndian.AppendUint16(b, uint16(len(o.Data))), o.Data...)
		}
	}
	return b
}

func (m *Member) flags() (flags byte) {
	if m.Share {
		flags |= flagShare
	}
	if m.Anew {
		flags |= flagAnew
	}
	return flags
}

// Parse reads a roster that Append wrote.
func Parse(b []byte) (r Roster, err error) {
	if len(b) < rosterFixed || b[0] != rosterVersion {
		return r, ErrRoster
	}
	r.Key, r.Newest = [16]byte(b[1:]), binary.BigEndian.Uint16(b[17:])
	count := int(b[rosterFixed-1])
	b = b[rosterFixed:]
	if count > MaxMembers {
		return r, ErrRoster
	}
	seen := map[uint16]bool{}
	for range count {
		var m Member
		if m, b, err = parseMember(b); err != nil || m.Number == 0 || m.Number > r.Newest || seen[m.Number] {
			return r, ErrRoster
		}
		seen[m.Number] = true
		r.Members = append(r.Members, m)
	}
	if len(b) != 0 {
		return r, ErrRoster
	}
	return r, nil
}

// parseMember reads what b begins with, and returns the rest.
func parseMember(b []byte) (m Member, rest []byte, err error) {
	if len(b) < memberFixed {
		return m, nil, ErrRoster
	}
	m.Number, m.DetachedAt = binary.BigEndian.Uint16(b), int64(binary.BigEndian.Uint64(b[30:]))
	for i, v := range [...]*uint32{&m.Acked, &m.Delta, &m.In, &m.ProvenEpoch, &m.Proven, &m.Attempt, &m.Since} {
		*v = binary.BigEndian.Uint32(b[2+4*i:])
	}
	flags, count := b[memberFixed-2], int(b[memberFixed-1])
	m.Share, m.Anew = flags&flagShare != 0, flags&flagAnew != 0
	b = b[memberFixed:]
	if count > MaxOwn || flags&^flagsKnown != 0 {
		return m, nil, ErrRoster
	}
	for range count {
		if len(b) < ownFixed {
			return m, nil, ErrRoster
		}
		o, n := Own{Seq: binary.BigEndian.Uint32(b)}, int(binary.BigEndian.Uint16(b[4:]))
		if b = b[ownFixed:]; n > len(b) {
			return m, nil, ErrRoster
		}
		if n > 0 {
			o.Data = b[:n:n]
		}
		m.Own, b = append(m.Own, o), b[n:]
	}
	return m, b, nil
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

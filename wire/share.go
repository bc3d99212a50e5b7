package wire

import (
	"encoding/binary"

	"github.com/gobwas/ws"
)

// MaxStateKey bounds the key of a state in CONFLICT, in bytes.
const MaxStateKey = 255

// A Share is what SHARED tells (PROTOCOL §4.14).
type Share byte

const (
	ShareMembers      Share = 1 // who shares the session
	ShareSynchronised Share = 2 // what the client has of its state and log
	ShareConflict     Share = 3 // a message of the client is stale
)

// A Members is who shares a session: SHARED 1.
//
//	flags u8, of the client: 1 it may only read | its number u16 | each: number u16, ascending
type Members struct {
	ReadOnly bool
	Self     uint16
	All      []uint16
}

const readOnlyBit = 1

// AppendMembers appends SHARED of members.
func AppendMembers(dst []byte, m *Members) []byte {
	flags := byte(0)
	if m.ReadOnly {
		flags |= readOnlyBit
	}
	dst = append(appendPrefix(dst, Shared), byte(ShareMembers), flags)
	dst = binary.BigEndian.AppendUint16(dst, m.Self)
	for _, n := range m.All {
		dst = binary.BigEndian.AppendUint16(dst, n)
	}
	return dst
}

// A SyncMode is how a client that shares a session was brought up to date.
type SyncMode byte

const (
	SyncLog     SyncMode = 0 // it has all of the log
	SyncFull    SyncMode = 1 // the state follows, and then the log
	SyncPartial SyncMode = 2 // likewise; but not all of the state is known
)

var syncNames = [...]string{"log", "full", "partial"}

func (m SyncMode) String() string {
	if int(m) < len(syncNames) {
		return syncNames[m]
	}
	return "undefined"
}

// A Synchronised is SHARED 2.
//
//	mode u8 | messages u32 | version u32
type Synchronised struct {
	Mode     SyncMode
	Messages uint32 // of state that follow at once
	Version  uint32 // number of the newest message of the log that is in it
}

// AppendSynchronised appends SHARED of a synchronisation.
func AppendSynchronised(dst []byte, s Synchronised) []byte {
	dst = append(appendPrefix(dst, Shared), byte(ShareSynchronised), byte(s.Mode))
	dst = binary.BigEndian.AppendUint32(dst, s.Messages)
	return binary.BigEndian.AppendUint32(dst, s.Version)
}

// A Conflict is SHARED 3.
//
//	seq u32 | opcode u8 | key u8+n | message
type Conflict struct {
	Seq     uint32    // of the client's message that the app did not get
	Key     string    // of the state that it was about
	OpCode  ws.OpCode // of Present; 0: it is not known, or too large
	Present []byte    // the app's message that is the state; aliases what was parsed
}

// AppendConflict appends SHARED of a conflict, whose key is cut at MaxStateKey.
func AppendConflict(dst []byte, c *Conflict) []byte {
	dst = append(appendPrefix(dst, Shared), byte(ShareConflict))
	dst = append(binary.BigEndian.AppendUint32(dst, c.Seq), byte(c.OpCode))
	key := c.Key[:min(len(c.Key), MaxStateKey)]
	dst = append(append(dst, byte(len(key))), key...)
	return append(dst, c.Present...)
}

// ParseShared reads SHARED, which is a *Members, a Synchronised or a *Conflict; nil:
// a later version's, of which the client need not know.
func ParseShared(msg []byte) (what any, err error) {
	b, err := body(msg, Shared)
	if err != nil {
		return nil, err
	}
	if len(b) == 0 {
		return nil, malformed(Shared, "no body")
	}
	switch what, b := Share(b[0]), b[1:]; what {
	case ShareMembers:
		return parseMembers(b)
	case ShareSynchronised:
		if len(b) != 9 || b[0] > byte(SyncPartial) {
			return nil, malformed(Shared, "synchronised % x", b)
		}
		return Synchronised{SyncMode(b[0]), binary.BigEndian.Uint32(b[1:]), binary.BigEndian.Uint32(b[5:])}, nil
	case ShareConflict:
		return parseConflict(b)
	}
	return nil, nil
}

func parseMembers(b []byte) (*Members, error) {
	if len(b) < 3 || len(b)%2 != 1 {
		return nil, malformed(Shared, "members in %d bytes", len(b))
	}
	m := &Members{ReadOnly: b[0]&readOnlyBit != 0, Self: binary.BigEndian.Uint16(b[1:])}
	for b = b[3:]; len(b) > 0; b = b[2:] {
		n := binary.BigEndian.Uint16(b)
		if k := len(m.All); k > 0 && n <= m.All[k-1] {
			return nil, malformed(Shared, "member %d behind %d", n, m.All[k-1])
		}
		m.All = append(m.All, n)
	}
	return m, nil
}

func parseConflict(b []byte) (*Conflict, error) {
	if len(b) < 6 || len(b) < 6+int(b[5]) {
		return nil, malformed(Shared, "conflict in %d bytes", len(b))
	}
	end := 6 + int(b[5])
	c := &Conflict{Seq: binary.BigEndian.Uint32(b), OpCode: ws.OpCode(b[4]), Key: string(b[6:end]), Present: b[end:]}
	if c.OpCode != 0 && c.OpCode != ws.OpText && c.OpCode != ws.OpBinary || c.OpCode == 0 && len(c.Present) > 0 {
		return nil, malformed(Shared, "conflict with opcode %d and %d bytes", c.OpCode, len(c.Present))
	}
	return c, nil
}

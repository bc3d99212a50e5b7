package snapshot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// The format of Save, big-endian:
//
//	u8 format, 1
//	u8 flags: 1 incomplete
//	u32 version
//	u8 + n  name of the preset
//	u16 number of entries, each:
//		u8 state, plus 128 for a binary message
//		u32 rule
//		u32 born, u32 version
//		i64 ms since 1970
//		u16 + n key
//		u32 + n payload
const (
	format         = 1
	flagIncomplete = 1
	stateBinary    = 0x80

	headBytes  = 1 + 1 + 4 + 1 + 255 + 2
	entryBytes = 1 + 4 + 4 + 4 + 8 + 2 + 4

	// MaxSaved is the most that Save returns: what is left of a record of the
	// journal beside the frames that it carries.
	MaxSaved = 64 << 10
)

// What fits the limits fits MaxSaved: this does not compile otherwise.
const _ = uint(MaxSaved - MaxBytes - MaxEntries*entryBytes - headBytes)

var errShort = errors.New("it ends early")

// Save returns what Load needs to continue on another pod, at most MaxSaved
// bytes.
func (t *Tracker) Save() []byte {
	b := make([]byte, 0, headBytes+t.size+len(t.entries)*entryBytes)
	flags := byte(0)
	if t.incomplete {
		flags = flagIncomplete
	}
	b = append(b, format, flags)
	b = binary.BigEndian.AppendUint32(b, t.version)
	b = append(b, byte(len(t.protocol.Name)))
	b = append(b, t.protocol.Name...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(t.entries)))
	for i := range t.entries {
		e := &t.entries[i]
		kind := byte(e.state)
		if e.m.Binary {
			kind |= stateBinary
		}
		b = append(b, kind)
		b = binary.BigEndian.AppendUint32(b, e.rule)
		b = binary.BigEndian.AppendUint32(b, e.born)
		b = binary.BigEndian.AppendUint32(b, e.version)
		b = binary.BigEndian.AppendUint64(b, uint64(e.at))
		b = binary.BigEndian.AppendUint16(b, uint16(len(e.key)))
		b = append(b, e.key...)
		b = binary.BigEndian.AppendUint32(b, uint32(len(e.m.Data)))
		b = append(b, e.m.Data...)
	}
	return b
}

// Load replaces the content by what Save returned, except that an entry of a
// conflict-free rule stays where it is newer than the loaded one. What belongs
// to a rule or a preset that is not configured any more is left out, and the
// snapshot is then incomplete. After an error the content is as before.
func (t *Tracker) Load(b []byte) error {
	var in Tracker
	preset, err := in.decode(b)
	if err != nil {
		return fmt.Errorf("snapshot: saved copy of %d bytes: %w", len(b), err)
	}
	in.entries = slices.DeleteFunc(in.entries, func(e entry) bool {
		known := e.rule == 0 && preset == t.protocol.Name && t.preset != nil || e.rule != 0 && t.rule(e.rule) != nil
		in.incomplete = in.incomplete || !known
		return !known
	})
	t.merge(&in)
	t.version = max(t.version, in.version)
	t.incomplete = t.incomplete || in.incomplete
	t.restore, t.toApp, t.toClient = restore{}, nil, nil
	if t.preset != nil {
		t.preset = t.protocol.New()
	}
	t.schedule()
	return nil
}

// merge takes the entries of in, and keeps what conflict-free rules have
// newer here. The order is that of first keeping.
func (t *Tracker) merge(in *Tracker) {
	for _, mine := range t.entries {
		if r := t.rule(mine.rule); r == nil || !r.conflictFree {
			continue
		}
		switch i := in.find(mine.rule, mine.key); {
		case i < 0:
			in.entries = append(in.entries, mine)
		case mine.newer(&in.entries[i]):
			in.entries[i] = mine
		}
	}
	slices.SortStableFunc(in.entries, func(a, b entry) int { return int(int64(a.born) - int64(b.born)) })
	t.entries, t.size = in.entries[:0], 0
	for _, e := range in.entries {
		if len(t.entries) == MaxEntries || t.size+e.cost() > MaxBytes {
			in.incomplete = true // two full copies may hold more than one may
			continue
		}
		t.entries = append(t.entries, e)
		t.size += e.cost()
	}
}

// newer reports whether e counts before another entry under the same key.
// Copies of one session differ in version; what two owners wrote unknown to
// each other is decided by content, so that it does not matter who loads whose
// copy.
func (e *entry) newer(other *entry) bool {
	if e.version != other.version {
		return e.version > other.version
	}
	if e.state != other.state {
		return e.state > other.state // a drop
	}
	return bytes.Compare(e.m.Data, other.m.Data) > 0
}

// decode reads what Save wrote, and returns the preset's name.
func (t *Tracker) decode(b []byte) (preset string, err error) {
	r := reader{b: b}
	preset, n, err := t.decodeHead(&r)
	if err != nil {
		return "", err
	}
	for range n {
		e := r.entry()
		if r.short {
			return "", errShort
		}
		if err := t.addSaved(e); err != nil {
			return "", err
		}
	}
	if r.short {
		return "", errShort
	}
	if len(r.b) > 0 {
		return "", fmt.Errorf("%d bytes too many", len(r.b))
	}
	return preset, nil
}

// decodeHead reads what stands before the entries, and returns the preset's name
// and the number of entries.
func (t *Tracker) decodeHead(r *reader) (preset string, entries int, err error) {
	if v := r.uint(1); r.short || v != format {
		return "", 0, fmt.Errorf("format %d: want %d", v, format)
	}
	flags := r.uint(1)
	if flags&^flagIncomplete != 0 {
		return "", 0, fmt.Errorf("flags %#x: not known", flags)
	}
	t.incomplete = flags&flagIncomplete != 0
	t.version = uint32(r.uint(4))
	preset = string(r.bytes(int(r.uint(1))))
	entries = int(r.uint(2))
	if entries > MaxEntries {
		return "", 0, fmt.Errorf("%d entries: at most %d", entries, MaxEntries)
	}
	return preset, entries, nil
}

// addSaved appends an entry that was read, if it can be.
func (t *Tracker) addSaved(e entry) error {
	switch {
	case e.state > dropped || e.state != held && (len(e.m.Data) > 0 || e.m.Binary) || e.state == dropped && e.rule == 0:
		return fmt.Errorf("entry of state %d that cannot be", e.state)
	case len(e.key) > maxKey || t.find(e.rule, e.key) >= 0:
		return fmt.Errorf("key of %d bytes: longer than %d or there twice", len(e.key), maxKey)
	}
	if t.size += e.cost(); t.size > MaxBytes {
		return fmt.Errorf("entries of more than %d bytes", MaxBytes)
	}
	t.entries = append(t.entries, e)
	return nil
}

// A reader takes values from the front of b. Once b was too short everything
// is zero.
type reader struct {
	b     []byte
	short bool
}

// bytes takes n bytes.
func (r *reader) bytes(n int) []byte {
	if r.short || n > len(r.b) {
		r.short = true
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

// uint takes an integer of n bytes.
func (r *reader) uint(n int) uint64 {
	var v uint64
	for _, c := range r.bytes(n) {
		v = v<<8 | uint64(c)
	}
	return v
}

// entry takes an entry. Its payload is a copy.
func (r *reader) entry() entry {
	var e entry
	kind := r.uint(1)
	e.state, e.m.Binary = state(kind&^stateBinary), kind&stateBinary != 0
	e.rule = uint32(r.uint(4))
	e.born, e.version = uint32(r.uint(4)), uint32(r.uint(4))
	e.at = int64(r.uint(8))
	e.key = string(r.bytes(int(r.uint(2))))
	e.m.Data = bytes.Clone(r.bytes(int(r.uint(4))))
	return e
}

package snapshot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
)

// The format of Save, big-endian:
//
//	u8 format, 2
//	u8 flags: 1 incomplete
//	u32 version
//	u8 + n  name of the preset
//	16 B id
//	i64 ms since 1970 of the last change
//	u16 number of entries, each:
//		u8 state, plus 128 for a binary message
//		u32 rule
//		u32 born, u32 version
//		i64 ms since 1970
//		u16 + n key
//		u32 + n payload
//
// and behind it any number of patches, each u32 + n: RFC 6902, over the document
// that the copy is with the patches before. Format 1, which the release before
// writes, has neither id, nor change, nor patches.
const (
	format         = 2
	formerFormat   = 1
	flagIncomplete = 1
	stateBinary    = 0x80

	headBytes  = 1 + 1 + 4 + 1 + 255 + 16 + 8 + 2
	entryBytes = 1 + 4 + 4 + 4 + 8 + 2 + 4

	// MaxSaved is the most that Save returns, and that patches behind it may make
	// of it: what is left of a record of the journal beside the frames that it
	// carries.
	MaxSaved = 64 << 10
)

// What fits the limits fits MaxSaved: this does not compile otherwise.
const _ = uint(MaxSaved - MaxBytes - MaxEntries*entryBytes - headBytes)

var errShort = errors.New("it ends early")

// Save returns what Load needs to continue on another pod, at most MaxSaved
// bytes.
func (t *Tracker) Save() []byte { return t.save(format) }

// saveFormer returns what a sidecar of the release before needs.
func (t *Tracker) saveFormer() []byte { return t.save(formerFormat) }

func (t *Tracker) save(format byte) []byte {
	b := make([]byte, 0, headBytes+t.size+len(t.entries)*entryBytes)
	flags := byte(0)
	if t.incomplete {
		flags = flagIncomplete
	}
	b = append(b, format, flags)
	b = binary.BigEndian.AppendUint32(b, t.version)
	b = append(b, byte(len(t.protocol.Name)))
	b = append(b, t.protocol.Name...)
	if format != formerFormat {
		b = append(b, t.id[:]...)
		b = binary.BigEndian.AppendUint64(b, uint64(t.changed))
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(t.entries)))
	for i := range t.entries {
		b = t.entries[i].append(b)
	}
	return b
}

// append appends the entry as it is saved.
func (e *entry) append(b []byte) []byte {
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
	return append(b, e.m.Data...)
}

// Load replaces the content by what Save returned, with the patches behind it,
// except that an entry of a conflict-free rule stays where it is newer than the
// loaded one. What belongs to a rule or a preset that is not configured any more
// is left out, and the snapshot is then incomplete. After an error the content is
// as before. A copy of the release before has no id: that of the Tracker stays.
func (t *Tracker) Load(b []byte) error {
	in, err := decode(b)
	if err != nil {
		return fmt.Errorf("snapshot: saved copy of %d bytes: %w", len(b), err)
	}
	in.entries = slices.DeleteFunc(in.entries, func(e entry) bool {
		known := e.rule == 0 && in.preset == t.protocol.Name && t.preset != nil || e.rule != 0 && t.rule(e.rule) != nil
		in.incomplete = in.incomplete || !known
		return !known
	})
	t.merge(in)
	t.identify(in)
	t.incomplete = t.incomplete || in.incomplete
	t.restore, t.toApp, t.toClient = restore{}, nil, nil
	t.journal, t.writing = journaled{}, journaled{}
	if t.preset != nil {
		t.preset = t.protocol.New()
	}
	t.schedule()
	return nil
}

// identify takes id, version and time of what was loaded. Of two copies the id of
// the older snapshot stays, and the newer change counts.
func (t *Tracker) identify(in *copied) {
	if in.id != (ID{}) && (!t.id.begun() || in.id.begun() && bytes.Compare(in.id[:], t.id[:]) < 0) {
		t.id = in.id
	}
	t.version, t.changed = max(t.version, in.version), max(t.changed, in.changed)
	if in.id != (ID{}) {
		return
	}
	for i := range in.entries { // a copy of the release before
		t.id.begin(time.UnixMilli(in.entries[i].at))
		t.changed = max(t.changed, in.entries[i].at)
	}
}

// merge takes the entries of in, and keeps what conflict-free rules have
// newer here. The order is that of first keeping.
func (t *Tracker) merge(in *copied) {
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

// copied is a saved copy that was read.
type copied struct {
	id         ID // zero: format 1 has none
	version    uint32
	changed    int64
	incomplete bool
	preset     string // its name
	entries    []entry
	size       int // what the entries cost
}

// decode reads what Save wrote, and the patches behind it.
func decode(b []byte) (*copied, error) {
	r, c := reader{b: b}, &copied{}
	kind, n, err := c.decodeHead(&r)
	if err != nil {
		return nil, err
	}
	for range n {
		e := r.entry()
		if r.short {
			return nil, errShort
		}
		if err := c.add(e); err != nil {
			return nil, err
		}
	}
	if kind == formerFormat && len(r.b) > 0 {
		return nil, fmt.Errorf("%d bytes too many", len(r.b))
	}
	for !r.short && len(r.b) > 0 {
		text := r.bytes(int(r.uint(patchFixed)))
		if r.short {
			break
		}
		if err := c.apply(text); err != nil {
			return nil, fmt.Errorf("a patch of %d bytes: %w", len(text), err)
		}
	}
	if r.short {
		return nil, errShort
	}
	return c, nil
}

// decodeHead reads what stands before the entries, and returns the format and the
// number of entries.
func (c *copied) decodeHead(r *reader) (kind byte, entries int, err error) {
	kind = byte(r.uint(1))
	if r.short || kind != format && kind != formerFormat {
		return 0, 0, fmt.Errorf("format %d: want %d or %d", kind, formerFormat, format)
	}
	flags := r.uint(1)
	if flags&^flagIncomplete != 0 {
		return 0, 0, fmt.Errorf("flags %#x: not known", flags)
	}
	c.incomplete = flags&flagIncomplete != 0
	c.version = uint32(r.uint(4))
	c.preset = string(r.bytes(int(r.uint(1))))
	if kind == format {
		copy(c.id[:], r.bytes(len(c.id)))
		c.changed = int64(r.uint(8))
	}
	entries = int(r.uint(2))
	if entries > MaxEntries {
		return 0, 0, fmt.Errorf("%d entries: at most %d", entries, MaxEntries)
	}
	return kind, entries, nil
}

// add appends an entry that was read, if it can be.
func (c *copied) add(e entry) error {
	switch {
	case e.state > dropped || e.state != held && (len(e.m.Data) > 0 || e.m.Binary) || e.state == dropped && e.rule == 0:
		return fmt.Errorf("entry of state %d that cannot be", e.state)
	case len(e.key) > maxKey || c.find(e.rule, e.key) >= 0:
		return fmt.Errorf("key of %d bytes: longer than %d or there twice", len(e.key), maxKey)
	}
	if c.size += e.cost(); c.size > MaxBytes {
		return fmt.Errorf("entries of more than %d bytes", MaxBytes)
	}
	c.entries = append(c.entries, e)
	return nil
}

// find returns the place of an entry, or -1.
func (c *copied) find(rule uint32, key string) int { return findEntry(c.entries, rule, key) }

// equal reports whether two copies would be saved alike.
func (c *copied) equal(other *copied) bool {
	return c.id == other.id && c.version == other.version && c.changed == other.changed && c.incomplete == other.incomplete &&
		slices.EqualFunc(c.entries, other.entries, func(a, b entry) bool { return a.equal(&b) })
}

// equal reports whether two entries would be saved alike.
func (e *entry) equal(other *entry) bool {
	return e.rule == other.rule && e.key == other.key && e.state == other.state && e.born == other.born && e.version == other.version &&
		e.at == other.at && e.m.Binary == other.m.Binary && bytes.Equal(e.m.Data, other.m.Data)
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

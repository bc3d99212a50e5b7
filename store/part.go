package store

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/wsresilience/wsresilience/internal/formats"
	"github.com/wsresilience/wsresilience/internal/keyring"
)

const (
	// MaxParts bounds the stored parts of one record, so that the ring has
	// room for the part before a snapshot, the snapshot, SnapshotEvery parts
	// after it and the next snapshot (1 + 7 + 15 + 7), with two to spare for
	// claims of owners that died at once.
	MaxParts = 7

	// version is the newest that this source code knows. It is the first byte of
	// every part (docs/COMPATIBILITY.md).
	version = 4

	// Patches is the first version in which a record may bring a patch of the
	// context instead of all of it.
	Patches = 4

	// Pasts is the first version in which a record may keep what is acknowledged.
	Pasts = 4

	// envelopeSize is what the header has in every version, in this place.
	envelopeSize = 1 + 1 + 8 + 4 + 8

	headerSize = envelopeSize + 1 + 1 + 1 + 4

	// partOverhead is what a part adds to its piece of the body at most.
	partOverhead = headerSize + 1 + keyring.Overhead
)

// Versions are those of records that this program reads. Before 3, records lacked
// what keeps them in their place.
func Versions() formats.Range { return formats.Range{Oldest: 3, Newest: formats.Newest(version)} }

// later is what a header of a version has behind what this source code knows: in
// a test build that stands for the next release.
func later(v uint8) []byte { return make([]byte, v-min(v, version)) }

// aadPrefix keeps a part from passing for anything else that is sealed with
// the same keys. It begins the additional authenticated data of a part.
const aadPrefix = "wsr journal part"

// A header precedes each part in the clear, and is authenticated with it and
// the session id: a part cannot be changed, moved to another session or
// another place, or left out unnoticed.
//
//	version u8 | size of the header u8 | after u64 | epoch u32 | author 8 B |
//	kind u8 | part u8 | parts u8 | n u32
//
// Up to the author it is the envelope, which stays as it is in later versions:
// so an owner is fenced by one that writes a newer version, too.
type header struct {
	version     uint8
	after       Revision // of the message before it in the chain: it is nowhere else
	epoch, n    uint32
	author      [8]byte // hash of owner and writer
	kind        Kind
	part, parts uint8 // part counts from 0
}

func (h *header) append(b []byte) []byte {
	more := later(h.version)
	b = append(b, h.version, byte(headerSize+len(more)))
	b = binary.BigEndian.AppendUint64(b, uint64(h.after))
	b = binary.BigEndian.AppendUint32(b, h.epoch)
	b = append(b, h.author[:]...)
	b = append(b, byte(h.kind), h.part, h.parts)
	return append(binary.BigEndian.AppendUint32(b, h.n), more...)
}

// author identifies the ownership that wrote r, by which an owner recognises
// its own records.
func (r *Record) author() [8]byte {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(r.Owner), r.Writer))
	return [8]byte(sum[:8])
}

// parseEnvelope reads what a header has in every version, and returns the
// header's bytes. What is shorter or older was not written by any owner here.
func parseEnvelope(b []byte) (h header, head []byte, err error) {
	switch {
	case len(b) < envelopeSize:
		return h, nil, fmt.Errorf("%w: %d bytes", ErrCorrupt, len(b))
	case b[0] < Versions().Oldest:
		return h, nil, fmt.Errorf("%w: record of version %d: this program knows %d at least", ErrCorrupt, b[0], Versions().Oldest)
	case int(b[1]) < envelopeSize || int(b[1]) > len(b):
		return h, nil, fmt.Errorf("%w: header of %d bytes", ErrCorrupt, b[1])
	}
	h = header{
		version: b[0],
		after:   Revision(binary.BigEndian.Uint64(b[2:])),
		epoch:   binary.BigEndian.Uint32(b[10:]),
		author:  [8]byte(b[14:]),
	}
	return h, b[:b[1]], nil
}

// parse reads the rest of a header of a version that is known.
func (h *header) parse(b []byte) error {
	if len(b) != headerSize+len(later(h.version)) {
		return fmt.Errorf("%w: header of %d bytes", ErrCorrupt, len(b))
	}
	rest := b[envelopeSize:]
	h.kind, h.part, h.parts = Kind(rest[0]), rest[1], rest[2]
	h.n = binary.BigEndian.Uint32(rest[3:])
	if h.parts == 0 || h.parts > MaxParts || h.part >= h.parts {
		return fmt.Errorf("%w: part %d of %d", ErrCorrupt, h.part, h.parts)
	}
	return nil
}

// A part is one piece of a record's body with its header.
type part struct {
	header
	piece []byte
}

// split encodes rec into parts of at most limit bytes of body each.
func split(rec *Record, limit int) ([]part, error) {
	if err := rec.check(); err != nil {
		return nil, err
	}
	size := rec.size()
	count := (size + limit - 1) / limit
	if count > MaxParts {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, size, MaxParts*limit)
	}
	h := header{version: cmp.Or(rec.Version, Versions().Newest), kind: rec.Kind, parts: uint8(count), epoch: rec.Epoch, n: rec.N, author: rec.author()}
	body := appendBody(make([]byte, 0, size), rec)
	parts := make([]part, count)
	for i := range parts {
		h.part = uint8(i)
		parts[i] = part{h, body[i*limit : min((i+1)*limit, size)]}
	}
	return parts, nil
}

// seal returns p as it is stored behind revision after: the header, then the
// sealed piece.
func (p *part) seal(ring *keyring.Ring, id ID, after Revision) []byte {
	p.after = after
	b := p.append(make([]byte, 0, len(p.piece)+partOverhead))
	return ring.Seal(b, p.piece, aad(id, b))
}

// open reads a stored part. Its error is a *foreignError for what no owner of
// the session wrote, ErrNewer for what one of a newer version did, of which p
// then has the envelope, and ErrCorrupt for what one wrote that makes no sense.
func open(ring *keyring.Ring, id ID, data []byte) (p part, err error) {
	h, head, err := parseEnvelope(data)
	if err != nil {
		return p, &foreignError{err}
	}
	piece, err := ring.Open(nil, data[len(head):], aad(id, head))
	if err != nil {
		return p, &foreignError{fmt.Errorf("%w: %w", ErrCorrupt, err)}
	}
	p.header, p.piece = h, piece
	if newest := Versions().Newest; h.version > newest {
		return p, fmt.Errorf("%w: version %d, this program knows up to %d", ErrNewer, h.version, newest)
	}
	return p, p.parse(head)
}

func aad(id ID, head []byte) []byte {
	b := make([]byte, 0, len(aadPrefix)+len(id)+len(head))
	return append(append(append(b, aadPrefix...), id[:]...), head...)
}

// equal reports whether p and q are the same part of the same record, wherever
// they are stored.
func (p *part) equal(q *part) bool {
	want := q.header
	want.after = p.after
	return p.header == want && bytes.Equal(p.piece, q.piece)
}

// follows reports whether p is the part after q of the same record.
func (p *part) follows(q *part) bool {
	want := q.header
	want.part++
	want.after = p.after
	return p.header == want
}

// assemble makes records of the messages of one chain, oldest first. A record
// whose parts are not all there is skipped: its writer never finished, or the
// ring dropped its beginning. Only the revisions of its parts are kept. What no
// owner wrote, or not in this place, is skipped wherever it is, between the
// parts of a record too (Stored.Foreign).
func assemble(ring *keyring.Ring, id ID, messages []Message) []Stored {
	var (
		out     []Stored
		pending []part // of a record that is not complete yet
	)
	for i, m := range messages {
		out = append(out, Stored{Revision: m.Revision, Parts: 1})
		last := &out[i]
		p, err := open(ring, id, m.Data)
		var foreign *foreignError
		if errors.As(err, &foreign) {
			last.Foreign = err
			continue
		}
		if !linked(messages, i, p.after) {
			last.Foreign = errMoved
			continue
		}
		switch {
		case err != nil:
			last.Err, pending = err, nil
			continue
		case p.part == 0:
			pending = []part{p}
		case len(pending) > 0 && p.follows(&pending[len(pending)-1]):
			pending = append(pending, p)
		default:
			pending = nil
		}
		if len(pending) > 0 && len(pending) == int(p.parts) {
			last.Record, last.Err = join(pending)
			pending = nil
		}
	}
	return out
}

// linked reports whether message i, which was written behind revision after, is
// in its place. The predecessor of the oldest one is not there to tell. In a
// ring that is full it counts for nothing, since whoever fills the ring may
// have put it there; the Cadence sees to it that a younger Snapshot is in the
// ring then. Otherwise its predecessor reached its age.
func linked(messages []Message, i int, after Revision) bool {
	if i == 0 {
		return len(messages) < Ring
	}
	return messages[i-1].Revision == after
}

// join makes a record of all its parts.
func join(parts []part) (*Record, error) {
	h, body := &parts[0].header, parts[0].piece
	for _, p := range parts[1:] {
		body = append(body, p.piece...)
	}
	rec := &Record{Version: h.version, Kind: h.kind, Epoch: h.epoch, N: h.n}
	err := decodeBody(rec, body)
	rec.Version = 0
	if err != nil {
		if !errors.Is(err, ErrCorrupt) {
			err = fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		return nil, err
	}
	if rec.author() != h.author {
		return nil, fmt.Errorf("%w: author and owner differ", ErrCorrupt)
	}
	return rec, nil
}

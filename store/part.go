package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/wsresilience/wsresilience/internal/keyring"
)

const (
	// MaxParts bounds the stored parts of one record, so that the ring has
	// room for a snapshot, SnapshotEvery parts after it and the next snapshot
	// (7 + 16 + 7), with two to spare for claims of owners that died at once.
	MaxParts = 7

	// version is the first byte of every part; a reader refuses others.
	version = 2

	headerSize = 1 + 1 + 1 + 1 + 4 + 4 + 8

	// partOverhead is what a part adds to its piece of the body.
	partOverhead = headerSize + keyring.Overhead
)

// aadPrefix keeps a part from passing for anything else that is sealed with
// the same keys. It begins the additional authenticated data of a part.
const aadPrefix = "wsr journal part"

// A header precedes each part in the clear, and is authenticated with it and
// the session id: a part cannot be changed, moved to another session or
// another place, or left out unnoticed.
//
//	version u8 | kind u8 | part u8 | parts u8 | epoch u32 | n u32 | author 8 B
type header struct {
	kind        Kind
	part, parts uint8 // part counts from 0
	epoch, n    uint32
	author      [8]byte // hash of owner and writer
}

func (h *header) append(b []byte) []byte {
	b = append(b, version, byte(h.kind), h.part, h.parts)
	b = binary.BigEndian.AppendUint32(b, h.epoch)
	b = binary.BigEndian.AppendUint32(b, h.n)
	return append(b, h.author[:]...)
}

// author identifies the ownership that wrote r, by which an owner recognises
// its own records.
func (r *Record) author() [8]byte {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(r.Owner), r.Writer))
	return [8]byte(sum[:8])
}

func parseHeader(b []byte) (h header, err error) {
	if len(b) < headerSize {
		return h, fmt.Errorf("%w: %d bytes", ErrCorrupt, len(b))
	}
	if b[0] != version {
		return h, fmt.Errorf("%w: record of version %d: this program knows only %d", ErrCorrupt, b[0], version)
	}
	h = header{
		kind:   Kind(b[1]),
		part:   b[2],
		parts:  b[3],
		epoch:  binary.BigEndian.Uint32(b[4:]),
		n:      binary.BigEndian.Uint32(b[8:]),
		author: [8]byte(b[12:]),
	}
	if h.parts == 0 || h.parts > MaxParts || h.part >= h.parts {
		return h, fmt.Errorf("%w: part %d of %d", ErrCorrupt, h.part, h.parts)
	}
	return h, nil
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
	h := header{kind: rec.Kind, parts: uint8(count), epoch: rec.Epoch, n: rec.N, author: rec.author()}
	body := appendBody(make([]byte, 0, size), rec)
	parts := make([]part, count)
	for i := range parts {
		h.part = uint8(i)
		parts[i] = part{h, body[i*limit : min((i+1)*limit, size)]}
	}
	return parts, nil
}

// seal returns p as it is stored: the header, then the sealed piece.
func (p *part) seal(ring *keyring.Ring, id ID) []byte {
	b := p.append(make([]byte, 0, len(p.piece)+partOverhead))
	return ring.Seal(b, p.piece, aad(id, b))
}

// open reads a stored part.
func open(ring *keyring.Ring, id ID, data []byte) (p part, err error) {
	if p.header, err = parseHeader(data); err != nil {
		return p, err
	}
	p.piece, err = ring.Open(nil, data[headerSize:], aad(id, data[:headerSize]))
	if err != nil {
		return p, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return p, nil
}

func aad(id ID, head []byte) []byte {
	b := make([]byte, 0, len(aadPrefix)+len(id)+headerSize)
	return append(append(append(b, aadPrefix...), id[:]...), head...)
}

// equal reports whether p and q are the same part of the same record.
func (p *part) equal(q *part) bool {
	return p.header == q.header && bytes.Equal(p.piece, q.piece)
}

// follows reports whether p is the part after q of the same record.
func (p *part) follows(q *part) bool {
	want := q.header
	want.part++
	return p.header == want
}

// assemble makes records of the messages of one chain, oldest first. A record
// whose parts are not all there is skipped: its writer never finished, or the
// ring dropped its beginning. Only the revisions of its parts are kept.
func assemble(ring *keyring.Ring, id ID, messages []Message) []Stored {
	var (
		out     []Stored
		pending []part // of a record that is not complete yet
	)
	for _, m := range messages {
		out = append(out, Stored{Revision: m.Revision, Parts: 1})
		last := &out[len(out)-1]
		p, err := open(ring, id, m.Data)
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

// join makes a record of all its parts.
func join(parts []part) (*Record, error) {
	h, body := &parts[0].header, parts[0].piece
	for _, p := range parts[1:] {
		body = append(body, p.piece...)
	}
	rec := &Record{Kind: h.kind, Epoch: h.epoch, N: h.n}
	if err := decodeBody(rec, body); err != nil {
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

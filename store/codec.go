package store

import (
	"encoding/binary"
	"fmt"
)

// Implementation limits of a record's fields.
const (
	// MaxOwner is the most that its length byte can say; a pod's address is
	// far shorter.
	MaxOwner = 255
	// MaxReason is what a close frame has room for (RFC 6455 §5.5.1).
	MaxReason = 123
	// MaxNegotiated bounds subprotocol and extensions: longer header values
	// are refused at the handshake.
	MaxNegotiated = 4096
	// MaxExtensions bounds the extensions, in the place of which a session of several
	// members has its roster.
	MaxExtensions = 32 << 10
	// MaxContext is the 64 KiB that the messages of a context may take, and
	// contextSlack.
	MaxContext = 64<<10 + contextSlack

	// contextSlack is room for keys and versions beside the messages.
	contextSlack = 16 << 10
)

// Flags of a record's body.
const (
	flagHanded = 1 << iota
	flagClosed
	flagFirst
	flagContext // a context follows, be it empty
	flagUnclean
	flagOwed
	flagDenied
	flagBehind // the context that follows comes behind the one before
	flagsKnown = flagHanded | flagClosed | flagFirst | flagContext | flagUnclean | flagOwed | flagDenied | flagBehind
)

const (
	// bodyFixed is everything of a body but strings, context and frames.
	bodyFixed = 1 + 8*4 + 8 + 2 + 8 + 1 + 1 + 2 + 2 + 4

	// contextFixed precedes a context's bytes.
	contextFixed = 4

	// frameFixed precedes each frame's bytes.
	frameFixed = 4 + 4

	// pastFixed precedes the messages of a past, and pastFollows is set in the number
	// of frames where one follows them.
	pastFixed   = 4
	pastFollows = 1 << 31
)

// size is the length of the record's body in bytes.
func (r *Record) size() int {
	n := bodyFixed + len(r.Owner) + len(r.CloseReason) + len(r.Subprotocol) + len(r.Extensions)
	if r.Context != nil {
		n += contextFixed + len(r.Context)
	}
	n += sizeOf(r.Frames)
	if r.KeepsPast {
		n += pastFixed + sizeOf(r.Past)
	}
	return n
}

func sizeOf(frames []Frame) (n int) {
	for i := range frames {
		n += frameFixed + len(frames[i].Data)
	}
	return n
}

// check refuses what the encoding has no room for.
func (r *Record) check() error {
	for _, f := range []struct {
		name  string
		value string
		limit int
	}{
		{"owner", r.Owner, MaxOwner},
		{"close reason", r.CloseReason, MaxReason},
		{"subprotocol", r.Subprotocol, MaxNegotiated},
		{"extensions", r.Extensions, MaxExtensions},
	} {
		if len(f.value) > f.limit {
			return fmt.Errorf("%w: %s of %d bytes, at most %d", ErrTooLarge, f.name, len(f.value), f.limit)
		}
	}
	if len(r.Context) > MaxContext {
		return fmt.Errorf("%w: context of %d bytes, at most %d", ErrTooLarge, len(r.Context), MaxContext)
	}
	switch {
	case r.Kind < Claim || r.Kind > End:
		return fmt.Errorf("store: record of kind %d: unknown", r.Kind)
	case r.ContextBehind && (r.Context == nil || r.Kind == Snapshot):
		return fmt.Errorf("store: %s with a patch of a context: it has none before it", r.Kind)
	case r.ContextBehind && r.Version != 0 && r.Version < Patches:
		return fmt.Errorf("store: record of version %d with a patch of a context: known since %d", r.Version, Patches)
	case r.KeepsPast && r.Version != 0 && r.Version < Pasts:
		return fmt.Errorf("store: record of version %d that keeps a past: known since %d", r.Version, Pasts)
	case r.Past != nil && !r.KeepsPast:
		return fmt.Errorf("store: %s with a past that it does not keep", r.Kind)
	}
	return nil
}

// appendBody appends what is sealed of a record (kind, epoch and number are
// in every part's header), all integers big-endian:
//
//	flags u8 | in acked u32 | out acked u32 | out head u32 |
//	proven epoch u32 | proven u32 | attempt u32 | base u32 | first base u32 | detached at ms i64 | close code u16 |
//	writer u64 | owner u8+n | close reason u8+n | subprotocol u16+n |
//	extensions u16+n | context u32+n if the flags say so |
//	frames u32, each: seq u32 | bytes u32+n |
//	if the highest bit of that number is set: past u32, each likewise
//
// One record has one encoding: a retry is recognised by its bytes.
func appendBody(b []byte, r *Record) []byte {
	b = append(b, r.flags())
	b = binary.BigEndian.AppendUint32(b, r.InAcked)
	b = binary.BigEndian.AppendUint32(b, r.OutAcked)
	b = binary.BigEndian.AppendUint32(b, r.OutHead)
	b = binary.BigEndian.AppendUint32(b, r.ProvenEpoch)
	b = binary.BigEndian.AppendUint32(b, r.Proven)
	b = binary.BigEndian.AppendUint32(b, r.Attempt)
	b = binary.BigEndian.AppendUint32(b, r.Base)
	b = binary.BigEndian.AppendUint32(b, r.FirstBase)
	b = binary.BigEndian.AppendUint64(b, uint64(r.DetachedAt))
	b = binary.BigEndian.AppendUint16(b, r.CloseCode)
	b = binary.BigEndian.AppendUint64(b, r.Writer)
	b = append(append(b, byte(len(r.Owner))), r.Owner...)
	b = append(append(b, byte(len(r.CloseReason))), r.CloseReason...)
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(r.Subprotocol))), r.Subprotocol...)
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(r.Extensions))), r.Extensions...)
	if r.Context != nil {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(r.Context))), r.Context...)
	}
	if !r.KeepsPast {
		return appendFrames(b, 0, r.Frames)
	}
	return appendFrames(appendFrames(b, pastFollows, r.Frames), 0, r.Past)
}

func appendFrames(b []byte, bit uint32, frames []Frame) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(frames))|bit)
	for i := range frames {
		f := &frames[i]
		b = binary.BigEndian.AppendUint32(b, f.Seq)
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(f.Data))), f.Data...)
	}
	return b
}

func (r *Record) flags() (flags byte) {
	if r.Handed {
		flags |= flagHanded
	}
	if r.Unclean {
		flags |= flagUnclean
	}
	if r.Owed {
		flags |= flagOwed
	}
	if r.Denied {
		flags |= flagDenied
	}
	if r.Closed {
		flags |= flagClosed
	}
	if r.First {
		flags |= flagFirst
	}
	if r.Context != nil {
		flags |= flagContext
	}
	if r.ContextBehind {
		flags |= flagBehind
	}
	return flags
}

// decodeBody reads a body into r. It refuses unknown flags, a length that
// points past the end and bytes left over. Frames alias b.
func decodeBody(r *Record, b []byte) error {
	d := decoder{rest: b}
	flags := d.take(1)
	if d.short || flags[0]&^flagsKnown != 0 {
		return fmt.Errorf("%w: unknown or missing flags", ErrCorrupt)
	}
	r.Handed = flags[0]&flagHanded != 0
	r.Unclean = flags[0]&flagUnclean != 0
	r.Owed = flags[0]&flagOwed != 0
	r.Denied = flags[0]&flagDenied != 0
	r.Closed = flags[0]&flagClosed != 0
	r.First = flags[0]&flagFirst != 0
	r.ContextBehind = flags[0]&flagBehind != 0
	r.InAcked = d.uint32()
	r.OutAcked = d.uint32()
	r.OutHead = d.uint32()
	r.ProvenEpoch = d.uint32()
	r.Proven = d.uint32()
	r.Attempt = d.uint32()
	r.Base = d.uint32()
	r.FirstBase = d.uint32()
	r.DetachedAt = int64(d.uint64())
	r.CloseCode = d.uint16()
	r.Writer = d.uint64()
	r.Owner = string(d.take(int(d.uint8())))
	r.CloseReason = string(d.take(int(d.uint8())))
	r.Subprotocol = string(d.take(int(d.uint16())))
	r.Extensions = string(d.take(int(d.uint16())))
	if flags[0]&flagContext != 0 {
		// A copy: it outlives the frames that lie beside it.
		r.Context = append([]byte{}, d.take(int(d.uint32()))...)
	}
	count := d.uint32()
	r.Frames = d.frames(count &^ pastFollows)
	if r.KeepsPast = count&pastFollows != 0; r.KeepsPast {
		r.Past = d.frames(d.uint32())
	}
	if d.short || len(d.rest) != 0 {
		return fmt.Errorf("%w: body of %d bytes is too short or too long", ErrCorrupt, len(b))
	}
	return r.check()
}

// A decoder reads a body. Past the end it returns zeros and sets short, so
// that one check at the end is enough.
type decoder struct {
	rest  []byte
	short bool
}

// frames allocates no more than the rest of the body can hold, whatever the
// count says.
func (d *decoder) frames(count uint32) []Frame {
	if count == 0 || uint64(count)*frameFixed > uint64(len(d.rest)) {
		d.short = d.short || count != 0
		return nil
	}
	frames := make([]Frame, count)
	for i := range frames {
		frames[i].Seq = d.uint32()
		frames[i].Data = d.take(int(d.uint32()))
	}
	return frames
}

func (d *decoder) take(n int) []byte {
	if n < 0 || n > len(d.rest) { // below 0: 32-bit int
		d.short, d.rest = true, nil
		return nil
	}
	b := d.rest[:n:n]
	d.rest = d.rest[n:]
	return b
}

// fixed returns the next n bytes, at most 8, or zeros if they are missing.
func (d *decoder) fixed(n int) []byte {
	if b := d.take(n); !d.short {
		return b
	}
	return make([]byte, 8)
}

func (d *decoder) uint8() uint8   { return d.fixed(1)[0] }
func (d *decoder) uint16() uint16 { return binary.BigEndian.Uint16(d.fixed(2)) }
func (d *decoder) uint32() uint32 { return binary.BigEndian.Uint32(d.fixed(4)) }
func (d *decoder) uint64() uint64 { return binary.BigEndian.Uint64(d.fixed(8)) }

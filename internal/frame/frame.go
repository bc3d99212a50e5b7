// Package frame reads and writes WebSocket frames (RFC 6455 §5.2) over byte
// slices: no reader, no copy, no allocation for what a peer only declares.
//
// Parse takes a frame header apart, Flow checks the order of frames in one
// direction, and Messages joins frames into whole messages.
package frame

import (
	"encoding/binary"
	"errors"
)

// Opcodes, RFC 6455 §5.2.
const (
	Continuation byte = 0x0
	Text         byte = 0x1
	Binary       byte = 0x2
	Close        byte = 0x8
	Ping         byte = 0x9
	Pong         byte = 0xa
)

const (
	// MaxHeader is two bytes, a 64-bit length and a mask.
	MaxHeader = 14

	// MaxControl is the largest payload of a control frame, RFC 6455 §5.5.
	MaxControl = 125

	finBit  = 0x80
	maskBit = 0x80
	rsvBits = 0x70

	// RSV1 marks a compressed message, RFC 7692 §7.2.1.
	RSV1 byte = 0x40
)

// ErrShort means that more bytes are needed; it is not the peer's fault.
var ErrShort = errors.New("frame: more bytes needed")

// A ProtocolError is a violation of RFC 6455 by the peer. Its close code is
// 1002.
type ProtocolError string

func (e ProtocolError) Error() string { return "frame: " + string(e) }

// A Header is one frame's header.
type Header struct {
	Fin    bool
	RSV    byte // the three bits, in their place
	Opcode byte
	Masked bool
	Mask   [4]byte
	Length int // of the payload, bytes
	Size   int // of the header, bytes
}

// Control tells whether the frame is Close, Ping or Pong.
func (h *Header) Control() bool { return h.Opcode&0x8 != 0 }

// Total is the frame's size in bytes.
func (h *Header) Total() int { return h.Size + h.Length }

// Rules are what one side must keep: a client masks every frame and a server
// none (RFC 6455 §5.1), and a reserved bit stands only where an extension
// that uses it was negotiated (§5.2).
type Rules struct {
	Masked bool
	RSV    byte // bits that may be set on data frames
}

// Parse reads the header at the start of p. It returns ErrShort while p holds
// less than the header, as late as possible and as early as a violation is
// certain, or a ProtocolError.
func (r Rules) Parse(p []byte) (h Header, err error) {
	if len(p) < 2 {
		return h, ErrShort
	}
	h.Fin = p[0]&finBit != 0
	h.RSV = p[0] & rsvBits
	h.Opcode = p[0] & 0x0f
	h.Masked = p[1]&maskBit != 0
	h.Length = int(p[1] &^ maskBit)
	h.Size = 2
	if err := r.check(&h); err != nil {
		return h, err
	}
	switch h.Length {
	case 126:
		h.Size = 4
		if len(p) < 4 {
			return h, ErrShort
		}
		if h.Length = int(binary.BigEndian.Uint16(p[2:])); h.Length < 126 {
			return h, ProtocolError("length is not minimal")
		}
	case 127:
		h.Size = 10
		if len(p) < 10 {
			return h, ErrShort
		}
		n := binary.BigEndian.Uint64(p[2:])
		if n>>63 != 0 {
			return h, ProtocolError("length has its highest bit set")
		}
		if n < 1<<16 {
			return h, ProtocolError("length is not minimal")
		}
		h.Length = int(min(n, maxLength))
	}
	if h.Masked {
		if h.Size += 4; len(p) < h.Size {
			return h, ErrShort
		}
		copy(h.Mask[:], p[h.Size-4:])
	}
	return h, nil
}

// maxLength keeps Total from overflowing. Nobody lives to see such a frame's
// end, so what its true length was does not matter.
const maxLength = 1<<63 - 1 - MaxHeader

// check judges the first two bytes.
func (r Rules) check(h *Header) error {
	switch {
	case h.Masked != r.Masked && r.Masked:
		return ProtocolError("a client's frame is not masked")
	case h.Masked != r.Masked:
		return ProtocolError("a server's frame is masked")
	case h.Opcode > Binary && h.Opcode < Close, h.Opcode > Pong:
		return ProtocolError("reserved opcode")
	case h.Control() && h.Length > MaxControl:
		return ProtocolError("control frame above 125 bytes")
	case h.Control() && !h.Fin:
		return ProtocolError("fragmented control frame")
	case h.Control() && h.RSV != 0, h.RSV&^r.RSV != 0:
		return ProtocolError("reserved bit without its extension")
	}
	return nil
}

// AppendHeader appends h; its Size is ignored.
func AppendHeader(dst []byte, h Header) []byte {
	b0, b1 := h.RSV|h.Opcode, byte(0)
	if h.Fin {
		b0 |= finBit
	}
	if h.Masked {
		b1 = maskBit
	}
	switch {
	case h.Length <= 125:
		dst = append(dst, b0, b1|byte(h.Length))
	case h.Length < 1<<16:
		dst = append(dst, b0, b1|126)
		dst = binary.BigEndian.AppendUint16(dst, uint16(h.Length))
	default:
		dst = append(dst, b0, b1|127)
		dst = binary.BigEndian.AppendUint64(dst, uint64(h.Length))
	}
	if h.Masked {
		dst = append(dst, h.Mask[:]...)
	}
	return dst
}

// Append appends a whole frame with the given header; Length is taken from
// payload, and the payload is masked if the header says so.
func Append(dst []byte, h Header, payload []byte) []byte {
	h.Length = len(payload)
	dst = AppendHeader(dst, h)
	n := len(dst)
	dst = append(dst, payload...)
	if h.Masked {
		Mask(dst[n:], h.Mask, 0)
	}
	return dst
}

// Mask masks or unmasks b in place; b[0] is byte number offset of the payload
// (RFC 6455 §5.3).
func Mask(b []byte, key [4]byte, offset int) {
	k := uint64(key[offset&3]) | uint64(key[(offset+1)&3])<<8 | uint64(key[(offset+2)&3])<<16 | uint64(key[(offset+3)&3])<<24
	k |= k << 32
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^k)
		b = b[8:]
	}
	for i := range b {
		b[i] ^= byte(k)
		k >>= 8
	}
}

// Rotate returns the key for a payload whose first n bytes are taken away.
func Rotate(key [4]byte, n int) [4]byte {
	return [4]byte{key[n&3], key[(n+1)&3], key[(n+2)&3], key[(n+3)&3]}
}

// Flow checks the order of frames in one direction (RFC 6455 §5.4). The zero
// value stands before the first frame.
type Flow struct{ open bool }

// Next notes a frame.
func (f *Flow) Next(h *Header) error {
	switch {
	case h.Control():
		return nil
	case h.Opcode == Continuation && !f.open:
		return ProtocolError("continuation of nothing")
	case h.Opcode != Continuation && f.open:
		return ProtocolError("new message inside a fragmented one")
	case h.Opcode == Continuation && h.RSV != 0:
		return ProtocolError("reserved bit on a continuation")
	}
	f.open = !h.Fin
	return nil
}

// Open tells whether a fragmented message is under way.
func (f *Flow) Open() bool { return f.open }

// Package frame reads and writes WebSocket frames (RFC 6455 §5.2) over byte
// slices: no reader, no copy, no allocation for what a peer only declares.
//
// Parse takes a frame header apart and judges it, Bounds does not judge, Flow
// checks the order of frames in one direction, and Messages joins frames into
// whole messages.
package frame

import (
	"encoding/binary"
	"errors"

	"github.com/gobwas/ws"
)

const (
	finBit   = 0x80
	maskBit  = 0x80
	rsvShift = 4
)

// Bits of ws.Header.Rsv.
const (
	// RSV1 marks a compressed message (RFC 7692 §7.2.1).
	RSV1 byte = 0x4

	// AnyRSV is all of them: what an extension that we take no part in does
	// with them is between its ends.
	AnyRSV byte = 0x7
)

// ErrShort means that more bytes are needed; it is not the peer's fault.
var ErrShort = errors.New("frame: more bytes needed")

// A ProtocolError is a violation of RFC 6455 by the peer. Its close code is
// 1002.
type ProtocolError string

func (e ProtocolError) Error() string { return "frame: " + string(e) }

// A Header is one frame's header as it was read.
type Header struct {
	ws.Header
	Size int // of the header, bytes
}

// Total is the frame's size in bytes.
func (h *Header) Total() int { return h.Size + int(h.Length) }

// Rules are what one side must keep: a client masks every frame and a server
// none (RFC 6455 §5.1), and a reserved bit stands only where an extension
// that uses it was negotiated (§5.2).
type Rules struct {
	Masked bool
	Rsv    byte // bits that may be set on data frames
}

// Parse reads the header at the start of p. It returns ErrShort while p holds
// less than the header, as late as possible and as early as a violation is
// certain, or a ProtocolError.
func (r Rules) Parse(p []byte) (h Header, err error) {
	if len(p) < 2 {
		return h, ErrShort
	}
	h.begin(p)
	if err := r.check(&h); err != nil {
		return h, err
	}
	least := h.leastLength()
	if err := h.finish(p); err != nil {
		return h, err
	}
	if h.Length < least {
		return h, ProtocolError("length is not minimal")
	}
	return h, nil
}

// Bounds reads the header at the start of p and judges nothing that leaves no
// doubt where the frame ends: masks, reserved bits, lengths that could be
// shorter and the order of frames are between the two ends. It returns ErrShort
// while p holds less than the header, and a ProtocolError for what is most
// likely no frame: an opcode that does not exist, a control frame in parts or
// above 125 bytes, a length beyond all bounds.
func Bounds(p []byte) (h Header, err error) {
	if len(p) < 2 {
		return h, ErrShort
	}
	h.begin(p)
	if err := h.checkKind(); err != nil {
		return h, err
	}
	return h, h.finish(p)
}

// begin reads the first two bytes.
func (h *Header) begin(p []byte) {
	h.Fin = p[0]&finBit != 0
	h.Rsv = p[0] >> rsvShift & AnyRSV
	h.OpCode = ws.OpCode(p[0] & 0x0f)
	h.Masked = p[1]&maskBit != 0
	h.Length = int64(p[1] &^ maskBit)
	h.Size = 2
}

// leastLength is what a length must be that is written as begin has read it.
func (h *Header) leastLength() int64 {
	switch h.Length {
	case 126:
		return 126
	case 127:
		return 1 << 16
	}
	return 0
}

// finish reads what follows the first two bytes.
func (h *Header) finish(p []byte) error {
	switch h.Length {
	case 126:
		h.Size = 4
		if len(p) < 4 {
			return ErrShort
		}
		h.Length = int64(binary.BigEndian.Uint16(p[2:]))
	case 127:
		h.Size = 10
		if len(p) < 10 {
			return ErrShort
		}
		n := binary.BigEndian.Uint64(p[2:])
		if n>>63 != 0 {
			return ProtocolError("length has its highest bit set")
		}
		h.Length = int64(min(n, maxLength))
	}
	if h.Masked {
		if h.Size += 4; len(p) < h.Size {
			return ErrShort
		}
		copy(h.Mask[:], p[h.Size-4:])
	}
	return nil
}

// maxLength keeps Total from overflowing. Such a frame is never
// received whole, so its true length does not matter.
const maxLength = 1<<63 - 1 - ws.MaxHeaderSize

// check judges the first two bytes.
func (r Rules) check(h *Header) error {
	switch {
	case h.Masked != r.Masked && r.Masked:
		return ProtocolError("a client's frame is not masked")
	case h.Masked != r.Masked:
		return ProtocolError("a server's frame is masked")
	}
	if err := h.checkKind(); err != nil {
		return err
	}
	if h.OpCode.IsControl() && h.Rsv != 0 || h.Rsv&^r.Rsv != 0 {
		return ProtocolError("reserved bit without its extension")
	}
	return nil
}

// checkKind judges what the first two bytes say that the frame is.
func (h *Header) checkKind() error {
	switch {
	case h.OpCode.IsReserved():
		return ProtocolError("reserved opcode")
	case h.OpCode.IsControl() && h.Length > ws.MaxControlFramePayloadSize:
		return ProtocolError("control frame above 125 bytes")
	case h.OpCode.IsControl() && !h.Fin:
		return ProtocolError("fragmented control frame")
	}
	return nil
}

// AppendHeader appends h.
func AppendHeader(dst []byte, h ws.Header) []byte {
	b0, b1 := h.Rsv<<rsvShift|byte(h.OpCode), byte(0)
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
func Append(dst []byte, h ws.Header, payload []byte) []byte {
	h.Length = int64(len(payload))
	dst = AppendHeader(dst, h)
	n := len(dst)
	dst = append(dst, payload...)
	if h.Masked {
		Mask(dst[n:], h.Mask, 0)
	}
	return dst
}

// minVectorMask is the size from which the vector code of gobwas/ws is faster:
// BenchmarkMask.
const minVectorMask = 64

// Mask masks or unmasks b in place; b[0] is byte number offset of the payload
// (RFC 6455 §5.3).
func Mask(b []byte, key [4]byte, offset int) {
	if len(b) < minVectorMask {
		maskWords(b, key, offset)
		return
	}
	ws.Cipher(b, key, offset)
}

func maskWords(b []byte, key [4]byte, offset int) {
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

// Flow checks the order of frames in one direction (RFC 6455 §5.4). The zero
// value stands before the first frame.
type Flow struct{ open bool }

// Next notes a frame.
func (f *Flow) Next(h *Header) error {
	switch {
	case h.OpCode.IsControl():
		return nil
	case h.OpCode == ws.OpContinuation && !f.open:
		return ProtocolError("continuation of nothing")
	case h.OpCode != ws.OpContinuation && f.open:
		return ProtocolError("new message inside a fragmented one")
	case h.OpCode == ws.OpContinuation && h.Rsv != 0:
		return ProtocolError("reserved bit on a continuation")
	}
	f.open = !h.Fin
	return nil
}

// Open reports whether a fragmented message is under way.
func (f *Flow) Open() bool { return f.open }

package transport

import (
	"cmp"
	"sync"
	"time"

	"github.com/valyala/bytebufferpool"
)

// Implementation limits of read buffers.
const (
	// readSize is offered to one read. A larger message makes the buffer grow, but
	// only as its bytes come.
	readSize = 16 << 10

	// shortRest is how much of a message that has not come as a whole has a
	// buffer of that size, and is copied to a loop's buffer, so that the next
	// read is a large one.
	shortRest = 2 << 10

	// scarceRead is offered to one read while memory is scarce: what was read has
	// to be kept, whoever has to wait for memory. The rest of a message that is
	// read at all has its memory.
	scarceRead = 4 << 10
)

// bufferPool lends read buffers. A socket holds one only while unused bytes
// stand in it, and a small one while these are few: each of thousands of
// connections may have begun a message and not go on.
type bufferPool struct {
	scarce  func() bool   // nil: never
	stalled time.Duration // Sockets.Stalled
	pool    bytebufferpool.Pool
	small   sync.Pool // of *bytebufferpool.ByteBuffer of shortRest
}

// patience is how long Finish waits for a peer that takes nothing more.
func (p *bufferPool) patience() time.Duration { return cmp.Or(p.stalled, lingerStalled) }

// get returns an empty buffer for at least n bytes.
func (p *bufferPool) get(n int) *bytebufferpool.ByteBuffer {
	if n <= shortRest {
		if b, ok := p.small.Get().(*bytebufferpool.ByteBuffer); ok {
			return b
		}
		return &bytebufferpool.ByteBuffer{B: make([]byte, 0, shortRest)}
	}
	if n <= shortRest+scarceRead && p.isScarce() {
		return &bytebufferpool.ByteBuffer{B: make([]byte, 0, shortRest+scarceRead)}
	}
	b := p.pool.Get()
	if b.B = b.B[:0]; cap(b.B) < max(n, readSize) {
		b.B = make([]byte, 0, max(n, readSize))
	}
	return b
}

// put gives a buffer back. The pool learns the usual size from the length.
func (p *bufferPool) put(b *bytebufferpool.ByteBuffer) {
	switch {
	case cap(b.B) >= readSize:
		b.B = b.B[:cap(b.B)]
		p.pool.Put(b)
	case cap(b.B) == shortRest:
		b.B = b.B[:0]
		p.small.Put(b)
	}
}

func (p *bufferPool) isScarce() bool { return p.scarce != nil && p.scarce() }

// offer is how much of p a read is offered.
func (p *bufferPool) offer(to []byte) []byte {
	if len(to) > scarceRead && p.isScarce() {
		return to[:scarceRead]
	}
	return to
}

// inbox is what a transport has read and its sink has not used.
type inbox struct {
	pool *bufferPool
	buf  *bytebufferpool.ByteBuffer // nil while empty
}

// space returns room to read into.
func (b *inbox) space() []byte {
	if len(b.rest()) <= shortRest && b.pool.isScarce() {
		b.grow(scarceRead)
		return b.buf.B[len(b.buf.B):][:scarceRead]
	}
	b.grow(readSize / 2)
	return b.buf.B[len(b.buf.B):cap(b.buf.B)]
}

// grow makes room for n bytes behind what there is, by doubling.
func (b *inbox) grow(n int) {
	have := b.rest()
	switch {
	case b.buf != nil && cap(have)-len(have) >= n:
		return
	case len(have)+n < readSize:
		n += len(have)
	default:
		n = max(2*cap(have), len(have)+n)
	}
	old := b.buf
	b.buf = b.pool.get(n)
	b.buf.B = append(b.buf.B, have...)
	if old != nil {
		b.pool.put(old)
	}
}

// rest returns what there is.
func (b *inbox) rest() []byte {
	if b.buf == nil {
		return nil
	}
	return b.buf.B
}

// replace takes p instead of what there was.
func (b *inbox) replace(p []byte) {
	b.drop()
	b.keep(p)
}

// fill notes that n bytes were read into space.
func (b *inbox) fill(n int) {
	b.buf.B = b.buf.B[:len(b.buf.B)+n]
	b.trim()
}

// keep takes what is left over of bytes that stood elsewhere.
func (b *inbox) keep(p []byte) {
	if len(p) > 0 {
		b.grow(len(p))
		b.buf.B = append(b.buf.B, p...)
	}
}

// feed offers what there is to the sink.
func (b *inbox) feed(s Sink) {
	if b.buf == nil || len(b.buf.B) == 0 {
		return
	}
	used := s.Bytes(b.buf.B)
	b.buf.B = b.buf.B[:copy(b.buf.B, b.buf.B[used:])]
	b.trim()
}

// trim gives an empty buffer back, so that an idle socket holds none.
func (b *inbox) trim() {
	if b.buf != nil && len(b.buf.B) == 0 {
		b.pool.put(b.buf)
		b.buf = nil
	}
}

// shrink moves a short rest to a small buffer, and gives an empty one back: the
// socket waits.
func (b *inbox) shrink() {
	b.trim()
	if rest := b.rest(); b.buf != nil && len(rest) <= shortRest && cap(rest) > shortRest {
		large := b.buf
		b.buf = b.pool.get(len(rest))
		b.buf.B = append(b.buf.B, rest...)
		b.pool.put(large)
	}
}

func (b *inbox) drop() {
	if b.buf != nil {
		b.buf.B = b.buf.B[:0]
		b.trim()
	}
}

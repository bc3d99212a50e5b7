package transport

import "github.com/valyala/bytebufferpool"

// readSize is offered to one read. A larger message makes the buffer grow, but
// only as its bytes come.
const readSize = 16 << 10

// bufferPool lends read buffers. A socket holds one only while unused bytes
// stand in it.
type bufferPool struct{ pool bytebufferpool.Pool }

func (p *bufferPool) get() *bytebufferpool.ByteBuffer { return p.pool.Get() }

// put gives a buffer back. The pool learns the usual size from the length.
func (p *bufferPool) put(b *bytebufferpool.ByteBuffer) {
	b.B = b.B[:cap(b.B)]
	p.pool.Put(b)
}

// inbox is what a transport has read and its sink has not used.
type inbox struct {
	pool *bufferPool
	buf  *bytebufferpool.ByteBuffer // nil while empty
}

// space returns room to read into, at least half of readSize, and grows the
// buffer by doubling.
func (b *inbox) space() []byte {
	if b.buf == nil {
		b.buf = b.pool.get()
		if b.buf.B = b.buf.B[:0]; cap(b.buf.B) < readSize {
			b.buf.B = make([]byte, 0, readSize)
		}
	}
	have := b.buf.B
	if cap(have)-len(have) < readSize/2 {
		b.buf.B = append(make([]byte, 0, 2*cap(have)), have...)
		have = b.buf.B
	}
	return have[len(have):cap(have)]
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
	if b.buf != nil {
		b.buf.B = b.buf.B[:0]
	}
	b.keep(p)
	b.trim()
}

// fill notes that n bytes were read into space.
func (b *inbox) fill(n int) {
	b.buf.B = b.buf.B[:len(b.buf.B)+n]
	b.trim()
}

// keep takes what is left over of bytes that stood elsewhere.
func (b *inbox) keep(p []byte) {
	if len(p) > 0 {
		b.space()
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

func (b *inbox) drop() {
	if b.buf != nil {
		b.buf.B = b.buf.B[:0]
		b.trim()
	}
}

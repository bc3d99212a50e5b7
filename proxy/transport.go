package proxy

import (
	"net"
	"time"

	"github.com/valyala/bytebufferpool"
)

// A transport is one socket behind the push seam: it calls its sink when
// something happens, and takes bytes without ever making the caller wait. Two
// kinds exist, for sockets that the kernel polls (transport_linux.go) and for
// any net.Conn (transport_conn.go).
//
// The methods are called by one owner at a time, who holds the lock that the
// sink takes. After Finish or Abort, either of which may come before Start, the
// sink is not called any more; but a call that waits for that lock comes yet.
type transport interface {
	// Start begins to read. early are bytes that were read before.
	Start(early []byte)

	// Write takes as much of parts as fits without waiting and returns how
	// many bytes that was. After less than all, Writable is called once there
	// is room, and now and then when there is none. It keeps no reference to
	// parts. A broken socket takes nothing and is told by Gone, which comes
	// once: what breaks after a FIN is not told.
	Write(parts [][]byte) int

	// Pause stops or resumes reading. Bytes that the sink did not use are
	// offered again on resuming.
	Pause(bool)

	// Shut sends FIN behind what was written; reading goes on.
	Shut()

	// Finish sends FIN, discards what still comes until the peer has ended
	// too or lingerClose has passed, and closes the socket. Closing at once
	// could reset the connection before the peer has read a close frame.
	Finish()

	// Abort closes the socket at once.
	Abort()
}

// A sink is where a transport's events go. Calls come from the transport's own
// goroutines, never from within a method of the transport, and Bytes and Gone
// never at the same time.
type sink interface {
	// Bytes offers bytes; used of them are done with. The rest is offered
	// again with more behind it.
	Bytes(p []byte) (used int)

	// Writable follows a Write that took less than all.
	Writable()

	// Gone says that no more bytes come. broken tells a reset or a failure
	// from a FIN.
	Gone(broken bool)
}

// Implementation limits of the transports.
const (
	// readSize is offered to one read. A larger message makes the buffer
	// grow, but only as its bytes come.
	readSize = 16 << 10

	// lingerClose is how long Finish waits for the peer.
	lingerClose = 2 * time.Second
)

// openTransport picks the transport for a connection. own is fresh memory for
// the kind that idle connections mostly have.
func openTransport(conn net.Conn, s sink, b *bufferPool, at *place, own *looped) transport {
	if at.among != nil {
		if t := newLooped(conn, s, b, at, own); t != nil {
			return t
		}
	}
	if t := newPolled(conn, s, b); t != nil {
		return t
	}
	return newConnTransport(conn, s, b)
}

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
func (b *inbox) feed(s sink) {
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

func size(parts [][]byte) (n int) {
	for _, p := range parts {
		n += len(p)
	}
	return n
}

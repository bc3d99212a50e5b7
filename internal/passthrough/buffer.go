package passthrough

import (
	"errors"
	"io"
	"net"
	"sync"

	"github.com/wsresilience/wsresilience/internal/http1"
)

// Sizes of buffers.
const (
	// restSize is the buffer of a direction, which holds heads of a usual size
	// and the first bytes of bodies. It is kept while a connection is.
	restSize = 4 << 10

	// burstSize takes its place while more comes than fits, and is lent.
	burstSize = 32 << 10

	// maxAnswerHead bounds the head of an app's answer. It is far above what
	// any client takes; it only bounds what an app can make us hold.
	maxAnswerHead = 1 << 20
)

// A buffer holds what was read of one direction and is not passed on yet.
type buffer struct {
	b    []byte
	r, w int // what is held is b[r:w]
}

func (b *buffer) held() []byte { return b.b[b.r:b.w] }

// take marks bytes as passed on.
func (b *buffer) take(n int) {
	if b.r += n; b.r == b.w {
		b.r, b.w = 0, 0
	}
}

// fill reads once, behind what is held. It makes room for that, up to limit
// bytes, and returns errFull if there is none.
func (b *buffer) fill(from net.Conn, limit int) error {
	if b.b == nil {
		b.b = restBuffers.get()
	}
	if b.w == len(b.b) {
		switch {
		case b.r > 0:
			b.w = copy(b.b, b.held())
			b.r = 0
		case len(b.b) >= limit:
			return errFull
		default:
			b.grow(min(2*len(b.b), limit))
		}
	}
	n, err := from.Read(b.b[b.w:])
	b.w += n
	if n > 0 {
		return nil // an error comes again
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

func (b *buffer) grow(size int) {
	larger := make([]byte, size)
	b.w = copy(larger, b.held())
	b.r = 0
	b.release()
	b.b = larger
}

// shrink gives a large buffer back that holds nothing.
func (b *buffer) shrink() {
	if b.r == b.w && len(b.b) > restSize {
		b.b, b.r, b.w = nil, 0, 0
	}
}

// release gives the memory back.
func (b *buffer) release() {
	if len(b.b) == restSize {
		restBuffers.put(b.b)
	}
	b.b = nil
}

// A lender lends buffers of one size. Arrays would be nicer in the pool, but a
// slice's header is small beside what it is for.
type lender struct {
	size int
	pool sync.Pool
}

var (
	restBuffers  = lender{size: restSize}
	burstBuffers = lender{size: burstSize}
)

func (l *lender) get() []byte {
	if p, ok := l.pool.Get().(*[]byte); ok {
		return *p
	}
	return make([]byte, l.size)
}

func (l *lender) put(b []byte) { l.pool.Put(&b) }

// errFull is a head that is larger than is taken.
var errFull = errors.New("passthrough: a head is too large")

// A flow passes the bytes of bodies on.
type flow struct {
	from, to net.Conn
	in       *buffer
}

// A pass failed at one of its ends, or in between.
type (
	readError  struct{ error }
	writeError struct{ error }
)

func (e readError) Unwrap() error  { return e.error }
func (e writeError) Unwrap() error { return e.error }

// body passes a body on, up to its end or up to its trailer section. Bytes that
// are held come first, behind first.
func (f *flow) body(b *http1.Body, first []byte) error {
	for {
		held := f.in.held()
		n, err := b.Next(held)
		if len(first)+n > 0 {
			if werr := f.write(first, held[:n]); werr != nil {
				return werr
			}
			first = nil
			f.in.take(n)
		}
		switch {
		case err != nil:
			return err
		case b.Done():
			return nil
		}
		if f.in.r < f.in.w {
			continue // cannot be: what is left behind a body's end is not its
		}
		full := f.in.w == 0 && f.in.b != nil
		if err := f.in.fill(f.from, restSize); err != nil {
			return readError{err}
		}
		if full && f.in.w == len(f.in.b) {
			if err := f.burst(b); err != nil {
				return err
			}
		}
	}
}

// burst passes on with a large buffer while it is filled.
func (f *flow) burst(b *http1.Body) error {
	large := burstBuffers.get()
	defer burstBuffers.put(large)
	w := copy(large, f.in.held())
	f.in.take(w)
	for {
		n, err := b.Next(large[:w])
		if n > 0 {
			if werr := f.write(nil, large[:n]); werr != nil {
				return werr
			}
		}
		if err != nil {
			return err
		}
		if n < w || b.Done() {
			f.in.unread(large[n:w])
			return nil
		}
		if w < restSize {
			return nil
		}
		if w, err = f.from.Read(large); err != nil && w == 0 {
			return readError{err}
		}
	}
}

// unread puts bytes back, in front of nothing.
func (b *buffer) unread(p []byte) {
	if len(p) > len(b.b) {
		b.release()
		b.b = make([]byte, len(p))
	}
	b.r, b.w = 0, copy(b.b, p)
}

func (f *flow) write(first, rest []byte) error {
	if len(first) > 0 {
		first = append(first, rest...)
		rest = first
	}
	if _, err := f.to.Write(rest); err != nil {
		return writeError{err}
	}
	return nil
}

// section reads a trailer section whole; it is held then, and end says where it
// ends.
func (f *flow) section(lenient bool, limit int) (end int, err error) {
	scan := http1.Scanner{Section: true, Lenient: lenient}
	for {
		if end, err = scan.Next(f.in.held()); end > 0 || err != nil {
			return end, err
		}
		if err := f.in.fill(f.from, limit); err != nil {
			return 0, readError{err}
		}
	}
}

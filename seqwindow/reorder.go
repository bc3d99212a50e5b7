package seqwindow

import "math/bits"

// Reorder holds messages that arrive ahead of their turn, for transports that
// can reorder, and releases all in order. It holds at most Limits.Messages
// places and Limits.Bytes; the message whose turn it is always finds room, so
// that the rest cannot wait for ever. Reorder is for one owner at a time.
type Reorder[T any] struct {
	limits Limits
	next   Serial // whose turn it is
	bytes  int
	ring   []place[T] // message seq at seq % len
}

type place[T any] struct {
	msg  T
	size int
	held bool
}

// NewReorder returns an empty buffer; the next message has received+1.
func NewReorder[T any](limits Limits, received Serial) *Reorder[T] {
	limits = limits.withDefaults()
	// Only a power of two divides 2^32, which keeps places distinct when the
	// serials wrap.
	size := 1 << bits.Len(uint(limits.Messages-1))
	return &Reorder[T]{limits: limits, next: received + 1, ring: make([]place[T], size)}
}

// Put offers a message of size bytes. Fresh: it is held until Take releases it.
// Duplicate: it was released or is held, and is dropped. Gap: it is too far
// ahead for the limits, and is dropped; the peer has to send it again.
func (r *Reorder[T]) Put(seq Serial, size int, msg T) Verdict {
	ahead := Diff(seq, r.next)
	if Less(seq, r.next) {
		return Duplicate
	}
	if ahead < 0 || int(ahead) >= r.limits.Messages {
		return Gap
	}
	p := r.place(seq)
	if p.held {
		return Duplicate
	}
	if ahead > 0 && size > r.limits.Bytes-r.bytes {
		return Gap
	}
	*p = place[T]{msg: msg, size: size, held: true}
	r.bytes += size
	return Fresh
}

// Take releases the message whose turn it is, if it is here.
func (r *Reorder[T]) Take() (seq Serial, msg T, ok bool) {
	p := r.place(r.next)
	if !p.held {
		return 0, msg, false
	}
	seq, msg = r.next, p.msg
	r.bytes -= p.size
	*p = place[T]{} // the buffer must not keep the message alive
	r.next++
	return seq, msg, true
}

// Received returns the last message released: what can be acknowledged.
func (r *Reorder[T]) Received() Serial { return r.next - 1 }

// Bytes returns the size of the messages held.
func (r *Reorder[T]) Bytes() int { return r.bytes }

func (r *Reorder[T]) place(seq Serial) *place[T] {
	return &r.ring[seq&Serial(len(r.ring)-1)]
}

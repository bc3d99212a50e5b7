package frame

import (
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/budget"
	"github.com/wsresilience/wsresilience/internal/monotime"
)

// ErrTooBig means a message above Messages.Max; the close code is 1009. Next says
// how far above, by a TooBigError.
const ErrTooBig = sizeError("frame: message above the limit")

type sizeError string

func (e sizeError) Error() string { return string(e) }

// A TooBigError is ErrTooBig of a message whose payload has so many bytes at
// least; 0: it is not known how many.
type TooBigError struct{ Size, Limit int }

func (e *TooBigError) Error() string { return string(ErrTooBig) }

// Is reports whether target is ErrTooBig.
func (e *TooBigError) Is(target error) bool { return target == ErrTooBig }

// A Message is one whole message, or one control frame. Raw is its bytes as
// a single frame, valid until the next call or until the input changes.
type Message struct {
	Header
	Raw []byte
}

// Payload is the message's payload, still masked if the header says so.
func (m *Message) Payload() []byte { return m.Raw[m.Size:] }

// Compressed reports whether the payload is deflated (RFC 7692).
func (m *Message) Compressed() bool { return m.Rsv1() }

// Messages cuts a stream of bytes into messages. A message that came as one
// frame is handed out where it stands, without a copy; fragments are joined
// in a buffer, so that the cost of a message is its bytes and not the number
// of its fragments. Messages is not safe for concurrent use.
//
// What a message costs that has not come whole counts against Buffers.Memory,
// here and where its caller keeps bytes of it. It is claimed for the whole frame
// when its header is known, so that no two wait for each other; a message for
// which there is no memory waits: see Waits.
type Messages struct {
	Rules Rules
	flow  Flow
	done  bool // partial was handed out

	Extra   uint8    // how much larger a binary message may be than Max
	Max     int      // payload bytes of the largest message
	Buffers *Buffers // where fragments are joined

	partial *partial // nil: no fragments, and nothing that counts
}

// A partial is what is known of a message that has not come whole.
type partial struct {
	joins bool   // it comes in fragments, of which there are some
	head  Header // of the first fragment
	bytes []byte // header space and the payloads so far

	hold  budget.Hold
	want  int64         // bytes to be held
	since monotime.Time // when Overdue first saw it
}

// freePartial is what a message may keep without being counted: as much as
// every connection costs anyway.
const freePartial = 2 << 10

// Next returns the message at the start of p and the n bytes of p that it
// takes. When no message is complete yet, ok is false, and n bytes were taken:
// fragments are copied as whole frames. The caller keeps p[n:] and comes again
// with more behind it.
//
// An error is a ProtocolError or a TooBigError, and final.
func (m *Messages) Next(p []byte) (msg Message, n int, ok bool, err error) {
	m.Release()
	if m.Waits() && !m.Retry() {
		return Message{}, 0, false, nil
	}
	for {
		h, err := m.Rules.Parse(p[n:])
		if err == ErrShort {
			return Message{}, n, false, nil
		}
		if err != nil {
			return Message{}, n, false, err
		}
		if err := m.admit(&h); err != nil {
			return Message{}, n, false, err
		}
		if len(p)-n < h.Total() {
			m.await(h.Total())
			return Message{}, n, false, nil
		}
		raw := p[n : n+h.Total()]
		n += h.Total()
		if err := m.flow.Next(&h); err != nil {
			return Message{}, n, false, err
		}
		if h.OpCode.IsControl() || h.Fin && h.OpCode != ws.OpContinuation {
			if !m.joins() {
				m.drop()
			}
			return Message{h, raw}, n, true, nil
		}
		m.add(&h, raw[h.Size:])
		if h.Fin {
			return m.joined(), n, true, nil
		}
	}
}

func (m *Messages) joins() bool { return m.partial != nil && m.partial.joins }

// await claims memory for a frame of so many bytes that has not come whole, and
// for the fragments before it.
func (m *Messages) await(bytes int) {
	if m.joins() {
		bytes += len(m.partial.bytes)
	}
	if bytes <= freePartial {
		return
	}
	if m.partial == nil {
		m.partial = m.Buffers.get()
	}
	// Buffers grow by doubling.
	m.partial.want = max(m.partial.want, int64(2*bytes), int64(cap(m.partial.bytes)))
	m.Retry()
}

// Waits reports whether there is no memory for the message under way. Its
// connection should not be read until Retry says otherwise.
func (m *Messages) Waits() bool { return m.partial != nil && m.partial.hold.Waiting() }

// Retry claims memory again for a message that waits, and reports whether none
// waits any more.
func (m *Messages) Retry() bool {
	return m.partial == nil || m.partial.hold.Grow(m.Buffers.Memory, m.partial.want)
}

// Holds reports whether a message that has not come whole keeps memory.
func (m *Messages) Holds() bool { return m.partial != nil && m.partial.hold.Bytes() > 0 }

// Overdue reports whether a message keeps memory for which others wait, longer
// than a connection that gets on takes for it. Its caller asks now and then.
func (m *Messages) Overdue(now monotime.Time) bool {
	j := m.partial
	if j == nil || j.hold.Bytes() == 0 || j.hold.Waiting() {
		return false
	}
	if j.since == 0 {
		j.since = now
	}
	most := overdueAfter + time.Duration(j.hold.Bytes())*time.Second/overdueRate
	return m.Buffers.Memory.Waiting() > 0 && now.Sub(j.since) > most
}

// A message that others wait for has these ten seconds, and a second for as many
// of the bytes that it holds, which are twice what is to come.
const (
	overdueAfter = 10 * time.Second
	overdueRate  = 64 << 10
)

// admit refuses a message as soon as a header shows that it will be too big,
// before a byte of it is kept, and a frame out of order before it is waited
// for.
func (m *Messages) admit(h *Header) error {
	if h.OpCode.IsControl() {
		return nil
	}
	probe := m.flow
	if err := probe.Next(h); err != nil {
		return err
	}
	size, limit, op := int(h.Length), m.Max, h.OpCode
	if m.joins() {
		size += len(m.partial.bytes) - ws.MaxHeaderSize
		op = m.partial.head.OpCode
	}
	if op == ws.OpBinary {
		limit += int(m.Extra)
	}
	if size > limit {
		return &TooBigError{Size: size, Limit: m.Max}
	}
	return nil
}

// add appends a fragment, masked with the first fragment's key.
func (m *Messages) add(h *Header, payload []byte) {
	first := !m.joins()
	if m.partial == nil {
		m.partial = m.Buffers.get()
	}
	j := m.partial
	if first {
		j.begin(h)
	}
	start := len(j.bytes)
	j.bytes = append(j.bytes, payload...)
	if h.Masked && !first {
		Mask(j.bytes[start:], h.Mask, 0)
		Mask(j.bytes[start:], j.head.Mask, start-ws.MaxHeaderSize)
	}
	if !h.Fin {
		m.await(0)
	}
}

func (j *partial) begin(h *Header) {
	j.joins, j.head = true, *h
	if j.bytes == nil {
		j.bytes = make([]byte, 0, 1024)
	}
	j.bytes = j.bytes[:ws.MaxHeaderSize]
}

// joined writes the header of the whole message right in front of its
// payload, into the space that the buffer began with.
func (m *Messages) joined() Message {
	h := m.partial.head
	h.Fin, h.Length = true, int64(len(m.partial.bytes)-ws.MaxHeaderSize)
	var head [ws.MaxHeaderSize]byte
	b := AppendHeader(head[:0], h.Header)
	h.Size = len(b)
	raw := m.partial.bytes[ws.MaxHeaderSize-h.Size:]
	copy(raw, b)
	m.done = true
	return Message{h, raw}
}

// Release gives the buffer of a joined message back, which Next does too. It is
// for a caller who does not ask for messages until there is none, so that an idle
// direction holds no buffer.
func (m *Messages) Release() {
	if m.done {
		m.drop()
		m.done = false
	}
}

// drop forgets what is known of a message under way.
func (m *Messages) drop() {
	if m.partial != nil {
		m.Buffers.put(m.partial)
		m.partial = nil
	}
}

// Reset forgets a message under way: its connection is gone.
func (m *Messages) Reset() {
	m.drop()
	m.done = false
	m.flow = Flow{}
}

// Buffers keeps the buffers in which fragments are joined. It is safe for
// concurrent use and shared by all sessions; the zero value is ready.
type Buffers struct {
	// Memory is what messages count against that have not come whole; nil: they
	// do not. It is set before the first use.
	Memory *budget.Share

	pool sync.Pool // of *partial
}

// keepBuffer bounds what goes back to the pool, so that one huge message does
// not pin its memory.
const keepBuffer = 64 << 10

func (b *Buffers) get() *partial {
	if j, ok := b.pool.Get().(*partial); ok {
		return j
	}
	return new(partial)
}

func (b *Buffers) put(j *partial) {
	j.hold.Release(b.Memory)
	j.joins, j.want, j.since = false, 0, 0
	if cap(j.bytes) > keepBuffer {
		j.bytes = nil
	}
	b.pool.Put(j)
}

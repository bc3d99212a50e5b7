package frame

import (
	"sync"

	"github.com/gobwas/ws"
)

// ErrTooBig means a message above Messages.Max; the close code is 1009.
const ErrTooBig = sizeError("frame: message above the limit")

type sizeError string

func (e sizeError) Error() string { return string(e) }

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
type Messages struct {
	Rules Rules
	flow  Flow
	done  bool // reassembly was handed out

	Extra   uint8    // how much larger a binary message may be than Max
	Max     int      // payload bytes of the largest message
	Buffers *Buffers // where fragments are joined

	reassembly *reassembly // nil if no fragments
}

// A reassembly is where fragments become one message.
type reassembly struct {
	head  Header // of the first fragment
	bytes []byte // header space and the payloads so far
}

// Next returns the message at the start of p and the n bytes of p that it
// takes. When no message is complete yet, ok is false, and n bytes were taken:
// fragments are copied as whole frames. The caller keeps p[n:] and comes again
// with more behind it.
//
// An error is a ProtocolError or ErrTooBig, and final.
func (m *Messages) Next(p []byte) (msg Message, n int, ok bool, err error) {
	m.release()
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
			return Message{}, n, false, nil
		}
		raw := p[n : n+h.Total()]
		n += h.Total()
		if err := m.flow.Next(&h); err != nil {
			return Message{}, n, false, err
		}
		if h.OpCode.IsControl() || h.Fin && h.OpCode != ws.OpContinuation {
			return Message{h, raw}, n, true, nil
		}
		m.add(&h, raw[h.Size:])
		if h.Fin {
			return m.joined(), n, true, nil
		}
	}
}

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
	room, op := m.Max, h.OpCode
	if m.reassembly != nil {
		room -= len(m.reassembly.bytes) - ws.MaxHeaderSize
		op = m.reassembly.head.OpCode
	}
	if op == ws.OpBinary {
		room += int(m.Extra)
	}
	if int(h.Length) > room {
		return ErrTooBig
	}
	return nil
}

// add appends a fragment, masked with the first fragment's key.
func (m *Messages) add(h *Header, payload []byte) {
	first := m.reassembly == nil
	if first {
		m.reassembly = m.Buffers.get()
		m.reassembly.head = *h
	}
	j := m.reassembly
	start := len(j.bytes)
	j.bytes = append(j.bytes, payload...)
	if h.Masked && !first {
		Mask(j.bytes[start:], h.Mask, 0)
		Mask(j.bytes[start:], j.head.Mask, start-ws.MaxHeaderSize)
	}
}

// joined writes the header of the whole message right in front of its
// payload, into the space that the buffer began with.
func (m *Messages) joined() Message {
	h := m.reassembly.head
	h.Fin, h.Length = true, int64(len(m.reassembly.bytes)-ws.MaxHeaderSize)
	var head [ws.MaxHeaderSize]byte
	b := AppendHeader(head[:0], h.Header)
	h.Size = len(b)
	raw := m.reassembly.bytes[ws.MaxHeaderSize-h.Size:]
	copy(raw, b)
	m.done = true
	return Message{h, raw}
}

// release gives the buffer of a joined message back. The caller asks for
// messages until there is none, so an idle direction holds no buffer.
func (m *Messages) release() {
	if m.done {
		m.Buffers.put(m.reassembly)
		m.reassembly, m.done = nil, false
	}
}

// Reset forgets a message under way: its connection is gone.
func (m *Messages) Reset() {
	m.done = m.reassembly != nil
	m.release()
	m.flow = Flow{}
}

// Buffers keeps the buffers in which fragments are joined. It is safe for
// concurrent use and shared by all sessions; the zero value is ready.
type Buffers struct{ pool sync.Pool }

// keepBuffer bounds what goes back to the pool, so that one huge message does
// not pin its memory.
const keepBuffer = 64 << 10

func (b *Buffers) get() *reassembly {
	if j, ok := b.pool.Get().(*reassembly); ok {
		return j
	}
	return &reassembly{bytes: make([]byte, ws.MaxHeaderSize, 1024)}
}

func (b *Buffers) put(j *reassembly) {
	if cap(j.bytes) > keepBuffer {
		return
	}
	j.bytes = j.bytes[:ws.MaxHeaderSize]
	b.pool.Put(j)
}

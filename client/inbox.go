package client

import (
	"time"

	"github.com/wsresilience/wsresilience/seqwindow"
)

// messageOverhead is added to the bytes of a queued message, so that empty
// messages count too.
const messageOverhead = 64

// maxClaimedQueue is how much may wait for Read and still be claimed as
// received in a resume. A claim frees the sidecar's window: without this limit
// the queue could grow by one window with each cut.
const maxClaimedQueue = 256 << 10

type message struct {
	typ  MessageType
	data []byte
	seq  seqwindow.Serial

	through seqwindow.Serial // the last of those behind it that are not for the program
	former  bool             // it is of a session that is over
	passed  bool             // of one that is former: through is of the new session
}

func (m *message) cost() int { return len(m.data) + messageOverhead }

// inbox holds the messages that were received and that Read has not returned.
type inbox struct {
	seqwindow.Receiver
	queue      fifo[message]
	bytes      int
	taken      uint64           // messages that take has returned
	claimed    seqwindow.Serial // the highest position that a resume has claimed
	discarding bool             // the program has closed: messages are dropped
}

func (b *inbox) init(policy *seqwindow.AckPolicy, received seqwindow.Serial) {
	b.Policy = policy
	b.Receiver.Init(received)
	b.claimed = received
}

// claim returns the position to offer in a resume. The sidecar takes it as an
// acknowledgement, so a later claim must not be lower. A message that is
// replayed although it is here already is dropped by its number.
func (b *inbox) claim() seqwindow.Serial {
	to := b.handled()
	if b.bytes <= maxClaimedQueue {
		to = b.Received()
	}
	if seqwindow.Less(b.claimed, to) {
		b.claimed = to
	}
	return b.claimed
}

// rewind drops what was received beyond a position, and not read: it will come
// again.
func (b *inbox) rewind(to seqwindow.Serial) {
	if seqwindow.LessEq(b.Received(), to) {
		return
	}
	b.queue, b.bytes = fifo[message]{}, 0
	b.Receiver.Init(to)
}

// first returns the number of the message that take would return.
func (b *inbox) first() (seqwindow.Serial, bool) {
	if b.queue.len() == 0 {
		return 0, false
	}
	return b.queue.at(0).seq, true
}

// former reports whether the message that take would return is of a session that is
// over.
func (b *inbox) former() bool { return b.queue.len() > 0 && b.queue.at(0).former }

// put appends a copy of message seq.
func (b *inbox) put(now time.Time, seq seqwindow.Serial, typ MessageType, data []byte) seqwindow.Verdict {
	v := b.Accept(seq)
	if v != seqwindow.Fresh {
		return v
	}
	if b.discarding {
		b.Handled(now, seq, len(data))
		return v
	}
	m := message{typ: typ, data: append(make([]byte, 0, len(data)), data...), seq: seq, through: seq}
	b.queue.push(m)
	b.bytes += m.cost()
	return v
}

// pass counts message seq, which is not for the program: it is handled when what
// came before it is.
func (b *inbox) pass(now time.Time, seq seqwindow.Serial) seqwindow.Verdict {
	v := b.Accept(seq)
	switch {
	case v != seqwindow.Fresh:
	case b.queue.len() == 0:
		b.Handled(now, seq, 1)
	default:
		last := b.queue.len() - 1
		m := b.queue.at(last)
		m.through, m.passed = seq, true
		b.queue.set(last, m)
	}
	return v
}

// take removes and returns the next message; from then on it may be
// acknowledged (PROTOCOL §5.2).
func (b *inbox) take(now time.Time) (message, bool) {
	if b.queue.len() == 0 {
		return message{}, false
	}
	m := b.queue.pop()
	b.taken++
	b.bytes -= m.cost()
	if !m.former || m.passed {
		b.Handled(now, m.through, len(m.data))
	}
	return m, true
}

// discard drops the messages that are here, and those that will come: the
// program does not read any more.
func (b *inbox) discard(now time.Time) {
	b.discarding = true
	for b.queue.len() > 0 {
		b.take(now)
	}
}

// behind returns how many messages take returns, from the first, before what comes
// now.
func (b *inbox) behind() uint64 { return b.taken + uint64(b.queue.len()) }

func (b *inbox) empty() bool { return b.queue.len() == 0 }

// handled returns the number of the last message that Read has returned.
func (b *inbox) handled() seqwindow.Serial {
	n, _ := b.AckDue(time.Time{})
	return n
}

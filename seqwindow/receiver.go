package seqwindow

import (
	"cmp"
	"fmt"
	"time"

	"github.com/wsresilience/wsresilience/internal/monotime"
)

// Protocol constants: how long an acknowledgement may wait (PROTOCOL §5.1).
const (
	DefaultAckMessages = 32
	DefaultAckBytes    = 64 << 10
	DefaultAckDelay    = 200 * time.Millisecond
)

// AckPolicy is when an acknowledgement is due: after so many messages, so
// many bytes, or so long after the first message that has not been
// acknowledged, whichever comes first. What is zero takes its default; a
// negative value makes every message due at once.
type AckPolicy struct {
	Messages int
	Bytes    int
	Delay    time.Duration
}

// Verdict is what a message's serial means to a receiver.
type Verdict uint8

const (
	// Fresh is a message to be used.
	Fresh Verdict = iota
	// Duplicate is a message that was received before. It is dropped: after a
	// resume the peer may send what we have (PROTOCOL §8.2).
	Duplicate
	// Gap is a message with others missing before it. From an ordered transport
	// it is a fault of the peer.
	Gap
)

func (v Verdict) String() string {
	switch v {
	case Fresh:
		return "fresh"
	case Duplicate:
		return "duplicate"
	case Gap:
		return "gap"
	}
	return fmt.Sprintf("verdict %d", uint8(v))
}

// Receiver is the receiving side of one direction. A message goes through three
// positions: received (it is here), handled (its consumer took it), acked (the
// acknowledgement was sent). The second never passes the first, nor the third the second
// (I3). Receiver is for one owner at a time.
type Receiver struct {
	// Policy may be shared by many receivers. Nil is all defaults.
	Policy *AckPolicy

	received Serial
	handled  Serial
	acked    Serial
	bytes    int           // handled since acked
	since    monotime.Time // when the first message after acked was handled
	ackedAt  monotime.Time // when acked was sent; 0: never
}

// Init sets all three positions; the next message has received+1. Policy stays.
func (r *Receiver) Init(received Serial) {
	*r = Receiver{Policy: r.Policy, received: received, handled: received, acked: received}
}

// Received returns the last message accepted.
func (r *Receiver) Received() Serial { return r.received }

// Next accepts the message that follows and returns its serial: messages are
// numbered by counting (PROTOCOL §3.1).
func (r *Receiver) Next() Serial {
	r.received++
	return r.received
}

// Accept judges the message numbered seq, and accepts it when it is Fresh. A
// serial without an order (see Serial) is a Gap.
func (r *Receiver) Accept(seq Serial) Verdict {
	switch {
	case seq == r.received+1:
		r.received = seq
		return Fresh
	case LessEq(seq, r.received):
		return Duplicate
	default:
		return Gap
	}
}

// Handled notes that the consumer took all messages up to n, the new ones
// having the given bytes in sum. It panics when n was not received.
func (r *Receiver) Handled(now time.Time, n Serial, bytes int) {
	if LessEq(n, r.handled) {
		return
	}
	if !LessEq(n, r.received) {
		panic(fmt.Sprintf("seqwindow: handled %d: received only %d", n, r.received))
	}
	if r.handled == r.acked {
		r.since = monotime.At(now)
	}
	r.handled = n
	r.bytes += bytes
}

// AckDue returns what can be acknowledged now, and whether that is due. A
// heartbeat carries the serial whether it is due or not.
func (r *Receiver) AckDue(now time.Time) (Serial, bool) {
	at := r.AckDeadline()
	return r.handled, !at.IsZero() && !now.Before(at)
}

// ShouldPiggyback reports whether an acknowledgement should go with a message
// that is written anyway, before it has to go alone: three quarters of one of the
// limits are reached, that of the delay counted from the last acknowledgement, if
// there was one. Where one message answers another, no acknowledgement then has
// to go alone.
func (r *Receiver) ShouldPiggyback(now time.Time) bool {
	last := r.ackedAt
	if last == 0 {
		last = r.since
	}
	return r.handled != r.acked && (r.reaches(3, 4) || !now.Before(last.Time().Add(r.delay()*3/4)))
}

// AckDeadline returns when the next acknowledgement is due. It is zero when
// nothing waits for one, and in the past when enough messages or bytes do.
func (r *Receiver) AckDeadline() time.Time {
	switch {
	case r.handled == r.acked:
		return time.Time{}
	case r.reaches(1, 1):
		return r.since.Time()
	}
	return r.since.Time().Add(max(0, r.delay()))
}

// reaches reports whether so much waits as a part of the limits allows.
func (r *Receiver) reaches(part, of int) bool {
	messages, bytes := DefaultAckMessages, DefaultAckBytes
	if p := r.Policy; p != nil {
		messages, bytes = cmp.Or(p.Messages, messages), cmp.Or(p.Bytes, bytes)
	}
	return of*int(r.handled-r.acked) >= part*messages || of*r.bytes >= part*bytes
}

func (r *Receiver) delay() time.Duration {
	if r.Policy == nil {
		return DefaultAckDelay
	}
	return cmp.Or(r.Policy.Delay, DefaultAckDelay)
}

// Acked notes that an acknowledgement of n went out, by itself or in another
// message. When more has been handled since, that stays as urgent as it was:
// early is allowed, late is not. It panics when n was not handled (I3).
func (r *Receiver) Acked(now time.Time, n Serial) {
	if LessEq(n, r.acked) {
		return
	}
	if !LessEq(n, r.handled) {
		panic(fmt.Sprintf("seqwindow: acknowledged %d: handled only %d", n, r.handled))
	}
	r.acked, r.ackedAt = n, monotime.At(now)
	if n == r.handled {
		r.bytes, r.since = 0, 0
	}
}

package seqwindow

import (
	"errors"
	"fmt"
	"math"
)

const (
	// DefaultMessages and DefaultBytes bound a window whose Limits are zero
	// (WSR_WINDOW_MESSAGES, WSR_WINDOW_BYTES).
	DefaultMessages = 4096
	DefaultBytes    = 1 << 20

	// maxMessages keeps every two serials of a window comparable: RFC 1982
	// orders those that are less than 2^31 apart.
	maxMessages = 1 << 30

	// maxMessage is what a record's length and an int of 32 bits can say.
	// WSR_MAX_MESSAGE is far below it.
	maxMessage = math.MaxInt32 - headerSize
)

// ErrFull means that a window has reached one of its limits. Nothing was lost:
// the caller stops reading until an acknowledgement makes room (I6).
var ErrFull = errors.New("seqwindow: window is full")

// Limits bound a window or a reorder buffer. What is zero or negative takes its
// default. Bytes counts the messages as they were appended. For raw frames that
// is at most 14 more than the payload, so a peer that counts payload plus 16
// (PROTOCOL §5.3) never meets a full window. The 8 bytes that each record adds
// are bounded by Messages, and counted exactly by Pool.
type Limits struct {
	Messages int
	Bytes    int
}

func (l Limits) withDefaults() Limits {
	if l.Messages <= 0 {
		l.Messages = DefaultMessages
	}
	if l.Bytes <= 0 {
		l.Bytes = DefaultBytes
	}
	l.Messages = min(l.Messages, maxMessages)
	return l
}

// Sender is the window of unacknowledged messages of one direction, and the
// queue of those that are still to be written. It knows what the current
// connection has taken, and what the journal has.
//
//	acked <= sent <= highest <= head,  acked <= journaled <= head
//
// A message stays until it is acknowledged (I4); nothing is held while the
// window is empty. Init comes first. Sender is for one owner at a time.
//
// The slices that Pending, PendingMessage and Each show are the window's own
// memory, which goes to other sessions when their message leaves the window.
// Ack cannot take a message that Advance has not passed, so it never pulls
// memory from under a write. Rewind and Reset can: the writes of the old
// connection must have returned before, and Advance must know what they wrote, or an honest peer would seem to claim too much.
type Sender struct {
	pool   *Pool
	limits Limits
	bytes  int

	front        position // first message not acknowledged; all zero while empty
	tail         position // where the next record goes
	cursor       position // what the connection takes next
	journaledEnd position // end of the message journaled

	acked     Serial
	sent      Serial // last message wholly written to this connection
	highest   Serial // last message wholly written to any connection (HighestSent)
	journaled Serial // last message that the journal has
	head      Serial // last message appended
	left      uint32 // bytes of message sent+1 not yet written, when begun
}

// Init makes s an empty window: the next message appended gets acked+1. It must
// not be called on a window that holds messages; Reset comes first.
func (s *Sender) Init(pool *Pool, limits Limits, acked Serial) {
	*s = Sender{pool: pool, limits: limits.withDefaults()}
	s.startAt(acked)
}

// startAt makes seq the last message that is done, in every respect.
func (s *Sender) startAt(seq Serial) {
	s.acked, s.sent, s.highest, s.journaled, s.head = seq, seq, seq, seq, seq
}

// Head returns the last message appended.
func (s *Sender) Head() Serial { return s.head }

// Acked returns the last message acknowledged.
func (s *Sender) Acked() Serial { return s.acked }

// Sent returns the last message wholly written to the current connection.
func (s *Sender) Sent() Serial { return s.sent }

// HighestSent returns the last message that was ever wholly written to a
// connection: a peer that resumes can have no more than that.
func (s *Sender) HighestSent() Serial { return s.highest }

// SentBefore notes that all messages that are held may have been written to a
// connection before the window was filled with them: a former owner had them.
func (s *Sender) SentBefore() { s.highest = s.head }

// Len returns the number of messages held.
func (s *Sender) Len() int { return int(s.head - s.acked) }

// Bytes returns the size of the messages held.
func (s *Sender) Bytes() int { return s.bytes }

// Empty reports whether no message is held.
func (s *Sender) Empty() bool { return s.head == s.acked }

// Fits reports whether the limits allow a message of n bytes now. An empty
// window takes any message: one that is larger than the window would otherwise
// wait for ever (PROTOCOL §5.3, I6).
func (s *Sender) Fits(n int) bool {
	return s.Empty() || s.Len() < s.limits.Messages && n <= s.limits.Bytes-s.bytes
}

// Append copies msg to the end of the window. The stamp is the caller's and
// comes back with the message. On ErrFull or ErrBudget nothing has changed.
// An empty message panics: a frame has at least two bytes.
func (s *Sender) Append(msg []byte, stamp uint32) error {
	return s.AppendV([][]byte{msg}, stamp)
}

// AppendV is Append for a message in parts, such as a header and a payload.
func (s *Sender) AppendV(parts [][]byte, stamp uint32) error {
	return s.appendV(parts, stamp, false)
}

// AppendOver is Append for a message that has come and cannot be refused any
// more: it takes what it needs whatever the budget says. The caller asks for no
// more messages while the budget is used up, so that this is one message at most.
func (s *Sender) AppendOver(msg []byte, stamp uint32) error {
	return s.appendV([][]byte{msg}, stamp, true)
}

func (s *Sender) appendV(parts [][]byte, stamp uint32, over bool) error {
	size := 0
	for _, b := range parts {
		size += len(b)
	}
	if size <= 0 || size > maxMessage {
		panic(fmt.Sprintf("seqwindow: message of %d bytes: want 1 to %d", size, maxMessage))
	}
	if !s.Fits(size) {
		return ErrFull
	}
	if !s.grow(headerSize+size, over) {
		return ErrBudget
	}
	s.tail.writeHeader(size, stamp)
	for _, b := range parts {
		s.tail.write(b)
	}
	s.head++
	s.bytes += size
	return nil
}

// grow provides the chunks for a record of n bytes at the tail, over the budget
// if it may.
func (s *Sender) grow(n int, over bool) bool {
	if s.tail.c != nil {
		if room := chunkData - s.tail.off; room >= headerSize {
			n -= room
		}
		if n <= 0 {
			return true
		}
	}
	get := s.pool.get
	if over {
		get = s.pool.getOver
	}
	list := get((n + chunkData - 1) / chunkData)
	if list == nil {
		return false
	}
	if s.tail.c != nil {
		s.tail.c.next = list
		return true
	}
	start := position{c: list}
	s.front, s.tail, s.cursor, s.journaledEnd = start, start, start, start
	return true
}

// Skip counts n messages that passed without being stored. It panics unless the
// window is empty, since they would overtake what is held.
func (s *Sender) Skip(n int) {
	if !s.Empty() {
		panic(fmt.Sprintf("seqwindow: skip %d: %d messages are held", n, s.Len()))
	}
	s.startAt(Add(s.head, n))
}

// Extend raises the limits, for a session that takes the rest of a stream
// that ends, or adopts what another owner took so. It never lowers them.
func (s *Sender) Extend(messages, bytes int) {
	s.limits.Messages, s.limits.Bytes = max(s.limits.Messages, messages), max(s.limits.Bytes, bytes)
}

// Reset gives everything back to the pool, at the end of a session (I4). What
// was held counts as done; the window could be used again.
func (s *Sender) Reset() {
	s.drop()
	s.startAt(s.head)
}

// drop frees all chunks.
func (s *Sender) drop() {
	s.pool.putUntil(s.front.c, nil)
	s.front, s.tail, s.cursor, s.journaledEnd = position{}, position{}, position{}, position{}
	s.bytes, s.left = 0, 0
}

package seqwindow

import (
	"errors"
	"fmt"
)

var (
	// ErrBeyond means that the peer claims a message that was never sent to it
	// (PROTOCOL §4.3, §8.2). It is the peer's fault.
	ErrBeyond = errors.New("beyond what was sent")

	// ErrLost means that the peer lacks a message that it, or its predecessor,
	// has acknowledged: the message is gone and the session cannot be resumed
	// (PROTOCOL §8.2).
	ErrLost = errors.New("messages before the window are gone")
)

// Ack takes a cumulative acknowledgement from the current connection and
// returns how many messages left the window. One that repeats or goes backwards
// is ignored. One beyond Sent is ErrBeyond, and nothing leaves the window.
func (s *Sender) Ack(n Serial) (freed int, err error) {
	if LessEq(n, s.acked) {
		return 0, nil
	}
	if !LessEq(n, s.sent) {
		return 0, fmt.Errorf("seqwindow: ack %d, sent %d: %w", n, s.sent, ErrBeyond)
	}
	freed = int(n - s.acked)
	s.release(n)
	return freed, nil
}

// Rewind starts a new connection whose peer has everything up to received: that
// is acknowledged, and received+1 is sent next. It is ErrLost when received is
// before Acked, and ErrBeyond when no connection was ever given that much; then
// nothing has changed.
func (s *Sender) Rewind(received Serial) error {
	if !LessEq(s.acked, received) {
		return fmt.Errorf("seqwindow: resume after %d, acknowledged %d: %w", received, s.acked, ErrLost)
	}
	if !LessEq(received, s.highest) {
		return fmt.Errorf("seqwindow: resume after %d, sent %d: %w", received, s.highest, ErrBeyond)
	}
	s.release(received)
	s.sent, s.cursor, s.left = s.acked, s.front, 0
	return nil
}

// release lets go of all messages up to n, which is in the window or just
// before it.
func (s *Sender) release(n Serial) {
	if n == s.head {
		s.drop()
		s.acked, s.sent, s.journaled = n, n, n
		return
	}
	first := s.front.c
	for s.acked != n {
		size, _ := s.front.readHeader()
		s.front.skip(size)
		s.bytes -= size
		s.acked++
	}
	// A message follows, so begin finds it. It also leaves a chunk of which
	// everything is acknowledged, so that the chunk is freed now.
	s.front.begin()
	s.pool.putUntil(first, s.front.c)
	s.follow()
}

// follow moves the cursor and the end of what is journaled to the front when the front has passed
// or reached them, since the chunk they stood in may be gone. A cursor inside
// message acked+1 stays: that message is held.
func (s *Sender) follow() {
	if Less(s.sent, s.acked) || s.sent == s.acked && s.left == 0 {
		s.sent, s.cursor, s.left = s.acked, s.front, 0
	}
	if LessEq(s.journaled, s.acked) {
		s.journaled, s.journaledEnd = s.acked, s.front
	}
}

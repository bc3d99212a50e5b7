// Package transport is sockets and nothing else: it reads them into a Sink and
// takes bytes for them, without ever making its caller wait. What the bytes
// mean it does not know.
//
// Open picks one of three kinds: on Linux an event loop that many TCP and Unix
// sockets share (epoll_linux.go, loop_linux.go), or a goroutine for each of
// them (netpoll_linux.go); and two goroutines for any other net.Conn, such as
// TLS (buffered.go). One contract test judges all three.
package transport

import (
	"net"
	"sync"
	"time"
)

// A Conn is one socket behind a push seam: it calls its Sink when something
// happens, and takes bytes without ever making the caller wait.
//
// The methods are called by one owner at a time, who holds the lock that the
// sink takes. After Finish or Abort, either of which may come before Start, the
// sink is not called any more, except by a call that already waits for that
// lock.
type Conn interface {
	// Start begins to read. early are bytes that were read before.
	Start(early []byte)
	// Write takes as much of parts as fits without waiting and returns how
	// many bytes that was. After less than all, Writable is called once there
	// is room, and now and then when there is none. It keeps no reference to
	// parts. A broken socket takes nothing and reports it by Gone, which comes
	// once; what breaks after a FIN is not reported. What the peer had said
	// before comes first, also if a pause holds it.
	Write(parts [][]byte) int
	// Broken reports whether a write has failed. Gone follows.
	Broken() bool
	// Pause stops or resumes reading. Bytes that the sink did not use are
	// offered again on resuming.
	Pause(bool)
	// Shut sends FIN behind what was written; reading goes on.
	Shut()
	// Finish sends FIN, discards what still comes until the peer has ended
	// too or linger says that it is enough, and closes the socket. Closing at
	// once could reset the connection before the peer has read a close frame,
	// and all that is before it.
	Finish()
	// Abort closes the socket at once.
	Abort()
	// Progress returns how far the peer's TCP is with what was written. ok is
	// false where that cannot be told: a socket that is not TCP, another system
	// than Linux.
	Progress() (p Progress, ok bool)
}

// Progress is what the peer's TCP says of the bytes that it was sent. It says
// nothing about whether the peer's program has read them.
type Progress struct {
	Acked      uint64        // bytes that it has acknowledged since the connection began
	Lacking    bool          // it has not acknowledged all
	Quiet      time.Duration // since its last acknowledgement
	Unanswered int           // retransmissions or probes in a row that it did not answer
}

// A Sink is where a Conn's events go. Calls come from the transport's own
// goroutines, never from within a method of the Conn, and Bytes and Gone never
// at the same time.
type Sink interface {
	// Bytes offers bytes; used of them are done with. The rest is offered
	// again with more behind it.
	Bytes(p []byte) (used int)
	// Writable follows a Write that took less than all.
	Writable()
	// Gone says that no more bytes come. broken tells a reset or a failure
	// from a FIN.
	Gone(broken bool)
}

// A RoundSink is a Sink that can wait with what it writes. An event loop which has
// many sockets ready gives it the bytes with BytesInRound.
type RoundSink interface {
	Sink
	// BytesInRound is Bytes in a Round, which takes a write of the sink's: see
	// Round.Write. It does not wait for the sink's lock: ok is false when that is not
	// free, and the bytes are offered again.
	BytesInRound(p []byte, r *Round) (used int, ok bool)
}

// A Waiter waits for a write that a Round has taken. Wrote says how many bytes of it
// the socket took, as Conn.Write does.
type Waiter interface{ Wrote(n int) }

// Discard is a Sink that takes all bytes and does nothing with them.
type Discard struct{}

// Bytes implements Sink.
func (Discard) Bytes(p []byte) int { return len(p) }

// Writable implements Sink.
func (Discard) Writable() {}

// Gone implements Sink.
func (Discard) Gone(bool) {}

// How long Finish waits for a peer, which may be slow to take what it was sent.
const (
	lingerClose   = 2 * time.Second // once it has all, and between two looks
	lingerStalled = time.Minute     // while it takes nothing more, if Sockets.Stalled is zero

	// lastWordsWait is how long what a peer said, before a write to it failed,
	// waits for an owner that does not read on. One that takes some of it has as
	// long again.
	lastWordsWait = time.Minute

	// lingerUnanswered is how often in a row a peer's TCP does not answer until
	// nobody lingers for it.
	lingerUnanswered = 3
)

// A linger decides how long Finish waits. The zero value begins.
type linger struct {
	acked uint64
	until time.Time // when it is over unless something moves
}

// over reports whether at now, some lingerClose after the last look, the wait
// for a peer is over; stalled is how long one is waited for that takes nothing more.
func (l *linger) over(now time.Time, p Progress, ok bool, stalled time.Duration) bool {
	if !ok || !p.Lacking || p.Unanswered >= lingerUnanswered {
		return true
	}
	if l.until.IsZero() || p.Acked != l.acked {
		l.acked, l.until = p.Acked, now.Add(stalled)
	}
	return !now.Before(l.until)
}

// Sockets opens transports that share read buffers and event loops. The zero
// value is ready, and picks the best kind for each connection. It is safe for
// concurrent use, and must not be copied after its first use.
type Sockets struct {
	// These are set before the first Open.
	Driver Driver      // how sockets are read; empty: DriverAuto
	Scarce func() bool // whether memory is scarce, so that little is read at once; nil: never
	// Stalled is how long Finish waits for a peer that takes nothing more of what
	// it was sent. Zero: 1m.
	Stalled time.Duration

	// Refused is told, with the loops' lock held, why one of them has no rounds though
	// DriverAIO works; nil: nobody is.
	Refused func(error)

	prepare sync.Once
	chosen  Driver
	why     error // it is not DriverAIO
	buffers bufferPool
	loops   loops
}

// Choose returns how plain sockets are read: DriverAIO, DriverEpoll or
// DriverGoroutine. The error is why it is not DriverAIO, if that was asked for, by
// DriverAuto too.
func (s *Sockets) Choose() (Driver, error) {
	s.prepare.Do(func() {
		s.buffers.scarce, s.buffers.stalled = s.Scarce, s.Stalled
		s.chosen, s.why = s.loops.choose(s.Driver, s.Refused)
	})
	return s.chosen, s.why
}

// Busy returns how busy the busiest event loop was just now, from 0 to 1. Without
// loops it is 0.
func (s *Sockets) Busy() float64 { return float64(s.loops.busiest()) / 100 }

// Open takes a connection over; what it returns is the only way to it from now
// on. Sockets that are opened with the same affinity are read by the same event
// loop, so that bytes go from one to the other without a change of thread; own
// is memory for the kind of transport that idle connections mostly have. Either
// may be nil. Both must stay where they are while the Conn lives, and neither
// is given to two calls of Open at once.
func (s *Sockets) Open(conn net.Conn, sink Sink, at *Affinity, own *Memory) Conn {
	if chosen, _ := s.Choose(); chosen != DriverGoroutine {
		if t := openEpoll(conn, sink, s, at, own); t != nil {
			return t
		}
	}
	if t := newNetpollConn(conn, sink, &s.buffers); t != nil {
		return t
	}
	return newBufferedConn(conn, sink, &s.buffers)
}

// Close ends the event loops, and closes the sockets that are left on them. It
// returns when that is done. Connections that are opened later have goroutines.
func (s *Sockets) Close() { s.loops.close() }

// CloseWrite sends FIN on a connection that can be closed by halves, and closes
// any other.
func CloseWrite(conn net.Conn) error {
	if c, ok := conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return conn.Close()
}

// Abort closes a connection so that the other side takes it for broken. One by TLS
// is closed below it, where nothing says that what came was all.
func Abort(conn net.Conn) {
	if c, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = c.NetConn()
	}
	if c, ok := conn.(interface{ SetLinger(int) error }); ok {
		_ = c.SetLinger(0)
	}
	conn.Close()
}

func size(parts [][]byte) (n int) {
	for _, p := range parts {
		n += len(p)
	}
	return n
}

package transport

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// reader is the half of a transport that both kinds share: one goroutine that
// reads, feeds the sink, and waits while it is paused.
type reader struct {
	conn   net.Conn
	sink   Sink
	in     inbox
	began  bool // Start was called; the owner's
	state  atomic.Int32
	ended  atomic.Bool // the loop makes no calls any more, or is in its last call
	paused atomic.Bool
	refeed atomic.Bool // reading was resumed: what is left is offered again
	linger linger      // of Finish; the loop's

	progress func() (Progress, bool) // of the transport
	wake     chan struct{}           // one token: state or paused has changed
}

// States of a reader. It starts open.
const (
	readOpen     int32 = iota
	readFailed         // a write failed: tell Gone, behind what there is to read
	readDiscards       // Finish: read to the end, feed nothing
	readClosed         // Abort
)

func (r *reader) init(conn net.Conn, s Sink, b *bufferPool, progress func() (Progress, bool)) {
	r.conn, r.sink, r.in.pool, r.progress = conn, s, b, progress
	r.wake = make(chan struct{}, 1)
}

// loop reads until the end. read reads once into the inbox; it may wait.
func (r *reader) loop(early []byte, read func() error) {
	defer r.in.drop()
	r.in.keep(early)
	r.in.feed(r.sink)
	for {
		if !r.waitPaused() {
			r.gone(true)
			return
		}
		if r.refeed.Swap(false) && r.feeds() {
			r.in.feed(r.sink)
			continue
		}
		err := read()
		switch r.state.Load() {
		case readOpen:
			if err == nil {
				r.in.feed(r.sink)
				continue
			}
			r.gone(!errors.Is(err, io.EOF))
			return
		case readFailed:
			if r.readLast(err, read) {
				return
			}
			continue
		case readDiscards:
			if r.in.drop(); err == nil || r.lingers(err) {
				continue
			}
		}
		r.conn.Close()
		return
	}
}

// readLast reads what the peer had said before a write failed, and tells the end
// then. The peer's own end is behind it; err is that of the read that has just
// returned. It reports whether it told: the owner may have finished before, or
// reading is to wait for it.
func (r *reader) readLast(err error, read func() error) (told bool) {
	for err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		r.in.feed(r.sink)
		if r.state.Load() != readFailed || r.paused.Load() {
			return false
		}
		began := time.Now()
		_ = r.conn.SetReadDeadline(began.Add(lastRead))
		err = read()
		if errors.Is(err, os.ErrDeadlineExceeded) && time.Since(began) < 2*lastRead {
			break // else this process did not run meanwhile
		}
	}
	if r.state.Load() != readFailed {
		return false
	}
	r.gone(true)
	return true
}

// lastRead is how long a read may take of what has come already.
const lastRead = 100 * time.Millisecond

// feeds reports whether the sink is to hear of bytes.
func (r *reader) feeds() bool {
	state := r.state.Load()
	return state == readOpen || state == readFailed
}

// gone is the loop's last call. The sink decides when the socket is closed,
// since it may still want to write.
func (r *reader) gone(broken bool) {
	r.ended.Store(true)
	r.sink.Gone(broken)
}

// waitPaused waits while the owner does not read. It reports whether reading goes
// on: what a broken connection left waits for lastWordsWait.
func (r *reader) waitPaused() bool {
	for r.paused.Load() && r.feeds() {
		r.in.shrink()
		if r.state.Load() == readOpen {
			<-r.wake
			continue
		}
		wait := time.NewTimer(lastWordsWait)
		select {
		case <-r.wake:
			wait.Stop()
		case <-wait.C:
			if r.paused.Load() && r.state.Load() == readFailed {
				return false
			}
		}
	}
	return true
}

func (r *reader) nudge() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Pause implements Conn. The order of the two stores lets the loop see
// refeed whenever it has seen the end of a pause.
func (r *reader) Pause(on bool) {
	if r.paused.Load() == on {
		return
	}
	if !on {
		r.refeed.Store(true)
	}
	r.paused.Store(on)
	if !on {
		r.nudge()
	}
}

// fail makes the reader report Gone: a write has failed.
func (r *reader) fail() {
	if r.state.CompareAndSwap(readOpen, readFailed) {
		r.nudge()
		_ = r.conn.SetReadDeadline(past)
	}
}

// Broken implements Conn.
func (r *reader) Broken() bool { return r.state.Load() == readFailed }

// past is a deadline that ends a waiting read.
var past = time.Unix(1, 0)

// discard turns the loop to discarding, and to closing when linger says so,
// unless it has ended: then the caller has to close the socket.
func (r *reader) discard() (ended bool) {
	r.state.Store(readDiscards)
	_ = r.conn.SetReadDeadline(time.Now().Add(lingerClose))
	r.nudge()
	return r.ended.Load()
}

// lingers reports whether a read that failed with err while discarding only shows
// that it is time to look, and reading goes on.
func (r *reader) lingers(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	p, ok := r.progress()
	now := time.Now()
	if r.linger.over(now, p, ok, r.in.pool.patience()) {
		return false
	}
	_ = r.conn.SetWriteDeadline(now.Add(2 * lingerClose)) // of what is still to be written
	return r.conn.SetReadDeadline(now.Add(lingerClose)) == nil
}

// Abort implements Conn.
func (r *reader) Abort() {
	r.state.Store(readClosed)
	Abort(r.conn) // TLS would first write an alert, and wait for room
	r.nudge()
}

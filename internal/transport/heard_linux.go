package transport

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/wsresilience/wsresilience/internal/monotime"
)

// heard is up to when a loop knows what has come: all that lay in its sockets by
// then was read. The kernel tells of sockets in the order in which something came,
// and of each once, so that a list which is not full has all of them, and as many
// events as there are descriptors have all that were ready when they began.
type heard struct {
	until atomic.Int64 // monotime.Time

	// Of the loop's goroutine.
	polled monotime.Time // from before the events of this round were asked for
	mark   monotime.Time // when full lists began; 0: the last was not full
	left   int           // events until all are read that were ready then
}

// nothing notes that the loop asked after polled, and nothing was ready.
func (h *heard) nothing() {
	h.until.Store(int64(h.polled))
	h.mark = 0
}

// read notes that n events of a round were acted upon, of at most so many; there
// are that many descriptors at most.
func (h *heard) read(n, most, descriptors int) {
	switch {
	case n < most:
		h.until.Store(int64(h.polled))
		h.mark = 0
		return
	case h.mark == 0:
		h.mark, h.left = h.polled, descriptors
	}
	if h.left -= n; h.left <= 0 {
		h.until.Store(int64(h.mark))
		h.mark = 0
	}
}

// heardUntil returns up to when the loop knows what has come. One that sleeps has
// read all there is, unless it is about to be woken. It is safe for concurrent use.
func (l *loop) heardUntil() monotime.Time {
	if l.asleep.Load() {
		now := monotime.Now()
		events := []unix.PollFd{{Fd: int32(l.poll), Events: unix.POLLIN}}
		if n, err := unix.Poll(events, 0); err == nil && n == 0 {
			return now
		}
	}
	return monotime.Time(l.heard.until.Load())
}

// maxUnheard bounds for how long a loop is believed to be behind.
const maxUnheard = 2 * time.Second

// Heard returns up to when all that came on the sockets of a has been read, at most
// 2 s before now. What came later may still lie in a socket. It is safe for
// concurrent use.
func (a *Affinity) Heard(now monotime.Time) monotime.Time {
	l := a.loop.Load()
	if l == nil {
		return now // each socket has a goroutine
	}
	return min(now, max(l.heardUntil(), now.Add(-maxUnheard)))
}

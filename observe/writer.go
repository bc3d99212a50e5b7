package observe

import (
	"errors"
	"io"
	"sync"
	"time"
)

// Implementation limits.
const (
	// logBuffer is what waits for a slow reader of the log: some thousand
	// lines, more than a burst of reconnects writes in a second.
	logBuffer = 1 << 20

	// flushWait bounds how long Close waits for a reader that takes nothing.
	flushWait = 2 * time.Second
)

// ErrLogStuck means that Close gave up on lines that are not read.
var ErrLogStuck = errors.New("observe: log output is stuck, its last lines are lost")

// A Writer passes lines on to a slower one without ever blocking: when a
// reader of standard error stops reading, lines are dropped and counted
// instead of sessions stopping. It is safe for concurrent use.
type Writer struct {
	out  io.Writer
	wake chan struct{} // holds one token while pending may not be empty
	done chan struct{} // closed when everything was written

	mu      sync.Mutex
	pending []byte // whole lines
	spare   []byte // the other buffer, while none is being written
	dropped uint64
	closed  bool
}

// NewWriter starts passing lines on to out.
func NewWriter(out io.Writer) *Writer {
	w := &Writer{out: out, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go w.run()
	return w
}

// Write takes one or more whole lines, or drops all of them. It never fails:
// a logger could not tell anybody.
func (w *Writer) Write(lines []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || len(w.pending)+len(lines) > logBuffer {
		w.dropped++
		return len(lines), nil
	}
	w.pending = append(w.pending, lines...)
	w.signal()
	return len(lines), nil
}

// signal wakes run, under mu.
func (w *Writer) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Dropped returns how many writes were dropped.
func (w *Writer) Dropped() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dropped
}

// Close writes what waits and stops. It waits a moment for a slow reader and
// then gives up, since a process must be able to end. Writes after it are
// dropped.
func (w *Writer) Close() error {
	w.mu.Lock()
	w.closed = true
	w.signal()
	w.mu.Unlock()
	select {
	case <-w.done:
		return nil
	case <-time.After(flushWait):
		return ErrLogStuck
	}
}

// run writes until Close and everything before it is out.
func (w *Writer) run() {
	defer close(w.done)
	for range w.wake {
		lines, closed := w.take()
		if len(lines) > 0 {
			_, _ = w.out.Write(lines) // there is nowhere to tell
		}
		w.mu.Lock()
		w.spare = lines[:0]
		w.mu.Unlock()
		if closed {
			return
		}
	}
}

// take swaps the buffers. Once it says closed, nothing is ever added.
func (w *Writer) take() (lines []byte, closed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	lines, w.pending = w.pending, w.spare
	return lines, w.closed
}

package transport

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// bufferedConn is the transport of any net.Conn: TLS, pipes in tests, other
// systems. Its write would wait, so a second goroutine writes from a buffer.
type bufferedConn struct {
	reader

	mu      sync.Mutex
	some    sync.Cond // something of what follows has changed
	out     []byte    // to be written next
	spare   []byte    // the other of two buffers
	writing bool      // some of it is being written
	short   bool      // Writable is owed
	shut    bool      // FIN follows out
	aborted bool
	written bool // the writer has ended
}

// writeSize bounds what a bufferedConn takes before the socket has. It is
// small, since for a slow peer it stands beside the window.
const writeSize = 32 << 10

func newBufferedConn(conn net.Conn, s Sink, b *bufferPool) *bufferedConn {
	t := new(bufferedConn)
	t.reader.init(conn, s, b, t.Progress)
	t.some.L = &t.mu
	return t
}

// Start implements Conn.
func (t *bufferedConn) Start(early []byte) {
	t.began = true
	go t.loop(early, t.read)
	go t.writeLoop()
}

func (t *bufferedConn) read() error {
	n, err := t.conn.Read(t.in.space())
	t.in.fill(n)
	if n > 0 && err == io.EOF {
		err = nil // it comes again
	}
	if err != nil && t.state.Load() == readDiscards && !errors.Is(err, os.ErrDeadlineExceeded) {
		t.waitWritten() // else closing would cut the last frames
	}
	return err
}

func (t *bufferedConn) waitWritten() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for !t.written {
		t.some.Wait()
	}
}

// Write implements Conn.
func (t *bufferedConn) Write(parts [][]byte) (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.written {
		return 0
	}
	for _, p := range parts {
		k := min(len(p), writeSize-len(t.out))
		t.out = append(t.out, p[:k]...)
		n += k
		if k < len(p) {
			t.short = true
			break
		}
	}
	t.some.Broadcast()
	return n
}

// writeLoop writes until the transport is shut or broken.
func (t *bufferedConn) writeLoop() {
	defer t.endWriting()
	for {
		b, ok := t.next()
		if !ok {
			return
		}
		if len(b) == 0 {
			_ = CloseWrite(t.conn) // without the lock: TLS waits for room
			return
		}
		if _, err := t.conn.Write(b); err != nil {
			t.failWriting()
			return
		}
		if t.wrote(b) {
			t.sink.Writable()
		}
	}
}

// failWriting reports a write that failed. An owner that waits for room hears that
// there is nothing to wait for.
func (t *bufferedConn) failWriting() {
	t.mu.Lock()
	t.written, t.out, t.spare = true, nil, nil
	writable := t.short && t.state.Load() == readOpen
	t.short = false
	t.mu.Unlock()
	t.fail()
	if writable {
		t.sink.Writable()
	}
}

// endWriting lets the socket be closed, and closes it if the reader, which
// does so otherwise, ended before Finish.
func (t *bufferedConn) endWriting() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.written = true
	t.some.Broadcast()
	if t.state.Load() == readDiscards && t.ended.Load() {
		t.conn.Close()
	}
}

// next waits for bytes to write. There are none when none will come.
func (t *bufferedConn) next() (b []byte, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.out) == 0 && !t.shut && !t.aborted {
		t.some.Wait()
	}
	if t.aborted {
		return nil, false
	}
	b, t.out, t.spare = t.out, t.spare, nil
	t.writing = true
	return b, true
}

// wrote takes the buffer back, unless an idle socket would hold it, and reports
// whether the sink waits for room.
func (t *bufferedConn) wrote(b []byte) (writable bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if cap(b) <= 1024 || len(t.out) > 0 {
		t.spare = b[:0]
	}
	t.writing = false
	writable = t.short && t.state.Load() == readOpen
	t.short = false
	return writable
}

// Progress implements Conn.
func (t *bufferedConn) Progress() (Progress, bool) {
	p, ok := connProgress(t.conn)
	t.mu.Lock()
	defer t.mu.Unlock()
	p.Lacking = p.Lacking || !t.written && (len(t.out) > 0 || t.writing)
	return p, ok
}

// Shut implements Conn.
func (t *bufferedConn) Shut() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.shut = true
	t.some.Broadcast()
}

// Finish implements Conn.
func (t *bufferedConn) Finish() {
	t.mu.Lock()
	defer t.mu.Unlock()
	// A peer that reads nothing would keep the writer, and so the socket. Who
	// lingers for it puts this off, in time.
	_ = t.conn.SetWriteDeadline(time.Now().Add(2 * lingerClose))
	t.shut = true
	t.some.Broadcast()
	if t.discard() && t.written {
		t.conn.Close()
	}
	if !t.began {
		t.Start(nil)
	}
}

// Abort implements Conn.
func (t *bufferedConn) Abort() {
	t.mu.Lock()
	t.aborted = true
	t.some.Broadcast()
	t.mu.Unlock()
	t.reader.Abort()
}

package transport

import (
	"io"
	"net"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// netpollConn is the transport of a socket that the runtime polls: TCP and Unix.
// A write is one system call on the caller's thread that never waits, and a
// reader that waits holds no buffer.
type netpollConn struct {
	reader
	raw   syscall.RawConn
	awake atomic.Bool // a goroutine waits for room

	// Arguments and results of the functions below. They are bound once, so
	// that no call allocates. Reading and writing have their own.
	readFn  func(fd uintptr) bool
	readErr error
	writeFn func(fd uintptr) bool
	parts   [][]byte
	wrote   int
	failed  error
}

func newNetpollConn(conn net.Conn, s Sink, b *bufferPool) Conn {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	t := &netpollConn{raw: raw}
	t.reader.init(conn, s, b, t.Progress)
	t.readFn, t.writeFn = t.readOnce, t.writeOnce
	return t
}

// Start implements Conn.
func (t *netpollConn) Start(early []byte) {
	t.began = true
	go t.loop(early, t.read)
}

func (t *netpollConn) read() error {
	if err := t.raw.Read(t.readFn); err != nil {
		return err
	}
	return t.readErr
}

// readOnce tries one read. While there is nothing, it gives the buffer back
// before the runtime waits.
func (t *netpollConn) readOnce(fd uintptr) bool {
	n, errno := readSocket(int(fd), t.in.space())
	if errno == unix.EAGAIN {
		t.in.shrink()
		return false
	}
	switch {
	case errno != 0:
		t.readErr = errno
	case n == 0:
		t.readErr = io.EOF
	default:
		t.readErr = nil
	}
	t.in.fill(n)
	return true
}

// Write implements Conn.
func (t *netpollConn) Write(parts [][]byte) int {
	t.parts, t.wrote, t.failed = parts, 0, nil
	err := t.raw.Write(t.writeFn)
	t.parts = nil
	if err != nil || t.failed != nil {
		t.fail()
		return t.wrote
	}
	if t.wrote < size(parts) && t.awake.CompareAndSwap(false, true) {
		go t.waitRoom()
	}
	return t.wrote
}

// writeOnce writes until all is taken or the socket is full.
func (t *netpollConn) writeOnce(fd uintptr) bool {
	for rest := t.parts; len(rest) > 0; {
		batch := rest[:min(maxBatch, len(rest))]
		rest = rest[len(batch):]
		n, errno := writeSocket(int(fd), batch)
		t.wrote += n
		if errno != 0 && errno != unix.EAGAIN {
			t.failed = errno
		}
		if n < size(batch) {
			break
		}
	}
	return true
}

// waitRoom waits until the socket takes bytes again. The poll closes the gap
// between the failed write and the runtime's waiting for an edge.
func (t *netpollConn) waitRoom() {
	err := t.raw.Write(func(fd uintptr) bool {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
		n, err := unix.Poll(p, 0)
		return err == nil && n > 0
	})
	t.awake.Store(false)
	if err == nil && t.state.Load() == readOpen {
		t.sink.Writable()
	}
}

// Progress implements Conn.
func (t *netpollConn) Progress() (Progress, bool) { return connProgress(t.conn) }

// Shut implements Conn.
func (t *netpollConn) Shut() { _ = CloseWrite(t.conn) }

// Finish implements Conn.
func (t *netpollConn) Finish() {
	t.Shut()
	if t.discard() {
		t.conn.Close()
	}
	if !t.began {
		t.Start(nil) // to discard
	}
}

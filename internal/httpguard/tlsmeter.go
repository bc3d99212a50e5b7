package httpguard

import (
	"container/list"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/wsresilience/wsresilience/internal/clientaddr"
)

// A tlsMeter is the connection below TLS.
type tlsMeter struct {
	net.Conn
	room   *tlsRoom
	source netip.Addr // the zero Addr: it has none

	computing atomic.Pointer[computing] // nil: it has none of the room's turns
	answered  atomic.Bool               // something was written
	begun     atomic.Bool               // something came out; set under mu

	mu          sync.Mutex
	buffer      int64 // the largest into which was read: TLS keeps it
	undelivered int64 // read since something came out
	closed      bool
	charged     int64
	waits       *waiter // for a turn to compute; nil: it does not
	waitsIn     *turns

	turn *list.Element // among those that wait; the room's
	held int64         // the room's
}

// Read implements net.Conn. What a handshake computes, it does between two reads.
func (m *tlsMeter) Read(p []byte) (n int, err error) {
	m.rest()
	n, err = m.Conn.Read(p[:min(len(p), maxTLSRead)])
	if n > 0 && !m.begun.Load() && !m.compute() {
		return 0, errLate
	}
	if !m.read(int64(n), int64(len(p))) {
		if m.room.Refused != nil {
			m.room.Refused()
		}
		return 0, errUndelivered
	}
	return n, err
}

// Write implements net.Conn.
func (m *tlsMeter) Write(p []byte) (int, error) {
	m.rest() // it may wait
	if !m.begun.Load() {
		m.answered.Store(true)
	}
	return m.Conn.Write(p)
}

// A computing is a turn of a handshake.
type computing struct {
	of    *turns
	since time.Time
}

// compute waits until the handshake may compute, and reports whether it may.
func (m *tlsMeter) compute() bool {
	of, source := &m.room.others, clientaddr.Network(m.source)
	if m.room.Known != nil && m.room.Known(m.source) {
		of, source = &m.room.known, m.source
	}
	ok := of.take(source, m.answered.Load(), func(w *waiter) {
		m.mu.Lock()
		m.waits, m.waitsIn = w, of
		closed := m.closed
		m.mu.Unlock()
		if closed {
			of.leave(w)
		}
	})
	m.mu.Lock()
	m.waits = nil
	closed := m.closed
	m.mu.Unlock()
	switch {
	case ok && closed:
		of.give(0)
	case ok:
		m.computing.Store(&computing{of, time.Now()})
		return true
	case !closed && m.room.Late != nil:
		m.room.Late()
	}
	return false
}

// rest lets another handshake compute.
func (m *tlsMeter) rest() {
	if c := m.computing.Swap(nil); c != nil {
		c.of.give(time.Since(c.since))
	}
}

// read counts, and reports whether the connection may go on.
func (m *tlsMeter) read(n, room int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.buffer, m.undelivered = max(m.buffer, room), m.undelivered+n
	switch {
	case m.closed:
		return true // what is read says so
	case m.undelivered > maxUndelivered:
		return false
	case m.begun.Load():
		m.chargeLocked(m.buffer)
		return true
	}
	// A buffer of TLS grows to twice of what is in it.
	return m.room.hold(m, m.buffer+2*m.undelivered-freeHandshake)
}

// delivered notes that something came out of TLS.
func (m *tlsMeter) delivered() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.undelivered = 0
	if m.begun.Load() || m.closed {
		return
	}
	m.begun.Store(true)
	m.room.release(m)
	m.chargeLocked(m.buffer)
}

func (m *tlsMeter) chargeLocked(n int64) {
	if n != m.charged {
		m.room.Memory.Charge(n - m.charged)
		m.charged = n
	}
}

// Close implements net.Conn.
func (m *tlsMeter) Close() error {
	m.mu.Lock()
	m.closed = true
	m.room.release(m)
	m.chargeLocked(0)
	waits, in := m.waits, m.waitsIn
	m.mu.Unlock()
	if waits != nil {
		in.leave(waits)
	}
	return m.Conn.Close()
}

// SyscallConn implements syscall.Conn.
func (m *tlsMeter) SyscallConn() (syscall.RawConn, error) {
	if c, ok := m.Conn.(syscall.Conn); ok {
		return c.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

// SetLinger is net.TCPConn's.
func (m *tlsMeter) SetLinger(sec int) error {
	if c, ok := m.Conn.(interface{ SetLinger(int) error }); ok {
		return c.SetLinger(sec)
	}
	return errors.ErrUnsupported
}

// makeWay ends a connection from outside: whoever reads it learns so.
func (m *tlsMeter) makeWay() {
	if m.room.Refused != nil {
		m.room.Refused()
	}
	_ = m.SetLinger(0) // where it cannot be set, closing takes longer
	_ = m.Close()
}

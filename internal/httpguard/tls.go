package httpguard

import (
	"container/list"
	"crypto/tls"
	"errors"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/wsresilience/wsresilience/internal/budget"
)

// What TLS keeps of what a client sent is out of our sight: a record until it has
// come whole, and messages of a handshake, of which the first may claim 64 KiB and
// a later one 256. What can be seen is below it, how much it reads and into how
// large a buffer, and above it, that something comes out.

// Implementation limits of a connection with TLS.
const (
	// maxUndelivered is what is read without anything coming out: a handshake, of
	// some kilobytes also with certificates of both sides, a record of 16 KiB behind
	// it, and what is read beyond that.
	maxUndelivered = 64 << 10

	// maxTLSRead is what is read at once, since TLS may offer all of a buffer that
	// has grown.
	maxTLSRead = 16 << 10

	// freeHandshake is what a handshake may keep whatever the memory: most have
	// less.
	freeHandshake = 12 << 10

	// handshakeShare is the part of the budget for what handshakes keep beyond.
	handshakeShare = 8

	// handshakeLeast is what each may take in any case, before it makes way.
	handshakeLeast = 250 * time.Millisecond
)

// errUndelivered ends a connection whose client sends and says nothing.
var errUndelivered = errors.New("httpguard: TLS refused: too much without a message, or no memory for it")

// TLS wraps l as tls.NewListener does. What TLS keeps of what a client sent counts
// against memory; what handshakes keep is bounded, and those that take longest make
// way for others. refused, which may be nil, is called for each that has to go.
func TLS(l net.Listener, config *tls.Config, memory *budget.Budget, refused func()) net.Listener {
	t := &tlsListener{Listener: l, config: config}
	t.room.memory, t.room.refused = memory, refused
	t.room.computing = make(chan struct{}, max(runtime.GOMAXPROCS(0)-1, 1))
	return t
}

type tlsListener struct {
	net.Listener
	config *tls.Config
	room   tlsRoom
}

// Accept implements net.Listener.
func (l *tlsListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	m := &tlsMeter{Conn: c, room: &l.room}
	return &tlsConn{tls.Server(m, l.config), m}, nil
}

// A tlsConn tells the meter below what comes out of TLS.
type tlsConn struct {
	*tls.Conn
	meter *tlsMeter
}

// Read implements net.Conn.
func (c *tlsConn) Read(p []byte) (n int, err error) {
	n, err = c.Conn.Read(p)
	c.meter.rest()
	if n > 0 {
		c.meter.delivered()
	}
	return n, err
}

// A tlsMeter is the connection below TLS.
type tlsMeter struct {
	net.Conn
	room *tlsRoom

	computing atomic.Bool // it has one of the room's turns to compute
	begun     atomic.Bool // something came out; set under mu

	mu          sync.Mutex
	buffer      int64 // the largest into which was read: TLS keeps it
	undelivered int64 // read since something came out
	closed      bool
	charged     int64

	turn *list.Element // among those that wait; the room's
	held int64         // the room's
}

// Read implements net.Conn. What a handshake computes, it does between two reads.
func (m *tlsMeter) Read(p []byte) (n int, err error) {
	m.rest()
	n, err = m.Conn.Read(p[:min(len(p), maxTLSRead)])
	if !m.begun.Load() {
		m.room.computing <- struct{}{}
		m.computing.Store(true)
	}
	if !m.read(int64(n), int64(len(p))) {
		if m.room.refused != nil {
			m.room.refused()
		}
		return 0, errUndelivered
	}
	return n, err
}

// Write implements net.Conn.
func (m *tlsMeter) Write(p []byte) (int, error) {
	m.rest() // it may wait
	return m.Conn.Write(p)
}

// rest lets another handshake compute.
func (m *tlsMeter) rest() {
	if m.computing.CompareAndSwap(true, false) {
		<-m.room.computing
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
		m.room.memory.Charge(n - m.charged)
		m.charged = n
	}
}

// Close implements net.Conn.
func (m *tlsMeter) Close() error {
	m.mu.Lock()
	m.closed = true
	m.room.release(m)
	m.chargeLocked(0)
	m.mu.Unlock()
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

// A tlsRoom is what handshakes keep beyond what is free to each, and how many
// compute at once: a handshake takes a thousand times as long as a message, and
// sessions that live are to have a processor meanwhile.
type tlsRoom struct {
	memory    *budget.Budget
	refused   func()
	computing chan struct{} // has one element for each that does

	mu    sync.Mutex
	used  int64
	turns list.List // of *tlsTurn, the first has been there longest
}

type tlsTurn struct {
	m     *tlsMeter
	since time.Time
}

// hold makes what m keeps n bytes, and reports whether it may. Others that have been
// there for long make way. The caller holds m.mu.
func (r *tlsRoom) hold(m *tlsMeter, n int64) bool {
	if n <= 0 {
		return true
	}
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	most := r.memory.Limit() / handshakeShare
	for n > m.held && most > 0 && r.used+n-m.held > most {
		first := r.turns.Front()
		if first == nil {
			break // a budget as small as this lets one through
		}
		t := first.Value.(*tlsTurn)
		if t.m == m || now.Sub(t.since) < handshakeLeast {
			return false
		}
		r.dropLocked(t.m)
		go t.m.makeWay()
	}
	if m.turn == nil {
		m.turn = r.turns.PushBack(&tlsTurn{m, now})
	}
	r.used += n - m.held
	r.memory.Charge(n - m.held)
	m.held = n
	return true
}

func (r *tlsRoom) release(m *tlsMeter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dropLocked(m)
}

func (r *tlsRoom) dropLocked(m *tlsMeter) {
	if m.turn == nil {
		return
	}
	r.turns.Remove(m.turn)
	r.used -= m.held
	r.memory.Charge(-m.held)
	m.turn, m.held = nil, 0
}

// makeWay ends a connection from outside: whoever reads it learns so.
func (m *tlsMeter) makeWay() {
	if m.room.refused != nil {
		m.room.refused()
	}
	_ = m.SetLinger(0) // where it cannot be set, closing takes longer
	_ = m.Close()
}

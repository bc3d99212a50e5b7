package httpguard

import (
	"net"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/internal/clientaddr"
)

// Hellos wraps l, below TLS, so that what a server computes for the first words of
// its clients is computed in turns, by address: that is most of a handshake, and costs
// who sends them next to nothing. It is for a server that counts no memory; TLS does
// more.
func Hellos(l net.Listener) net.Listener {
	return &helloListener{Listener: l, turns: turns{free: max(runtime.GOMAXPROCS(0)-1, 1)}}
}

type helloListener struct {
	net.Listener
	turns turns
}

// Accept implements net.Listener.
func (l *helloListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	h := &helloConn{Conn: c, turns: &l.turns}
	if at, err := netip.ParseAddrPort(c.RemoteAddr().String()); err == nil {
		h.source = clientaddr.Network(at.Addr())
	}
	return h, nil
}

// A helloConn takes a turn for what it reads until something is written.
type helloConn struct {
	net.Conn
	turns  *turns
	source netip.Addr

	mu       sync.Mutex
	answered bool
	closed   bool
	since    time.Time // of its turn; zero: it has none
	waits    *waiter
}

// Read implements net.Conn.
func (c *helloConn) Read(p []byte) (int, error) {
	c.rest(false)
	n, err := c.Conn.Read(p)
	if n == 0 || c.compute() {
		return n, err
	}
	return 0, errLate
}

// compute waits for a turn, unless the client was answered, and reports whether it may
// go on.
func (c *helloConn) compute() bool {
	c.mu.Lock()
	answered := c.answered
	c.mu.Unlock()
	if answered {
		return true
	}
	ok := c.turns.take(c.source, false, func(w *waiter) {
		c.mu.Lock()
		c.waits = w
		closed := c.closed
		c.mu.Unlock()
		if closed {
			c.turns.leave(w)
		}
	})
	c.mu.Lock()
	c.waits = nil
	closed := c.closed
	if ok && !closed {
		c.since = time.Now()
	}
	c.mu.Unlock()
	if ok && closed {
		c.turns.give(0)
	}
	return ok && !closed
}

// rest ends a turn.
func (c *helloConn) rest(answers bool) {
	c.mu.Lock()
	since := c.since
	c.since = time.Time{}
	c.answered = c.answered || answers
	c.mu.Unlock()
	if !since.IsZero() {
		c.turns.give(time.Since(since))
	}
}

// Write implements net.Conn.
func (c *helloConn) Write(p []byte) (int, error) {
	c.rest(true)
	return c.Conn.Write(p)
}

// Close implements net.Conn.
func (c *helloConn) Close() error {
	c.mu.Lock()
	c.closed = true
	waits := c.waits
	c.mu.Unlock()
	if waits != nil {
		c.turns.leave(waits)
	}
	c.rest(false)
	return c.Conn.Close()
}

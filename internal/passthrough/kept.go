package passthrough

import (
	"net"
	"sync"
)

// A keptConn is a connection that an http.Transport keeps for one HTTP/1.1
// request after another. The transport lets a request have a connection before it
// looks whether bytes are left over from the answer before, and would then
// hand them out as the answer to that request: another client's, if an
// attacker can make the app answer too much (H30).
type keptConn struct {
	net.Conn

	mu      sync.Mutex
	changed sync.Cond // L is mu
	reading bool      // a Read waits, so that the transport's buffer is empty
	closed  bool
	taken   bool // for a request of which nothing was written yet
}

func newKeptConn(c net.Conn) *keptConn {
	k := &keptConn{Conn: c}
	k.changed.L = &k.mu
	return k
}

// take waits until the transport has read what there is: then either it reads
// on, or it has found bytes that no request asked for and closed the connection.
// The transport calls it before it writes a request (httptrace.GotConn), and
// retries on another connection if this one is closed.
func (k *keptConn) take() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for !k.reading && !k.closed {
		k.changed.Wait()
	}
	k.taken = true
}

// Read implements net.Conn.
func (k *keptConn) Read(p []byte) (int, error) {
	k.mu.Lock()
	k.reading = true
	k.changed.Broadcast()
	k.mu.Unlock()

	n, err := k.Conn.Read(p)

	k.mu.Lock()
	defer k.mu.Unlock()
	k.reading = false
	if n > 0 && k.taken {
		return 0, errUnasked
	}
	return n, err
}

// Write implements net.Conn.
func (k *keptConn) Write(p []byte) (int, error) {
	k.mu.Lock()
	k.taken = false
	k.mu.Unlock()
	return k.Conn.Write(p)
}

// Close implements net.Conn.
func (k *keptConn) Close() error {
	k.mu.Lock()
	k.closed = true
	k.changed.Broadcast()
	k.mu.Unlock()
	return k.Conn.Close()
}

package passthrough

import (
	"net"
	"net/http/httptrace"
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
	wrote   bool // something of the last request was written
	mark    int  // where in what is written next targetMark stands, or -1
}

func newKeptConn(c net.Conn) *keptConn {
	k := &keptConn{Conn: c, mark: -1}
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

// begin is called before a request is written. mark is where its first line has
// targetMark, which is not written, or -1.
func (k *keptConn) begin(mark int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.wrote, k.mark = false, mark
}

// hasWritten reports whether something was written since begin.
func (k *keptConn) hasWritten() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.wrote
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
	k.taken, k.wrote = false, true
	at := k.mark
	k.mark = max(-1, at-len(p))
	k.mu.Unlock()
	if at < 0 || at >= len(p) {
		return k.Conn.Write(p)
	}
	n, err := k.Conn.Write(append(append(make([]byte, 0, len(p)), p[:at]...), p[at+1:]...))
	if n > at || err == nil {
		n++
	}
	return n, err
}

// Close implements net.Conn.
func (k *keptConn) Close() error {
	k.mu.Lock()
	k.closed = true
	k.changed.Broadcast()
	k.mu.Unlock()
	return k.Conn.Close()
}

// An attempt is what net/http makes of one request to an app of HTTP/1.
type attempt struct {
	mark int       // for keptConn.begin
	kept *keptConn // that it has, or had
}

// gotConn makes sure that a connection is clean before its next request, and that
// no request is made a second time of which the app may have seen something: it
// may act twice. net/http would do so for some methods and fields. By HTTP/2 it
// does so only where the app says that it has done nothing, and answers carry
// their request's number.
func (a *attempt) gotConn(info httptrace.GotConnInfo) {
	k, ok := info.Conn.(*keptConn)
	if !ok {
		return
	}
	if info.Reused {
		k.take()
	}
	if a.kept != nil && a.kept.hasWritten() {
		_ = k.Close()
		return
	}
	a.kept = k
	k.begin(a.mark)
}

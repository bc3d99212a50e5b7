package proxy

import (
	"io"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wsresilience/wsresilience/internal/transport"
)

// Implementation limits of a tunnel.
const (
	// tunnelLinger is how long one direction goes on after the other has
	// ended: time for a close frame and its answer.
	tunnelLinger = 5 * time.Second

	// tunnelStall is how long a peer may take no bytes. An owner gives such a
	// client up much sooner, but its end cannot be seen behind bytes that
	// wait.
	tunnelStall = time.Minute

	// tunnelRest is the buffer of an idle direction where the kernel cannot
	// splice, which is where TLS is spoken. What fills it is followed with
	// tunnelBurst, which is lent.
	tunnelRest  = 512
	tunnelBurst = 32 << 10
)

// A tunnel joins a client with its session's owner. Neither looks at bytes
// nor keeps them: between two TCP sockets the kernel moves them.
type tunnel struct {
	set           *tunnels
	client, owner net.Conn
	ended         atomic.Int32 // directions
}

// start lets both directions run. Nothing waits for them, so that net/http
// can let go of the request and its buffers.
func (t *tunnel) start() {
	go t.carry(t.owner, t.client)
	go t.carry(t.client, t.owner)
}

// carry moves one direction to its end, and passes the end on.
func (t *tunnel) carry(to, from net.Conn) {
	if err := t.set.relay(to, from); err != nil {
		t.close()
	} else {
		_ = transport.CloseWrite(to)
		_ = to.SetReadDeadline(time.Now().Add(tunnelLinger))
	}
	if t.ended.Add(1) == 2 {
		t.close()
		t.set.remove(t)
	}
}

func (t *tunnel) close() {
	t.client.Close()
	t.owner.Close()
}

// relay copies until from ends. It holds no buffer of size while it waits.
func (s *tunnels) relay(to, from net.Conn) error {
	if target, ok := to.(*net.TCPConn); ok {
		if source, ok := from.(*net.TCPConn); ok && canSplice {
			return splice(target, source)
		}
	}
	rest := make([]byte, tunnelRest)
	for {
		n, err := forward(to, from, rest)
		if n == len(rest) && err == nil {
			err = s.burst(to, from)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// burst copies with a large buffer while much comes.
func (s *tunnels) burst(to, from net.Conn) error {
	lent, ok := s.lent.Get().(*[tunnelBurst]byte)
	if !ok {
		lent = new([tunnelBurst]byte)
	}
	defer s.lent.Put(lent)
	for {
		if n, err := forward(to, from, lent[:]); err != nil || n < tunnelRest {
			return err
		}
	}
}

// forward makes one read and writes what came.
func forward(to, from net.Conn, buf []byte) (int, error) {
	n, err := from.Read(buf)
	if n > 0 {
		_ = to.SetWriteDeadline(time.Now().Add(tunnelStall))
		if _, werr := to.Write(buf[:n]); werr != nil {
			return n, werr
		}
	}
	return n, err
}

// tunnels are the tunnels of a sidecar. The zero value is empty; it is safe
// for concurrent use.
type tunnels struct {
	mu     sync.Mutex
	set    map[*tunnel]struct{}
	closed bool

	lent sync.Pool // of *[tunnelBurst]byte
}

// add takes a tunnel in, unless all were closed.
func (s *tunnels) add(t *tunnel) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if s.set == nil {
		s.set = make(map[*tunnel]struct{})
	}
	s.set[t] = struct{}{}
	return true
}

func (s *tunnels) remove(t *tunnel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.set, t)
}

// all returns the tunnels that there are.
func (s *tunnels) all() []*tunnel {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.set))
}

// count returns how many there are.
func (s *tunnels) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.set)
}

// closeAll ends every tunnel, and those that are still being made. The
// clients find their owners again by another sidecar.
func (s *tunnels) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for t := range s.set {
		t.close()
	}
}

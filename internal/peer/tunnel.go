package peer

import (
	"io"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wsresilience/wsresilience/internal/budget"
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

// A Tunnel joins a client with its session's owner. It looks at no bytes and
// keeps none: between two TCP sockets the kernel moves them.
type Tunnel struct {
	set           *tunnels
	client, owner net.Conn
	ended         atomic.Int32 // directions
}

// start lets both directions run. Nothing waits for them, so that net/http
// can let go of the request and its buffers.
func (t *Tunnel) start() {
	go t.carry(t.owner, t.client)
	go t.carry(t.client, t.owner)
}

// carry moves one direction to its end, and passes the end on.
func (t *Tunnel) carry(to, from net.Conn) {
	if err := t.set.relay(to, from); err != nil {
		t.Close()
	} else {
		_ = transport.CloseWrite(to)
		_ = to.SetReadDeadline(time.Now().Add(tunnelLinger))
	}
	if t.ended.Add(1) == 2 {
		t.Close()
		t.set.remove(t)
	}
}

// Close ends the tunnel: both connections are closed. The client finds its
// session's owner again by another sidecar.
func (t *Tunnel) Close() {
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

// burst copies with a large buffer while much comes, if there is memory for one:
// who takes nothing has it for as long as tunnelStall.
func (s *tunnels) burst(to, from net.Conn) error {
	if s.memory != nil {
		if s.memory.Scarce() || !s.memory.Take(tunnelBurst) {
			return nil
		}
		defer s.memory.Charge(-tunnelBurst)
	}
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
	set    map[*Tunnel]struct{}
	closed bool

	lent   sync.Pool      // of *[tunnelBurst]byte
	memory *budget.Budget // that they count against; nil: none
}

// add takes a tunnel in, unless all were closed.
func (s *tunnels) add(t *Tunnel) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if s.set == nil {
		s.set = make(map[*Tunnel]struct{})
	}
	s.set[t] = struct{}{}
	return true
}

func (s *tunnels) remove(t *Tunnel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.set, t)
}

// Tunnels returns the tunnels that there are.
func (f *Forwarder) Tunnels() []*Tunnel {
	f.tunnels.mu.Lock()
	defer f.tunnels.mu.Unlock()
	return slices.Collect(maps.Keys(f.tunnels.set))
}

// Count returns how many tunnels there are.
func (f *Forwarder) Count() int {
	f.tunnels.mu.Lock()
	defer f.tunnels.mu.Unlock()
	return len(f.tunnels.set)
}

// CloseAll ends every tunnel, and those that are still being made.
func (f *Forwarder) CloseAll() {
	f.tunnels.mu.Lock()
	defer f.tunnels.mu.Unlock()
	f.tunnels.closed = true
	for t := range f.tunnels.set {
		t.Close()
	}
}

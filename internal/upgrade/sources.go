package upgrade

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

// A dialer has as many local ports towards one address as the range of the
// kernel has, some 28,000, and those of connections that it closed itself stay
// taken for a while. On loopback there are many addresses to come from.

// Implementation limits on the addresses that an app is dialled from.
const (
	// maxSources is how many there are: enough for more sockets than a process
	// may have descriptors.
	maxSources = 16

	// sourceRest is when the first address is tried again.
	sourceRest = time.Minute
)

// ErrPorts means that no local port is left from which the app could be dialled.
var ErrPorts = errors.New("upgrade: all local ports towards the app are taken")

// sources dials an app on loopback from another address when all local ports of
// one are taken. It is safe for concurrent use.
type sources struct {
	dial  func(ctx context.Context, from net.Addr, network, address string) (net.Conn, error)
	many  bool            // the app is on loopback, by IPv4
	short func(none bool) // told whenever ports ran out at an address, or at all

	mu    sync.Mutex
	at    int       // of the address in use; 0 is what the kernel chooses
	moved time.Time // when it was left for another
}

// isLoopback reports whether a host is one of the addresses 127.0.0.0/8.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip.To4() != nil && ip.IsLoopback()
}

func (s *sources) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	for range maxSources {
		at := s.current(time.Now())
		var from net.Addr
		if at > 0 {
			from = &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+at))}
		}
		conn, err := s.dial(ctx, from, network, address)
		if !errors.Is(err, syscall.EADDRNOTAVAIL) && !errors.Is(err, syscall.EADDRINUSE) {
			return conn, err
		}
		if !s.many {
			break
		}
		s.short(false)
		s.leave(at, time.Now())
	}
	s.short(true)
	return nil, ErrPorts
}

func (s *sources) current(now time.Time) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at > 0 && now.Sub(s.moved) > sourceRest {
		s.at = 0
	}
	return s.at
}

// leave goes on to the next address, unless another dial has done so.
func (s *sources) leave(at int, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at == at {
		s.at, s.moved = (at+1)%maxSources, now
	}
}

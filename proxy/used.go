package proxy

import (
	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/transport"
)

// used is how much is used of what this sidecar has.
func (s *Server) used() event.Used {
	appends, _ := s.appends.load()
	return event.Used{
		Memory:     share(s.pool.InUse(), s.pool.Budget()),
		Loops:      s.sockets.Busy(),
		Handshakes: share(int64(s.handshakes.Load()), int64(maxHandshakes(s.pool.Budget()))),
		Sessions:   s.limit.used(),
		Journal:    share(int64(appends), busyAppends),
	}
}

// Driver returns how plain sockets are read: transport.DriverAIO, DriverEpoll or
// DriverGoroutine. The error is why it is not DriverAIO, where that was to be tried.
func (s *Server) Driver() (transport.Driver, error) { return s.sockets.Choose() }

// share is n of limit; 0 without a limit.
func share(n, limit int64) float64 {
	if limit <= 0 {
		return 0
	}
	return float64(n) / float64(limit)
}

// used is how many of the sessions that there may be are there.
func (l *sessionLimit) used() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return share(int64(len(l.of)), int64(l.all))
}

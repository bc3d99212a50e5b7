//go:build !linux

package transport

import (
	"errors"
	"net"

	"github.com/wsresilience/wsresilience/internal/monotime"
)

// Other systems have none of these calls: there the transport of any net.Conn
// serves.

func openEpoll(net.Conn, Sink, *Sockets, *Affinity, *Memory) Conn { return nil }

func newNetpollConn(net.Conn, Sink, *bufferPool) Conn { return nil }

func connProgress(net.Conn) (Progress, bool) { return Progress{}, false }

// Affinity is empty where there are no event loops.
type Affinity struct{}

// Heard is now: each socket has a goroutine.
func (*Affinity) Heard(now monotime.Time) monotime.Time { return now }

// Memory is empty where transports that have goroutines are all there is.
type Memory struct{}

// Round is empty where there are no event loops.
type Round struct{}

// Write takes nothing.
func (*Round) Write(Conn, [][]byte, Waiter) bool { return false }

type loops struct{}

func (*loops) close() {}

func (*loops) choose(d Driver, _ func(error)) (Driver, error) {
	if d == DriverGoroutine || d == DriverEpoll {
		return DriverGoroutine, nil
	}
	return DriverGoroutine, errors.New("this system has no Linux AIO")
}

func (*loops) busiest() uint32 { return 0 }

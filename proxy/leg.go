package proxy

import (
	"net"

	"github.com/wsresilience/wsresilience/internal/transport"
)

// A leg is one socket of a driver, and the sink of its transport. A leg that
// the driver has let go of is deaf.
type leg struct {
	c   *sessionDriver
	t   transport.Conn
	own transport.Memory // of t, if it is of the usual kind
}

// newLeg makes a leg; the caller puts it into the driver and starts it.
func (c *sessionDriver) newLeg(conn net.Conn) *leg {
	l := c.unusedLeg()
	l.c = c
	l.t = c.srv.sockets.Open(conn, l, &c.place, &l.own)
	return l
}

// unusedLeg returns one that was never used.
func (c *sessionDriver) unusedLeg() *leg {
	for i := range c.legs {
		if l := &c.legs[i]; l.c == nil {
			return l
		}
	}
	return new(leg)
}

// write writes what fits. What is for a socket that is broken is lost in a pipe:
// who waited for it would not read what the peer had said before.
func (l *leg) write(parts [][]byte, pipe bool) int {
	if l == nil {
		return size(parts) // nobody is there to hear it
	}
	return l.wrote(l.t.Write(parts), parts, pipe)
}

// wrote returns how much of a write counts as taken, of which the socket took n
// bytes.
func (l *leg) wrote(n int, parts [][]byte, pipe bool) int {
	if pipe && l.t.Broken() {
		return size(parts)
	}
	return n
}

// leaveTo reports whether a round takes a write, of which then hears.
func (l *leg) leaveTo(r *transport.Round, parts [][]byte, then transport.Waiter) bool {
	return r != nil && l != nil && r.Write(l.t, parts, then)
}

func size(parts [][]byte) (n int) {
	for _, p := range parts {
		n += len(p)
	}
	return n
}

func (l *leg) pause(on bool) {
	if l != nil {
		l.t.Pause(on)
	}
}

// close writes the last frames as far as that goes without waiting. What the peer
// would see cut in a frame's middle it rather sees reset.
func (l *leg) close(last []byte) {
	if len(last) > 0 && l.t.Write([][]byte{last}) < len(last) {
		l.t.Abort()
		return
	}
	l.t.Finish()
}

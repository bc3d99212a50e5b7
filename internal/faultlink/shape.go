package faultlink

import "time"

// Implementation limits.
const (
	// chunkBytes is what one read takes at most, like io.Copy's.
	chunkBytes = 32 << 10

	// queueChunks bounds what the link holds in a direction, so that a slow
	// target is felt by the client as it would be over a network: at most
	// half a megabyte, which a socket's own buffers reach too.
	queueChunks = 16

	// paceStep is how finely a bandwidth limit is spread: bytes come every
	// few milliseconds and not in one burst a second.
	paceStep = 10 * time.Millisecond
)

// A shape is how a healthy but poor network treats the bytes.
type shape struct {
	latency time.Duration // added on the way, one direction
	jitter  time.Duration // the latency varies by as much, either way
	rate    int64         // bytes per second, a connection and direction; 0: no limit
	slice   int           // bytes per write; 0: as they come
}

// delay returns the way of one chunk; r is random in [0, 1).
func (s *shape) delay(r float64) time.Duration {
	return max(0, s.latency+time.Duration(float64(s.jitter)*(2*r-1)))
}

// piece returns how many of n bytes are written at once.
func (s *shape) piece(n int) int {
	if s.slice > 0 {
		n = min(n, s.slice)
	}
	if s.rate > 0 {
		n = min(n, int(max(1, s.rate/int64(time.Second/paceStep))))
	}
	return n
}

// pause returns how long the line is busy with n bytes.
func (s *shape) pause(n int) time.Duration {
	if s.rate <= 0 {
		return 0
	}
	return time.Duration(int64(n) * int64(time.Second) / s.rate)
}

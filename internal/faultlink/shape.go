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
)

// A shape is how a healthy but poor network treats the bytes.
type shape struct {
	latency time.Duration // added on the way, one direction
	jitter  time.Duration // the latency varies by as much, either way
}

// delay returns the way of one chunk; r is random in [0, 1).
func (s *shape) delay(r float64) time.Duration {
	return max(0, s.latency+time.Duration(float64(s.jitter)*(2*r-1)))
}

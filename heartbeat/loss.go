package heartbeat

import "math/bits"

// lossWindow is the number of latest outcomes that loss is taken over, the
// width of the bitset. Thirty-two span 160 s of the default interval: long
// enough that one lost beat is 3 %, short enough that a tunnel is forgotten.
const lossWindow = 32

// Loss is the share of beats that were not answered before the next was due,
// over a sliding window. The zero value has no outcome and no loss.
type Loss struct {
	lost  uint32 // one bit per outcome, the latest lowest; 1 is lost
	count uint8  // outcomes in the window
}

// Record takes the outcome of one beat.
func (l *Loss) Record(lost bool) {
	l.lost <<= 1
	if lost {
		l.lost |= 1
	}
	l.count = min(l.count+1, lossWindow)
}

// Ratio returns the loss between 0 and 1.
func (l *Loss) Ratio() float64 {
	if l.count == 0 {
		return 0
	}
	return float64(bits.OnesCount32(l.lost)) / float64(l.count)
}

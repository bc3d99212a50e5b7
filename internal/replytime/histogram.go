package replytime

import "math/bits"

// steps is how many buckets there are for a power of two, and octaves for how
// many of those up to maxReply.
const (
	steps   = 4
	octaves = 14
)

// histogram counts milliseconds in buckets that are a fifth wider each.
type histogram struct {
	n       int
	buckets [octaves * steps]uint16
}

func (h *histogram) add(ms uint32) {
	i := bucket(ms)
	h.buckets[i]++
	h.n++
}

// bucket has those below steps one by one, and then steps for each power of two.
func bucket(ms uint32) int {
	if ms < steps {
		return int(ms)
	}
	octave := bits.Len32(ms) - 1 // at least 2
	return min((octave-1)*steps+int(ms>>(octave-2))-steps, octaves*steps-1)
}

// limit is the most that a bucket holds.
func limit(i int) uint32 {
	if i < steps {
		return uint32(i)
	}
	octave := i/steps + 1
	return uint32(i%steps+steps+1)<<(octave-2) - 1
}

// percentile returns what 99 of 100 do not exceed; 0 if nothing was counted.
func (h *histogram) percentile() uint32 {
	above := h.n / 100
	for i := len(h.buckets) - 1; i >= 0; i-- {
		n := int(h.buckets[i])
		if n > above {
			return limit(i)
		}
		above -= n
	}
	return 0
}

func (h *histogram) halve() {
	h.n = 0
	for i := range h.buckets {
		h.buckets[i] /= 2
		h.n += int(h.buckets[i])
	}
}

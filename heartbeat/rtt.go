package heartbeat

import (
	"math"
	"time"
)

// Protocol constants of the round-trip time.
const (
	// RFC 6298 section 2.3: SRTT takes 1/8 of a new sample, RTTVAR 1/4.
	meanShare      = 8
	variationShare = 4

	// lateFactor: an answer that takes longer than this many mean round trips
	// degrades the link.
	lateFactor = 3

	// SuspiciousDeviation is the standard deviation of the round-trip time
	// above which a path is suspected to pass through an intermediary that
	// buffers or inspects.
	SuspiciousDeviation = 40 * time.Millisecond
)

// Implementation limits of the round-trip time.
const (
	// lateFloor is the granularity of the judgement, as G is in RFC 6298
	// section 2: below it three round trips of a loopback or rack-local link
	// measure the scheduler and the garbage collector, not the link.
	lateFloor = 10 * time.Millisecond

	// deviationWindow is the number of samples under the standard deviation.
	// Eight span 40 s of the default interval and cost a session 32 bytes.
	deviationWindow = 8

	// maxSample is the longest round trip that is measured: 71 minutes, so
	// that a sample fits 32 bits of microseconds.
	maxSample = math.MaxUint32 * time.Microsecond
)

// RTT is the round-trip time of one link: a smoothed mean and variation (RFC
// 6298), and the standard deviation of the latest samples. The zero value
// has no sample and answers 0 everywhere.
type RTT struct {
	mean      time.Duration
	variation time.Duration
	window    [deviationWindow]uint32 // microseconds
	count     uint8                   // filled entries of window
	next      uint8                   // entry that the next sample overwrites
}

// Add takes one measured round trip. A negative one, which a clock without a
// monotonic reading can give, counts as 0.
func (r *RTT) Add(sample time.Duration) {
	sample = min(max(sample, 0), maxSample)
	if r.count == 0 {
		r.mean, r.variation = sample, sample/2
	} else {
		// RFC 6298 section 2.3 demands this order: the variation is taken
		// against the mean of before.
		r.variation += ((r.mean - sample).Abs() - r.variation) / variationShare
		r.mean += (sample - r.mean) / meanShare
	}
	r.window[r.next] = uint32(sample / time.Microsecond)
	r.next = (r.next + 1) % deviationWindow
	r.count = min(r.count+1, deviationWindow)
}

// Last returns the latest sample.
func (r *RTT) Last() time.Duration {
	if r.count == 0 {
		return 0
	}
	return time.Duration(r.window[(r.next+deviationWindow-1)%deviationWindow]) * time.Microsecond
}

// Mean returns the smoothed round-trip time, SRTT in RFC 6298.
func (r *RTT) Mean() time.Duration { return r.mean }

// Variation returns the smoothed mean deviation, RTTVAR in RFC 6298. It
// follows a change of the path within a few samples.
func (r *RTT) Variation() time.Duration { return r.variation }

// Deviation returns the standard deviation of the latest samples, the number
// that SuspiciousDeviation is compared with.
func (r *RTT) Deviation() time.Duration {
	if r.count == 0 {
		return 0
	}
	filled, n := r.window[:r.count], float64(r.count)
	var sum, squares float64
	for _, us := range filled {
		sum += float64(us)
	}
	for _, us := range filled {
		d := float64(us) - sum/n
		squares += d * d
	}
	return time.Duration(math.Sqrt(squares/n) * float64(time.Microsecond))
}

// Late reports whether an answer after sample degrades the link. Without an
// earlier sample there is nothing to be late against.
func (r *RTT) Late(sample time.Duration) bool {
	return r.count > 0 && sample > max(lateFactor*r.mean, lateFloor)
}

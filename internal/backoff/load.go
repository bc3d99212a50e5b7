package backoff

import "time"

// What a sidecar asks of its clients, so that those who lose it together do not
// come back together.
const (
	// perSession is the time that each session has for its handshake when all
	// come back, so that a thousand take three seconds.
	perSession = 3 * time.Millisecond

	// maxFirst bounds what a client waits whose connection alone was lost.
	maxFirst = 5 * time.Second

	// perAttempt is the time between two attempts when all clients look for a
	// sidecar that is away.
	perAttempt = time.Millisecond

	// minMost is how long a wait between attempts may always become.
	minMost = 5 * time.Second
)

// A Load is what a sidecar knows of those who would come back if it went away.
type Load struct {
	Sessions int
	Draining bool // its clients leave one at a time
}

// Asked returns within which time of a loss clients are to make their first
// attempt, and the longest wait between the following ones.
func (l Load) Asked() (first, most time.Duration) {
	each := func(d time.Duration) time.Duration { return time.Duration(int64(l.Sessions) * int64(d)) }
	if !l.Draining {
		first = min(each(perSession), maxFirst)
	}
	return first, min(max(each(perAttempt), minMost), Longest)
}

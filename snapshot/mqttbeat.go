package snapshot

import "time"

// beat watches how long the client has said nothing, for the protocols in
// which the client promises never to be silent for longer than an interval.
// The zero value watches nothing.
type beat struct {
	interval time.Duration
	due      time.Time // when to look; zero: never
}

// promise sets the interval; zero or less is no promise.
func (b *beat) promise(now time.Time, interval time.Duration) {
	b.interval = interval
	b.spoke(now)
}

// spoke notes that the app heard something. It is looked at again after three
// quarters of the interval, so that what is said then is there in time.
func (b *beat) spoke(now time.Time) {
	b.due = time.Time{}
	if b.interval > 0 {
		b.due = now.Add(b.interval / 4 * 3)
	}
}

// silent says whether something must be said for the client, unless that has
// to wait. A client that is there speaks for itself, but it may leave at any
// moment: it is looked after every quarter of the interval.
func (b *beat) silent(now time.Time, wait bool) bool {
	if b.due.IsZero() || now.Before(b.due) {
		return false
	}
	if wait {
		b.due = now.Add(max(b.interval/4, time.Millisecond))
		return false
	}
	return true
}

// Package keepalive decides when something must be sent for a client that has
// promised never to be silent for longer than an interval, and is away: MQTT's
// Keep Alive, and the heart-beats of STOMP.
package keepalive

import "time"

// A Timer watches how long the client has sent nothing. The zero value watches
// nothing.
type Timer struct {
	interval time.Duration
	deadline time.Time // zero: never
}

// SetInterval sets what the client has promised, from now on; zero or less is no
// promise.
func (t *Timer) SetInterval(now time.Time, interval time.Duration) {
	t.interval = interval
	t.Sent(now)
}

// Sent notes that the app was sent something. The timer is due after three
// quarters of the interval, so that what is sent then is there in time.
func (t *Timer) Sent(now time.Time) {
	t.deadline = time.Time{}
	if t.interval > 0 {
		t.deadline = now.Add(t.interval / 4 * 3)
	}
}

// Due reports whether something must be sent for the client, unless that has to
// wait. A client that is there sends for itself, but it may leave at any
// moment: the timer is due again after every quarter of the interval.
func (t *Timer) Due(now time.Time, wait bool) bool {
	if t.deadline.IsZero() || now.Before(t.deadline) {
		return false
	}
	if wait {
		t.deadline = now.Add(max(t.interval/4, time.Millisecond))
		return false
	}
	return true
}

// Deadline returns when to ask whether the timer is due; zero is never.
func (t *Timer) Deadline() time.Time { return t.deadline }

// Package monotime stores a monotonic instant in eight bytes, where a
// time.Time takes 24: thousands of idle sessions hold many of them.
package monotime

import "time"

// Time is a monotonic instant: nanoseconds since this process began. The zero
// value means no time, as the zero time.Time does. It has no wall-clock
// reading, so it is not a date.
type Time int64

var epoch = time.Now()

// At returns t as a monotonic instant.
func At(t time.Time) Time {
	if t.IsZero() {
		return 0
	}
	if since := Time(t.Sub(epoch)); since != 0 {
		return since
	}
	return 1
}

// Now returns the current instant.
func Now() Time { return At(time.Now()) }

// Add returns the instant that is d later.
func (t Time) Add(d time.Duration) Time { return t + Time(d) }

// Sub returns how much later t is than earlier.
func (t Time) Sub(earlier Time) time.Duration { return time.Duration(t - earlier) }

// Next returns the first instant after t that is a multiple of grid, which is
// positive. Instants before this process began are on the grid too.
func (t Time) Next(grid time.Duration) Time {
	step := Time(grid)
	return t + step - (t%step+step)%step
}

// Time returns t as a time.Time with a monotonic reading.
func (t Time) Time() time.Time {
	if t == 0 {
		return time.Time{}
	}
	return epoch.Add(time.Duration(t))
}

// IsZero reports whether t means no time.
func (t Time) IsZero() bool { return t == 0 }

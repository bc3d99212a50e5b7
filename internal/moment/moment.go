// Package moment has a time.Time in eight bytes instead of 24, for what
// thousands of idle sessions hold.
package moment

import "time"

// Moment is a time since this process began, in nanoseconds. The zero value is
// none, as the zero time.Time is. It is true to the monotonic clock and forgets
// the wall's, so that it is no date.
type Moment int64

var epoch = time.Now()

// At returns the moment of t.
func At(t time.Time) Moment {
	if t.IsZero() {
		return 0
	}
	if m := Moment(t.Sub(epoch)); m != 0 {
		return m
	}
	return 1
}

// Now is the moment of time.Now.
func Now() Moment { return At(time.Now()) }

// Add returns the moment that is d later.
func (m Moment) Add(d time.Duration) Moment { return m + Moment(d) }

// Sub returns how much later m is than earlier.
func (m Moment) Sub(earlier Moment) time.Duration { return time.Duration(m - earlier) }

// Next returns the first moment after m on a grid, which is positive. Moments
// before this process began are on it too.
func (m Moment) Next(grid time.Duration) Moment {
	step := Moment(grid)
	return m + step - (m%step+step)%step
}

// Time returns a time to compare with others that have a monotonic reading.
func (m Moment) Time() time.Time {
	if m == 0 {
		return time.Time{}
	}
	return epoch.Add(time.Duration(m))
}

// IsZero tells whether it is none.
func (m Moment) IsZero() bool { return m == 0 }

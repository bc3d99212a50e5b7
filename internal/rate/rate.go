// Package rate limits how much passes in a time. It reads no clock.
package rate

import (
	"time"

	"github.com/wsresilience/wsresilience/internal/monotime"
)

// A Limit is how much may pass in a time, and how much may pass at once after
// nothing did. The zero value is no limit.
type Limit struct {
	N   int64
	Per time.Duration
}

func (l Limit) time(n int64) time.Duration { return time.Duration(n * int64(l.Per) / l.N) }

// A Bucket is a token bucket: it holds Limit.N tokens, and fills in Limit.Per.
// More may be taken than it has, since what came has come: the next waits for as
// much longer. The zero value is a full one. It is not safe for concurrent use.
type Bucket struct {
	full monotime.Time // when it is full; 0: it is
}

// Take takes n tokens, at most 1 GiB of a limit per second.
func (b *Bucket) Take(now monotime.Time, l Limit, n int64) {
	if l.N == 0 {
		return
	}
	if b.full == 0 || b.full < now {
		b.full = now
	}
	b.full = b.full.Add(l.time(n))
}

// Wait returns how long it takes until there is a token; 0: there is one.
func (b *Bucket) Wait(now monotime.Time, l Limit) time.Duration {
	if l.N == 0 || b.full == 0 {
		return 0
	}
	return max(0, b.full.Sub(now)+l.time(1)-l.Per)
}

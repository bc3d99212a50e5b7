package store

import (
	"errors"
	"time"
)

const (
	// SnapshotEvery is how many stored parts may follow a Snapshot: less than
	// half the ring, so that a snapshot is whole in it at any time, and the part
	// before it, which shows that it is in its place (see MaxParts).
	SnapshotEvery = 15

	// RefreshInterval is how often the owner of an idle session writes a
	// Snapshot, ± RefreshJitter of it, so that no session that lives reaches
	// the maximal age of records: the session TTL and RefreshSlack.
	RefreshInterval = 2 * time.Minute
	RefreshJitter   = 0.2

	// RefreshSlack is the longest refresh interval (2:24) and some for a
	// refresh that waits for an election (up to 9 s) or a full store.
	RefreshSlack = 3 * time.Minute
)

// A Cadence decides which kind of record an owner writes next. The zero value
// with Limits set is for a new owner, whose first record is a Snapshot.
// It is not safe for concurrent use.
type Cadence struct {
	Limits Limits

	based bool // a Snapshot of this owner is stored
	parts int  // stored since then
}

// Next returns Snapshot or Delta. fresh is how many bytes of frames a Delta
// would carry, and of the context if it changed; unacked is how many a
// Snapshot would, the context always counted. A Snapshot that is no
// larger than the Delta is the better one, which covers the change from
// nothing outstanding to something, and every refresh.
func (c *Cadence) Next(fresh, unacked int) Kind {
	if !c.based || unacked <= fresh || c.parts+c.count(fresh) > SnapshotEvery {
		return Snapshot
	}
	return Delta
}

// Wrote records an Append and its error. After ErrUnavailable parts may have
// been stored too, and count.
func (c *Cadence) Wrote(rec *Record, err error) {
	switch {
	case err == nil && rec.Kind == Snapshot:
		c.based, c.parts = true, 0
	case err == nil || errors.Is(err, ErrUnavailable):
		c.parts += c.count(rec.size())
	}
}

// count returns how many parts n bytes take.
func (c *Cadence) count(n int) int {
	if c.Limits.Part <= 0 {
		return 1
	}
	return (n + bodyFixed + c.Limits.Part - 1) / c.Limits.Part
}

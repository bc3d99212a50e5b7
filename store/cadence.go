package store

import (
	"cmp"
	"errors"
	"math"
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

	// lightChain is what a chain may hold in any case, and maxSnapshots how many
	// of what is outstanding beside that: as many as may be among the parts that
	// are counted, which are those of two rings and a record, and one.
	lightChain   = 256 << 10
	maxSnapshots = (2*Ring+MaxParts)/(SnapshotEvery+1) + 2

	// heavyChain, or heavyChains times what is light, is what a chain holds at
	// most. It is more than what is light, so that making it so is rare.
	heavyChain  = 8 << 20
	heavyChains = 3

	// tinyRecord is more than a record holds beside context, frames and names.
	tinyRecord = 1 << 10
)

// A Cadence decides which kind of record an owner writes next. The zero value
// with Limits set is for a new owner, whose first record is a Snapshot.
// It is not safe for concurrent use.
//
// It also knows about how much the chain holds. Nothing can be taken out of it
// but by what comes behind, so an owner makes it light again by tiny records:
// 32 of them push all else out.
type Cadence struct {
	Limits Limits

	based   bool   // a Snapshot of this owner is stored
	version uint8  // the newest of it and what was stored since then
	parts   uint16 // stored since then

	// The chain is counted in turns of Ring parts: it holds those of this turn
	// and of the former at most.
	turn            uint16 // parts stored in this turn
	current, former uint32 // bytes, of this turn and of the former
}

// Found notes that the chain holds so many bytes, and is gone on with.
func (c *Cadence) Found(bytes int) { c.former = saturated(uint64(bytes)) }

// Restart makes the next record a Snapshot: what was written may be gone.
func (c *Cadence) Restart() { c.based, c.parts = false, 0 }

// Holds returns how many bytes the chain holds at most.
func (c *Cadence) Holds() int64 { return int64(c.former) + int64(c.current) }

// An Outstanding is what a chain has to hold.
type Outstanding struct {
	Bytes int // of frames and context: of a Snapshot
	Names int // bytes of subprotocol and extensions, which are in each record
}

// light is what records without frames bring a chain down to, and some.
func (o Outstanding) light() int64 {
	return lightChain + maxSnapshots*int64(o.Bytes) + (2*Ring+MaxParts)*int64(o.Names+tinyRecord)
}

// Loose reports whether the chain holds much more than is outstanding.
func (c *Cadence) Loose(o Outstanding) bool { return c.Holds() > o.light() }

// Heavy reports whether the chain holds more than any may.
func (c *Cadence) Heavy(o Outstanding) bool {
	return c.Holds() > max(heavyChain, heavyChains*o.light())
}

// Outdated reports whether a sidecar that reads only up to a version could not
// read the chain.
func (c *Cadence) Outdated(version uint8) bool {
	return c.version > cmp.Or(version, Versions().Newest)
}

// Next returns Snapshot or Delta. fresh is how many bytes of frames a Delta
// would carry, and of the context if it changed; unacked is how many a
// Snapshot would, the context always counted. A Snapshot that is no
// larger than the Delta is the better one, which covers the change from
// nothing outstanding to something, and every refresh.
func (c *Cadence) Next(fresh, unacked int) Kind {
	if !c.based || unacked <= fresh || int(c.parts)+c.count(fresh) > SnapshotEvery {
		return Snapshot
	}
	return Delta
}

// Wrote records an Append and its error. After ErrUnavailable parts may have
// been stored too, and count towards the next Snapshot.
func (c *Cadence) Wrote(rec *Record, err error) {
	size := rec.size()
	n := uint16(min(c.count(size), 2*Ring))
	if err == nil {
		parts := max(c.count(size-bodyFixed), 1)
		c.current = saturated(uint64(c.current) + uint64(size+parts*partOverhead))
		if c.turn += uint16(min(parts, Ring)); c.turn >= Ring {
			c.former, c.current, c.turn = c.current, 0, 0
		}
	}
	written := cmp.Or(rec.Version, Versions().Newest)
	switch {
	case err == nil && rec.Kind == Snapshot:
		c.based, c.parts, c.version = true, 0, written
	case err == nil || errors.Is(err, ErrUnavailable):
		c.parts, c.version = min(c.parts, 2*Ring)+n, max(c.version, written)
	}
}

func saturated(n uint64) uint32 { return uint32(min(n, math.MaxUint32)) }

// count returns how many parts n bytes take.
func (c *Cadence) count(n int) int {
	if c.Limits.Part <= 0 {
		return 1
	}
	return (n + bodyFixed + c.Limits.Part - 1) / c.Limits.Part
}

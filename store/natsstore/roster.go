package natsstore

import (
	"time"

	"github.com/wsresilience/wsresilience/store"
)

// A roster is what the news of all leases amount to. It has no clock of its
// own and does no I/O, and is not safe for concurrent use.
//
// Silence says that somebody is gone only if news would have come, and if he
// could have announced himself. So what counts is our own announcement coming
// back through the same watch, a beat: time is counted from beat to beat, and
// of an interruption, in which nobody could announce himself, only a part.
// Without a beat within the lease's time nothing is known at all.
type roster struct {
	ttl  time.Duration
	self string // our own instance

	synced   bool
	entries  map[string]entry
	incoming map[string]entry // while a new watch tells all from the start

	last   time.Time     // the newest beat
	clock  time.Duration // time that counts, up to last
	steady time.Time     // since when beats have been coming without a break
	settle time.Duration // how long after steady an absence means something
	newest uint64        // revision of the newest beat
}

// An entry is the newest that is known of one owner's key.
type entry struct {
	revision uint64
	notice                 // zero if left
	left     bool          // it said goodbye
	at       time.Duration // on the roster's clock
}

const (
	// leaseBeats is how many announcements go into a lease's time.
	leaseBeats = 4

	// leaseSlack is what an announcement may come late, as a part of the TTL.
	leaseSlack = 8

	// goodbyeTTL is how long a goodbye is remembered, which is longer than any
	// token names its owner.
	goodbyeTTL = time.Hour
)

func newRoster(ttl time.Duration, self string) *roster {
	return &roster{ttl: ttl, self: self, entries: map[string]entry{}}
}

// restart is for a new watch, which tells everything again.
func (r *roster) restart() { r.incoming = map[string]entry{} }

// complete is for a watch that has told everything there was.
func (r *roster) complete() {
	if r.incoming != nil {
		r.entries, r.incoming = r.incoming, nil
	}
	r.synced = true
}

// heard takes in what owner's key holds now. What is told again is no news.
func (r *roster) heard(now time.Time, owner string, e entry) {
	e.at = r.now(now)
	if known, ok := r.entries[owner]; ok && known.revision == e.revision {
		e.at = known.at
	}
	if r.incoming != nil {
		r.incoming[owner] = e
	} else {
		r.entries[owner] = e
	}
	if e.Instance == r.self && !e.left && e.revision > r.newest {
		r.newest = e.revision
		r.beat(now)
	}
}

// expired takes in that the server removed owner's key.
func (r *roster) expired(owner string) {
	if r.incoming != nil {
		delete(r.incoming, owner)
	} else {
		delete(r.entries, owner)
	}
}

// now is the time that counts. What passes beyond a beat that is due counts
// for one more and no longer.
func (r *roster) now(now time.Time) time.Duration {
	if r.last.IsZero() {
		return 0
	}
	return r.clock + min(now.Sub(r.last), r.ttl/leaseBeats*3/2)
}

// beat notes that all news until now have come.
func (r *roster) beat(now time.Time) {
	switch {
	case r.last.IsZero():
		r.steady, r.settle = now, r.ttl/2
	case now.Sub(r.last) > r.ttl/2:
		// Others may have to find the servers again first.
		r.steady, r.settle = now, r.ttl/2+reconnectMax
	}
	r.clock = r.now(now)
	r.last = now
	for owner, e := range r.entries {
		if r.clock-e.at > goodbyeTTL {
			delete(r.entries, owner)
		}
	}
}

// state is the verdict on owner.
func (r *roster) state(now time.Time, owner string) store.LeaseState {
	if !r.fresh(now) {
		return store.LeaseUnknown
	}
	e, ok := r.entries[owner]
	switch {
	case ok && e.left:
		return store.LeaseGone
	case ok && r.clock-e.at <= r.ttl+r.ttl/leaseSlack:
		return store.LeaseLive
	case r.last.Sub(r.steady) < r.settle:
		return store.LeaseUnknown
	}
	return store.LeaseGone
}

// fresh tells whether the news are not older than a lease.
func (r *roster) fresh(now time.Time) bool {
	return r.synced && !r.last.IsZero() && now.Sub(r.last) <= r.ttl
}

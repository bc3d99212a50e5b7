// Package dedupe remembers ids for a while, so that what carries one is acted
// on once.
package dedupe

import "time"

// Set is a bounded, expiring set of ids. It makes three promises: it never
// holds more than its capacity; an id is forgotten no earlier than its age
// demands, unless the capacity does; and which one the capacity forgets is
// always the one that was added first, so that two sets with the same history
// are equal.
//
// All memory is taken by New. Set reads no clock and is not safe for
// concurrent use.
type Set[K comparable] struct {
	maxAge time.Duration
	slots  []slot[K] // slots[0] is the anchor of the ring of held ids
	index  map[K]int32
	free   int32 // first of the unused slots, linked by next; 0 is none
}

// slot is a link in one of two chains: the ring of held ids in the order in
// which they were added, or the list of unused slots.
type slot[K comparable] struct {
	id         K
	added      time.Time
	prev, next int32
}

// MaxCapacity bounds a set so that its slots can be numbered with 32 bits;
// sixteen million ids are more than any sidecar should hold.
const MaxCapacity = 1 << 24

// New returns an empty set for up to capacity ids (at least 1, at most
// MaxCapacity), each held until it is maxAge old. With a maxAge of zero or
// less ids do not expire.
func New[K comparable](capacity int, maxAge time.Duration) *Set[K] {
	capacity = min(max(capacity, 1), MaxCapacity)
	s := &Set[K]{
		maxAge: maxAge,
		slots:  make([]slot[K], capacity+1),
		index:  make(map[K]int32, capacity),
	}
	for i := capacity; i > 0; i-- {
		s.release(int32(i))
	}
	return s
}

// Add holds id from now on and reports whether it was fresh. For one that is
// already held it returns false and changes nothing: a repetition must not
// lengthen the life of what it repeats. A now before that of an earlier Add
// counts as that one.
func (s *Set[K]) Add(now time.Time, id K) (fresh bool) {
	oldest, latest := &s.slots[0].next, &s.slots[0].prev
	if *latest != 0 && now.Before(s.slots[*latest].added) {
		// The ring stays ordered by age, and with it the expired ones stay
		// in front, whatever the clock does.
		now = s.slots[*latest].added
	}
	for *oldest != 0 && s.expired(now, *oldest) {
		s.drop(*oldest)
	}
	if _, held := s.index[id]; held {
		return false
	}
	if s.free == 0 {
		s.drop(*oldest)
	}
	i := s.free
	s.free = s.slots[i].next
	s.slots[i] = slot[K]{id: id, added: now, prev: *latest}
	s.slots[*latest].next = i
	*latest = i
	s.index[id] = i
	return true
}

// Contains reports whether id is held and, at now, not expired.
func (s *Set[K]) Contains(now time.Time, id K) bool {
	i, held := s.index[id]
	return held && !s.expired(now, i)
}

// Remove forgets id and reports whether it was held. What was removed is fresh
// again.
func (s *Set[K]) Remove(id K) bool {
	i, held := s.index[id]
	if held {
		s.drop(i)
	}
	return held
}

// Len returns how many ids take up capacity. Expired ones count until the
// next Add sweeps them out.
func (s *Set[K]) Len() int { return len(s.index) }

func (s *Set[K]) expired(now time.Time, i int32) bool {
	return s.maxAge > 0 && now.Sub(s.slots[i].added) >= s.maxAge
}

// drop takes slot i out of the ring.
func (s *Set[K]) drop(i int32) {
	e := &s.slots[i]
	delete(s.index, e.id)
	s.slots[e.prev].next = e.next
	s.slots[e.next].prev = e.prev
	s.release(i)
}

// release puts slot i on the list of unused ones. Clearing it lets go of what
// the id points to.
func (s *Set[K]) release(i int32) {
	s.slots[i] = slot[K]{next: s.free}
	s.free = i
}

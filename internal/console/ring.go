package console

import (
	"time"
	"unsafe"

	"github.com/wsresilience/wsresilience/event"
)

// A record is an event that is remembered.
type record struct {
	n  uint64 // its number: 1 is the first event of this process that was remembered
	at int64  // Unix nanoseconds
	e  event.Event
}

func (r *record) time() time.Time { return time.Unix(0, r.at).UTC() }

// recordCost is what a record costs beside its texts: itself, and two subjects.
const recordCost = int(unsafe.Sizeof(record{}) + 2*unsafe.Sizeof(event.Subject{}))

// cost counts texts as if nobody else had them.
func (r *record) cost() int {
	return recordCost + len(r.e.Subject.Path()) + len(r.e.Came.Path()) + len(r.e.Fact) + len(r.e.Owner) + len(r.e.Former) + len(r.e.Via)
}

// A ring remembers the latest records, at most so many bytes of them. What it never
// needed it does not hold. It is not safe for concurrent use.
type ring struct {
	maxBytes int

	list  []record
	first uint64 // number of the oldest record that is there, in this ring
	next  uint64 // of the one that comes
	bytes int
}

// leastRing is how many places a ring has at first.
const leastRing = 4

// add remembers r, and forgets the oldest ones for it.
func (g *ring) add(r record) {
	cost := r.cost()
	for g.first < g.next && g.bytes+cost > g.maxBytes {
		g.bytes -= g.at(g.first).cost()
		*g.at(g.first) = record{} // what it points to may go
		g.first++
	}
	if g.next-g.first == uint64(len(g.list)) {
		g.grow()
	}
	g.next++
	*g.at(g.next - 1) = r
	g.bytes += cost
}

// grow makes room for more, and for no more than can ever be there.
func (g *ring) grow() {
	grown := make([]record, max(leastRing, min(2*len(g.list), g.maxBytes/recordCost)))
	for i := g.first; i < g.next; i++ {
		grown[i%uint64(len(grown))] = *g.at(i)
	}
	g.list = grown
}

func (g *ring) at(i uint64) *record { return &g.list[i%uint64(len(g.list))] }

// each shows all records, the oldest first, until show returns false. They are the
// ring's own.
func (g *ring) each(show func(*record) bool) {
	for i := g.first; i < g.next; i++ {
		if !show(g.at(i)) {
			return
		}
	}
}

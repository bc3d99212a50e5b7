package console

import (
	"time"

	"github.com/wsresilience/wsresilience/event"
)

// A record is an event that is remembered.
type record struct {
	n  uint64 // its number: 1 is the first event of this process that was remembered
	at int64  // Unix nanoseconds
	e  event.Event
}

func (r *record) time() time.Time { return time.Unix(0, r.at).UTC() }

// What a record costs beside the text of its path, which others may share:
// itself, and its subject.
const recordCost = 256

func (r *record) cost() int { return recordCost + len(r.e.Subject.Path()) }

// A ring remembers the latest records, at most so many bytes of them. What it never
// needed it does not hold. It is not safe for concurrent use.
type ring struct {
	maxBytes int

	list  []record // a power of two of places
	first uint64   // number of the oldest record that is there, in this ring
	next  uint64   // of the one that comes
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
	if held := g.next - g.first; held == uint64(len(g.list)) {
		grown := make([]record, max(leastRing, 2*len(g.list)))
		for i := g.first; i < g.next; i++ {
			grown[i&uint64(len(grown)-1)] = *g.at(i)
		}
		g.list = grown
	}
	g.next++
	*g.at(g.next - 1) = r
	g.bytes += cost
}

func (g *ring) at(i uint64) *record { return &g.list[i&uint64(len(g.list)-1)] }

// each shows all records, the oldest first, until show returns false. They are the
// ring's own.
func (g *ring) each(show func(*record) bool) {
	for i := g.first; i < g.next; i++ {
		if !show(g.at(i)) {
			return
		}
	}
}

package idempotency

import (
	"container/list"
	"time"
)

// A Memory is a store within one process. It makes two promises: it holds no more
// bytes than its limit, and what it forgets before its time, for want of room, is
// what was written first. It reads no clock and is not safe for concurrent use.
type Memory struct {
	limit    int
	bytes    int
	revision uint64
	entries  map[Key]*list.Element // of *remembered
	order    list.List             // the one that was written first is in front
}

type remembered struct {
	key      Key
	entry    Entry
	revision uint64
	until    time.Time
}

// rememberedCost is what an entry costs beside its outcome.
const rememberedCost = 384

func (r *remembered) cost() int { return rememberedCost + len(r.entry.Outcome) }

// NewMemory returns an empty store that holds about so many bytes.
func NewMemory(limit int) *Memory {
	return &Memory{limit: limit, entries: map[Key]*list.Element{}}
}

// Put is what the Call asks for.
func (m *Memory) Put(now time.Time, c *Call) Result {
	el := m.entries[c.Key]
	if el != nil && !now.Before(el.Value.(*remembered).until) {
		m.remove(el)
		el = nil
	}
	var at uint64
	if el != nil {
		r := el.Value.(*remembered)
		if at = r.revision; at != c.Revision || c.Looks() {
			found := r.entry
			return Result{Revision: at, Found: &found}
		}
		m.remove(el)
	}
	if at != c.Revision {
		return Result{}
	}
	m.revision++
	r := &remembered{key: c.Key, entry: c.Entry, revision: m.revision, until: now.Add(c.TTL)}
	m.entries[c.Key] = m.order.PushBack(r)
	m.bytes += r.cost()
	for m.bytes > m.limit && m.order.Len() > 1 {
		m.remove(m.order.Front())
	}
	return Result{Written: true, Revision: m.revision}
}

func (m *Memory) remove(el *list.Element) {
	r := m.order.Remove(el).(*remembered)
	delete(m.entries, r.key)
	m.bytes -= r.cost()
}

// Bytes returns what the store holds.
func (m *Memory) Bytes() int { return m.bytes }

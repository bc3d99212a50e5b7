package console

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/wire"
)

// Implementation limits of what is remembered: 5 MiB in all, however long paths
// are, and nothing before something happens.
const (
	// shards keep one session, which may come and go as fast as it likes, from
	// pushing out what happened to others: it has the room of its shard. Sessions
	// on different threads rarely wait for each other either.
	shards = 32

	notableBytes = 120 << 10 // of a shard
	routineBytes = 20 << 10  // of a shard
	endedBytes   = 160 << 10
)

// A History remembers what happened lately. Nothing of it is kept with a session:
// an idle one costs nothing. It is the proxy's observer, and safe for concurrent
// use. Make it with NewHistory.
type History struct {
	n      atomic.Uint64
	shards [shards + 1]shard // the last one is for what is about no session
	ended  [2]endings        // by event.ClientKind

	followers followers
}

// A shard is the latest of some sessions: apart from each other what explains why
// somebody was disconnected, and what happens all the time.
type shard struct {
	mu               sync.Mutex
	notable, routine ring
}

// Endings are the latest ends of one kind of client.
type endings struct {
	mu   sync.Mutex
	list ring
}

// NewHistory makes one that remembers nothing yet.
func NewHistory() *History {
	h := new(History)
	for i := range h.shards {
		h.shards[i].notable.maxBytes, h.shards[i].routine.maxBytes = notableBytes, routineBytes
	}
	for i := range h.ended {
		h.ended[i].list.maxBytes = endedBytes
	}
	return h
}

// Observe implements event.Observer: it remembers e, if that tells an operator
// something.
func (h *History) Observe(e event.Event) {
	w := weigh(&e)
	if w == untold {
		return
	}
	e.Record = nil // it is only there until Observe returns
	r := record{n: h.n.Add(1), at: time.Now().UnixNano(), e: e}
	s := h.shard(e.Session)
	s.mu.Lock()
	if w == routine {
		s.routine.add(r)
	} else {
		s.notable.add(r)
	}
	s.mu.Unlock()
	if e.Kind == event.Ended {
		l := &h.ended[e.Client]
		l.mu.Lock()
		l.list.add(r)
		l.mu.Unlock()
	}
	if len(h.followers.all()) > 0 {
		h.followers.tell(r)
	}
}

// shard is where the events of a session are. Ids are random, or hashes.
func (h *History) shard(id wire.SessionID) *shard {
	if id == (wire.SessionID{}) {
		return &h.shards[shards]
	}
	return &h.shards[id[0]%shards]
}

// of returns what is remembered of one session, the oldest first.
func (h *History) of(id wire.SessionID, limit int) []record {
	return latest(limit, h.shard(id).copied(func(r *record) bool { return r.e.Session == id }))
}

// since returns what is remembered behind number n, the oldest first: the latest
// ones, if there are more.
func (h *History) since(n uint64, limit int, wanted func(*record) bool) []record {
	var all []record
	for i := range h.shards {
		some := h.shards[i].copied(func(r *record) bool { return r.n > n && wanted(r) })
		all = latest(limit, append(all, some...))
	}
	return latest(limit, all)
}

func (s *shard) copied(wanted func(*record) bool) (list []record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range []*ring{&s.notable, &s.routine} {
		g.each(func(r *record) bool {
			if wanted(r) {
				list = append(list, *r)
			}
			return true
		})
	}
	return list
}

// ends returns the latest ends of sessions and plain connections, the newest first.
func (h *History) ends(limit int, wanted func(*record) bool) (list []record) {
	for i := range h.ended {
		l := &h.ended[i]
		l.mu.Lock()
		l.list.each(func(r *record) bool {
			if wanted(r) {
				list = append(list, *r)
			}
			return true
		})
		l.mu.Unlock()
	}
	list = latest(limit, list)
	slices.Reverse(list)
	return list
}

// ids adds the ids that begin so, of sessions of which something is remembered.
func (h *History) ids(beginning string, found map[wire.SessionID]bool) {
	note := func(r *record) bool {
		if r.e.Session != (wire.SessionID{}) && strings.HasPrefix(r.e.Session.String(), beginning) {
			found[r.e.Session] = true
		}
		return false
	}
	for i := range h.shards {
		h.shards[i].copied(note)
	}
	h.ends(0, note)
}

// end returns how a session, or a plain connection, ended here last.
func (h *History) end(id wire.SessionID) (last record, ok bool) {
	for _, r := range h.ends(1, func(r *record) bool { return r.e.Session == id }) {
		return r, true
	}
	return last, false
}

// latest sorts records by number and drops the oldest beyond limit.
func latest(limit int, list []record) []record {
	slices.SortFunc(list, func(a, b record) int { return cmp.Compare(a.n, b.n) })
	return list[max(0, len(list)-limit):]
}

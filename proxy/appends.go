package proxy

import (
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/internal/monotime"
	"github.com/wsresilience/wsresilience/internal/rate"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/store"
)

// Implementation limits of appends.
const (
	// appendWorkers append at a time, each one session's record. They keep the way
	// to the journal full; thousands at once, as after a message to all sessions,
	// would only wait for each other until some of them are too late.
	appendWorkers = 64

	// slowAppend is how long an append may take until it does not count as one of
	// them any more: a part of the journal that does not answer must not hold up
	// the rest.
	slowAppend = 100 * time.Millisecond
)

// An appendQueue has the records of all sessions that are to be appended, the
// oldest first, and those who do it. It is safe for concurrent use.
type appendQueue struct {
	// These are set before use.
	work   *sync.WaitGroup // has the workers
	append func(*sessionDriver, *store.Record) session.PersistResult
	told   func(*sessionDriver, session.PersistResult)

	mu      sync.Mutex // guards the rest
	waiting []pendingAppend
	workers map[*appendWorker]struct{}
	relief  *time.Timer // runs while records wait
	bytes   int64       // held by the records, those under way included
}

type pendingAppend struct {
	c    *sessionDriver
	rec  *store.Record
	size int64
}

// An appendWorker is one goroutine, which ends when nothing waits.
type appendWorker struct{ since monotime.Time } // of its append; guarded by the queue's mu

// add has a record appended soon. It does not wait.
func (q *appendQueue) add(c *sessionDriver, rec *store.Record) {
	p := pendingAppend{c, rec, recordBytes(rec)}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.bytes += p.size
	q.waiting = append(q.waiting, p)
	q.employLocked(appendWorkers)
	if len(q.waiting) > 0 && q.relief == nil {
		q.relief = time.AfterFunc(slowAppend, q.relieve)
	}
}

// employLocked has as many workers as there are records, and at most so many.
func (q *appendQueue) employLocked(most int) {
	for len(q.waiting) > 0 && len(q.workers) < most {
		if q.workers == nil {
			q.workers = make(map[*appendWorker]struct{})
		}
		w := new(appendWorker)
		p := q.takeLocked(w)
		q.workers[w] = struct{}{}
		q.work.Go(func() { q.run(w, p) })
	}
}

func (q *appendQueue) takeLocked(w *appendWorker) pendingAppend {
	p := q.waiting[0]
	q.waiting[0] = pendingAppend{}
	if q.waiting = q.waiting[1:]; len(q.waiting) == 0 {
		q.waiting = nil
	}
	w.since = monotime.Now()
	return p
}

// run appends until nothing waits.
func (q *appendQueue) run(w *appendWorker, p pendingAppend) {
	for ok := true; ok; {
		r := q.append(p.c, p.rec)
		q.mu.Lock()
		q.bytes -= p.size
		last := p.c
		if ok = len(q.waiting) > 0; ok {
			p = q.takeLocked(w)
		} else {
			delete(q.workers, w)
		}
		q.mu.Unlock()
		q.told(last, r)
	}
}

// relieve puts others in the place of those whose appends take long.
func (q *appendQueue) relieve() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.relief = nil
		return
	}
	slow, before := 0, monotime.Now().Add(-slowAppend)
	for w := range q.workers {
		if w.since <= before {
			slow++
		}
	}
	q.employLocked(slow + appendWorkers)
	q.relief.Reset(slowAppend)
}

// load returns how many records are waiting and under way, and what they hold.
func (q *appendQueue) load() (records int, bytes int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting) + len(q.workers), q.bytes
}

// earlyLimit is how many records a second are of messages that their clients may
// acknowledge in a moment, and how many of messages to clients that are away. A record costs as much as two or three round trips of
// a message, so that a sidecar whose clients have all become slow, for want of
// processor time perhaps, would have the more to do the slower they are.
var earlyLimit = rate.Limit{N: 20, Per: 100 * time.Millisecond}

// earlyRecords counts them. It is safe for concurrent use.
type earlyRecords struct {
	mu     sync.Mutex
	bucket rate.Bucket // guarded by mu
}

// take reports whether there may be another one now, which then counts.
func (e *earlyRecords) take() bool {
	now := monotime.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.bucket.Wait(now, earlyLimit) > 0 {
		return false
	}
	e.bucket.Take(now, earlyLimit, 1)
	return true
}

package proxy

import (
	"container/heap"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/internal/monotime"
)

// timers wake drivers when something is due. All have one timer of the runtime
// together: one each, and the function it calls, would be two more small objects
// for every idle session, each keeping a page of the heap from being given back.
// It is safe for concurrent use. Whoever holds a session's lock may take the
// timers', never the other way round.
type timers struct {
	mu    sync.Mutex // guards the rest, and slot of every driver
	queue timerQueue
	timer *time.Timer
	next  monotime.Time    // when timer fires; 0 if it does not
	spare []*sessionDriver // memory for what take returns

	late func(time.Duration) // hears how late each firing is; nil: nobody does. Set before use
}

// set schedules c.tick for due, replacing an earlier time.
func (t *timers) set(c *sessionDriver, due monotime.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if slot := c.slot; slot == 0 {
		t.queue.due = due
		heap.Push(&t.queue, c)
	} else {
		t.queue.list[slot-1].due = due
		heap.Fix(&t.queue, slot-1)
	}
	t.armLocked()
}

// stop cancels it. A tick that has fired already may still run.
func (t *timers) stop(c *sessionDriver) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.slot != 0 {
		heap.Remove(&t.queue, c.slot-1)
	}
}

// armLocked makes the runtime's timer fire no later than the first one is due. It
// may fire with nothing due.
func (t *timers) armLocked() {
	first := t.queue.first()
	if first == 0 || t.next != 0 && t.next <= first {
		return
	}
	t.next = first
	wait := max(0, t.next.Sub(monotime.Now()))
	if t.timer == nil {
		t.timer = time.AfterFunc(wait, t.fire)
		return
	}
	t.timer.Reset(wait)
}

// fire calls tick of the sessions that are due.
func (t *timers) fire() {
	due, late := t.take()
	if len(due) > 0 && t.late != nil {
		t.late(late)
	}
	for _, c := range due {
		c.tick()
	}
	clear(due)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.spare = due[:0]
}

// take removes the sessions that are due from the queue, and returns them, and how
// late it is for the first of them.
func (t *timers) take() (due []*sessionDriver, late time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	due = t.spare
	t.spare = nil
	now := monotime.Now()
	if first := t.queue.first(); first != 0 {
		late = now.Sub(first)
	}
	for at := t.queue.first(); at != 0 && at <= now; at = t.queue.first() {
		due = append(due, heap.Pop(&t.queue).(*sessionDriver))
	}
	t.next = 0
	t.armLocked()
	return due, late
}

// timerQueue is a heap (container/heap), the first one due in front.
type timerQueue struct {
	list []timer
	due  monotime.Time // of the one that is pushed
}

type timer struct {
	due monotime.Time
	c   *sessionDriver
}

// first is when somebody is due; 0 if nobody waits.
func (q *timerQueue) first() monotime.Time {
	if len(q.list) == 0 {
		return 0
	}
	return q.list[0].due
}

func (q *timerQueue) Len() int           { return len(q.list) }
func (q *timerQueue) Less(i, j int) bool { return q.list[i].due < q.list[j].due }

func (q *timerQueue) Swap(i, j int) {
	q.list[i], q.list[j] = q.list[j], q.list[i]
	q.list[i].c.slot, q.list[j].c.slot = i+1, j+1
}

func (q *timerQueue) Push(x any) {
	c := x.(*sessionDriver)
	q.list = append(q.list, timer{q.due, c})
	c.slot = len(q.list)
}

func (q *timerQueue) Pop() any {
	last := len(q.list) - 1
	c := q.list[last].c
	q.list[last] = timer{}
	q.list = q.list[:last]
	c.slot = 0
	return c
}

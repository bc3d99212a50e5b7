package proxy

import (
	"container/heap"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/internal/monotime"
)

// alarms wake conduits when something is due. All have one timer of the runtime
// together: one each, and the function it calls, would be two more small objects
// for every idle session, each keeping a page of the heap from being given back.
// It is safe for concurrent use. Whoever holds a conduit's lock may take the
// alarms', never the other way round.
type alarms struct {
	mu    sync.Mutex // guards the rest, and slot of every conduit
	queue alarmQueue
	timer *time.Timer
	next  monotime.Time // when timer fires; 0 if it does not
	spare []*conduit    // memory for those who are due
}

// set makes c.tick be called at a time, and at no other.
func (a *alarms) set(c *conduit, due monotime.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if slot := c.slot; slot == 0 {
		a.queue.due = due
		heap.Push(&a.queue, c)
	} else {
		a.queue.list[slot-1].due = due
		heap.Fix(&a.queue, slot-1)
	}
	a.arm()
}

// stop makes c.tick not be called, unless it is about to be.
func (a *alarms) stop(c *conduit) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c.slot != 0 {
		heap.Remove(&a.queue, c.slot-1)
	}
}

// arm sees to it that the timer does not fire later than the first is due. It
// may fire for nothing. The caller holds the lock.
func (a *alarms) arm() {
	first := a.queue.first()
	if first == 0 || a.next != 0 && a.next <= first {
		return
	}
	a.next = first
	wait := max(0, a.next.Sub(monotime.Now()))
	if a.timer == nil {
		a.timer = time.AfterFunc(wait, a.fire)
		return
	}
	a.timer.Reset(wait)
}

// fire calls those who are due.
func (a *alarms) fire() {
	due := a.take()
	for _, c := range due {
		c.tick()
	}
	clear(due)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.spare = due[:0]
}

// take returns those who are due, and lets them wait no more.
func (a *alarms) take() []*conduit {
	a.mu.Lock()
	defer a.mu.Unlock()
	due := a.spare
	a.spare = nil
	now := monotime.Now()
	for at := a.queue.first(); at != 0 && at <= now; at = a.queue.first() {
		due = append(due, heap.Pop(&a.queue).(*conduit))
	}
	a.next = 0
	a.arm()
	return due
}

// alarmQueue is a heap (container/heap), the first one due in front.
type alarmQueue struct {
	list []alarm
	due  monotime.Time // of the one that is pushed
}

type alarm struct {
	due monotime.Time
	c   *conduit
}

// first is when somebody is due; 0 if nobody waits.
func (q *alarmQueue) first() monotime.Time {
	if len(q.list) == 0 {
		return 0
	}
	return q.list[0].due
}

func (q *alarmQueue) Len() int           { return len(q.list) }
func (q *alarmQueue) Less(i, j int) bool { return q.list[i].due < q.list[j].due }

func (q *alarmQueue) Swap(i, j int) {
	q.list[i], q.list[j] = q.list[j], q.list[i]
	q.list[i].c.slot, q.list[j].c.slot = i+1, j+1
}

func (q *alarmQueue) Push(x any) {
	c := x.(*conduit)
	q.list = append(q.list, alarm{q.due, c})
	c.slot = len(q.list)
}

func (q *alarmQueue) Pop() any {
	last := len(q.list) - 1
	c := q.list[last].c
	q.list[last] = alarm{}
	q.list = q.list[:last]
	c.slot = 0
	return c
}

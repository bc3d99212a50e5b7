package proxy

import (
	"container/heap"
	"sync"
	"time"
)

// alarms wake conduits when something is due. All have one timer of the runtime
// together: one each, and the function it calls, would be two more small objects
// for every idle session, each keeping a page of the heap from being given back.
// It is safe for concurrent use. Whoever holds a conduit's lock may take the
// alarms', never the other way round.
type alarms struct {
	began time.Time // times count from here

	mu    sync.Mutex // guards the rest, and alarm of every conduit
	queue alarmQueue
	timer *time.Timer
	next  time.Duration // when timer fires; 0 if it does not
	spare []*conduit    // memory for those who are due
}

// An alarm is a conduit's place among those who wait.
type alarm struct {
	due  time.Duration
	slot int // in the queue, from 1; 0: in none
}

// set makes c.tick be called at a time, and at no other.
func (a *alarms) set(c *conduit, due time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c.alarm.due = due
	if c.alarm.slot == 0 {
		heap.Push(&a.queue, c)
	} else {
		heap.Fix(&a.queue, c.alarm.slot-1)
	}
	a.arm()
}

// stop makes c.tick not be called, unless it is about to be.
func (a *alarms) stop(c *conduit) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c.alarm.slot != 0 {
		heap.Remove(&a.queue, c.alarm.slot-1)
	}
}

// arm sees to it that the timer does not fire later than the first is due. It
// may fire for nothing. The caller holds the lock.
func (a *alarms) arm() {
	if len(a.queue) == 0 || a.next != 0 && a.next <= a.queue[0].alarm.due {
		return
	}
	a.next = a.queue[0].alarm.due
	wait := max(0, a.next-time.Since(a.began))
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
	now := time.Since(a.began)
	for len(a.queue) > 0 && a.queue[0].alarm.due <= now {
		due = append(due, heap.Pop(&a.queue).(*conduit))
	}
	a.next = 0
	a.arm()
	return due
}

// alarmQueue is a heap (container/heap), the first one due in front.
type alarmQueue []*conduit

func (q alarmQueue) Len() int           { return len(q) }
func (q alarmQueue) Less(i, j int) bool { return q[i].alarm.due < q[j].alarm.due }

func (q alarmQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].alarm.slot, q[j].alarm.slot = i+1, j+1
}

func (q *alarmQueue) Push(x any) {
	c := x.(*conduit)
	*q = append(*q, c)
	c.alarm.slot = len(*q)
}

func (q *alarmQueue) Pop() any {
	old := *q
	c := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	c.alarm.slot = 0
	return c
}

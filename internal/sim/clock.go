package sim

import "time"

// began is when every history begins.
var began = time.Unix(1_800_000_000, 0)

// A clock has the events of a fleet, which happen one after the other.
type clock struct {
	now    time.Time
	queue  events
	serial uint64
	still  int // events in a row while no time has passed
}

// maxStill is how many events may happen at one time: more, and something is due for
// ever.
const maxStill = 20_000

type event struct {
	at     int64  // Unix time, ns
	serial uint64 // of events at one time, the earlier one goes first
	run    func()
}

// events are a heap, the next one first.
type events []event

func (e *event) before(f *event) bool { return e.at < f.at || e.at == f.at && e.serial < f.serial }

func (q *events) push(e event) {
	h := append(*q, e)
	i := len(h) - 1
	for i > 0 {
		up := (i - 1) / 4
		if !e.before(&h[up]) {
			break
		}
		h[i], i = h[up], up
	}
	h[i] = e
	*q = h
}

func (q *events) pop() event {
	h := *q
	first, e := h[0], h[len(h)-1]
	h[len(h)-1] = event{}
	h = h[:len(h)-1]
	*q = h
	if len(h) == 0 {
		return first
	}
	i := 0
	for {
		next := 4*i + 1
		if next >= len(h) {
			break
		}
		for k, end := next+1, min(next+4, len(h)); k < end; k++ {
			if h[k].before(&h[next]) {
				next = k
			}
		}
		if !h[next].before(&e) {
			break
		}
		h[i], i = h[next], next
	}
	h[i] = e
	return first
}

// at has run called at a time, or as soon as can be.
func (c *clock) at(t time.Time, run func()) {
	if t.Before(c.now) {
		t = c.now
	}
	c.serial++
	c.queue.push(event{t.UnixNano(), c.serial, run})
}

// after has run called when d has passed.
func (c *clock) after(d time.Duration, run func()) { c.at(c.now.Add(d), run) }

// runUntil lets everything happen up to a time. It reports false if time stands still.
func (c *clock) runUntil(end time.Time) bool {
	for last := end.UnixNano(); len(c.queue) > 0 && c.queue[0].at <= last; {
		e := c.queue.pop()
		at := began.Add(time.Duration(e.at - began.UnixNano()))
		if c.still++; at.After(c.now) {
			c.still = 0
		}
		if c.now = at; c.still > maxStill {
			return false
		}
		e.run()
	}
	c.now = end
	return true
}

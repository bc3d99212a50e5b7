package httpguard

import (
	"container/list"
	"net/netip"
	"sync"
	"time"
)

// turnPatience is how long a handshake waits for its turn: as long as a request's
// head may take. Whoever began it has given up by then.
const turnPatience = 10 * time.Second

// turns says which handshakes compute: so many at once, and then by address, one
// after the other, so that who makes a thousand waits a thousand times as long as
// who makes one. Of those of one address, such as were answered come first, since
// they are half done; then the newest, since in a flood the old ones have been given
// up, and would be computed for nobody. The zero value lets none compute; it is safe
// for concurrent use.
type turns struct {
	rest int // after a turn its place rests so many times as long as it took

	mu    sync.Mutex
	free  int                          // places
	lines map[netip.Addr]*list.Element // in order
	order list.List                    // of *turnLine; the first has its turn next
}

// A turnLine has those of one address that wait.
type turnLine struct {
	source   netip.Addr
	answered list.List // of *waiter, the newest first
	fresh    list.List
}

// A waiter is a handshake that waits for its turn.
type waiter struct {
	since   time.Time
	granted chan bool // has room for the answer

	line *turnLine     // nil: it waits no more
	in   *list.List    // of line
	at   *list.Element // in it
}

// take waits for a place, and reports whether there is one: not for a handshake that
// has waited for turnPatience, or that left. waits is called before it waits.
func (t *turns) take(source netip.Addr, answered bool, waits func(*waiter)) bool {
	t.mu.Lock()
	if t.free > 0 {
		t.free--
		t.mu.Unlock()
		return true
	}
	w := &waiter{since: time.Now(), granted: make(chan bool, 1)}
	t.addLocked(w, source, answered)
	t.mu.Unlock()
	waits(w)
	return <-w.granted
}

func (t *turns) addLocked(w *waiter, source netip.Addr, answered bool) {
	e := t.lines[source]
	if e == nil {
		if t.lines == nil {
			t.lines = map[netip.Addr]*list.Element{}
		}
		e = t.order.PushBack(&turnLine{source: source})
		t.lines[source] = e
	}
	w.line = e.Value.(*turnLine)
	w.in = &w.line.fresh
	if answered {
		w.in = &w.line.answered
	}
	w.at = w.in.PushFront(w)
	for _, in := range []*list.List{&w.line.fresh, &w.line.answered} {
		if last := in.Back(); last != nil {
			if old := last.Value.(*waiter); w.since.Sub(old.since) > turnPatience {
				t.endLocked(old, false)
			}
		}
	}
}

// give ends a turn that took so long.
func (t *turns) give(took time.Duration) {
	if t.rest > 0 {
		time.AfterFunc(time.Duration(t.rest)*took, t.next)
		return
	}
	t.next()
}

// next gives a place to whose turn it is.
func (t *turns) next() {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	for e := t.order.Front(); e != nil; e = t.order.Front() {
		line := e.Value.(*turnLine)
		first := line.answered.Front()
		if first == nil {
			first = line.fresh.Front()
		}
		w := first.Value.(*waiter)
		t.order.MoveToBack(e)
		late := now.Sub(w.since) > turnPatience
		t.endLocked(w, !late)
		if !late {
			return
		}
	}
	t.free++
}

// leave ends the wait of who does not want a turn any more.
func (t *turns) leave(w *waiter) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if w.line != nil {
		t.endLocked(w, false)
	}
}

func (t *turns) endLocked(w *waiter, granted bool) {
	line := w.line
	w.in.Remove(w.at)
	w.line = nil
	w.granted <- granted
	if line.answered.Len()+line.fresh.Len() == 0 {
		t.order.Remove(t.lines[line.source])
		delete(t.lines, line.source)
	}
}

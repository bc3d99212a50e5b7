package passthrough

import (
	"cmp"
	"slices"
	"time"
)

// Implementation limits on connections that wait for a request, its first one or
// another.
const (
	// maxWaiting is how many there may be: each costs some ten kilobytes, and who
	// makes it costs nothing.
	maxWaiting = 4096

	// waitingFree is how many are closed at a time, so that they are not looked at
	// for each that comes.
	waitingFree = maxWaiting / 8

	// waitingLeast is what each may wait in any case: a request that was sent right
	// away may not have been read yet.
	waitingLeast = 250 * time.Millisecond
)

// makeRoom closes those connections that have waited longest for a request, if
// there are too many. It does not return before there is room.
func (h *Handler) makeRoom() {
	for h.tooManyWait(time.Now()) {
		time.Sleep(waitingLeast / 25)
	}
}

// tooManyWait closes what may be closed, and reports whether there are too many
// left.
func (h *Handler) tooManyWait(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.clients) <= maxWaiting || h.stopping {
		return false
	}
	type waiter struct {
		c     *client
		since time.Time
	}
	var list []waiter
	for c := range h.clients {
		if since, waits := c.waits(); waits {
			list = append(list, waiter{c, since})
		}
	}
	if len(list) <= maxWaiting {
		return false
	}
	slices.SortFunc(list, func(a, b waiter) int { return cmp.Compare(a.since.UnixNano(), b.since.UnixNano()) })
	closed := 0
	for _, w := range list[:min(waitingFree, len(list))] {
		if now.Sub(w.since) < waitingLeast {
			break
		}
		w.c.close()
		delete(h.clients, w.c)
		closed++
	}
	return closed == 0
}

// waits reports whether the connection waits for a request or the rest of its
// head, and since when.
func (c *client) waits() (since time.Time, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.since, !c.pending && !c.sending && !c.parting && !c.shaking
}

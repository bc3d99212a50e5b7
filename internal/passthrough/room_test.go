package passthrough

import (
	"net"
	"testing"
	"time"
)

// Of too many connections that wait for a request, those that have waited longest
// are closed; none that has just come, and none with a request under way.
func TestMakeRoom(t *testing.T) {
	now := time.Now()
	h := &Handler{clients: map[*client]struct{}{}}
	conn := func() net.Conn {
		c, other := net.Pipe()
		t.Cleanup(func() { other.Close() })
		return c
	}
	add := func(age time.Duration) *client {
		c := &client{h: h, conn: conn(), since: now.Add(-age)}
		h.clients[c] = struct{}{}
		return c
	}
	busy := add(time.Hour)
	busy.pending = true
	oldest := add(time.Minute)
	for range maxWaiting - 1 {
		add(0)
	}
	if h.tooManyWait(now) || len(h.clients) != maxWaiting+1 {
		t.Fatal("there are too many before there are")
	}
	last := add(0)
	if h.tooManyWait(now) {
		t.Error("nothing was closed")
	}
	_, hasOldest := h.clients[oldest]
	_, hasBusy := h.clients[busy]
	_, hasLast := h.clients[last]
	if hasOldest || !hasBusy || !hasLast || len(h.clients) != maxWaiting+1 {
		t.Errorf("oldest %v, busy %v, last %v, %d in all", hasOldest, hasBusy, hasLast, len(h.clients))
	}
	add(0)
	if !h.tooManyWait(now) || len(h.clients) != maxWaiting+2 {
		t.Error("connections that have just come are closed")
	}
	if h.tooManyWait(now.Add(time.Second)) || len(h.clients) != maxWaiting+2-waitingFree {
		t.Errorf("%d are left", len(h.clients))
	}
}

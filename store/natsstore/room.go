package natsstore

import (
	"container/list"
	"context"
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/store"
)

const (
	// blockBytes is what the embedded server may take for a request: it compares
	// the revision with the subject's last message, and for that reads the block
	// of the stream that holds it. With many sessions that write now and then,
	// each is in another block.
	blockBytes = 8 << 20

	// slack is the part of the process's limit that requests leave alone: the rest
	// of the process takes memory meanwhile, and what the server has just given
	// back is not free at once.
	slack = 8

	// collections are as many as it takes until such a block is given back: the
	// server keeps it in a sync.Pool, which holds on for two more.
	collections = 3

	// collectPause is the least pause between two collections, and maxCollectPause the
	// longest. Between them it is collectRest times as long as the last one took, so
	// that a process without memory has most of its time for something else.
	collectPause    = 50 * time.Millisecond
	maxCollectPause = 400 * time.Millisecond
	collectRest     = 4
)

// A room makes requests to the embedded server wait while the process has no
// memory for what the server takes (GOMEMLIMIT): it would go on reading blocks
// faster than the collector finds those that nobody needs, and the limit of the
// Go runtime is none of the kernel's. Requests go on in the order in which they came:
// to wake hundreds for one place would take longer than the request. It is safe for
// concurrent use.
type room struct {
	limit   int64        // bytes; math.MaxInt64: none
	used    func() int64 // bytes that count against limit
	collect func()

	mu         sync.Mutex
	held       int64     // requests that are under way
	waiting    list.List // of *roomWaiter, the first goes on next
	collecting bool      // a collection is under way, or the pause after it
	vain       int       // collections since a request went on
	collected  uint64    // how often
}

// A roomWaiter is a request that waits.
type roomWaiter struct {
	goesOn chan struct{} // closed when it does
	held   bool
}

// newRoom returns a room with the limit of this process, as it is now.
func newRoom() *room {
	limit := debug.SetMemoryLimit(-1)
	if limit != math.MaxInt64 {
		limit -= limit / slack
	}
	return &room{limit: limit, used: memoryUsed, collect: runtime.GC}
}

// memoryUsed is what counts against the memory limit.
func memoryUsed() int64 {
	list := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(list)
	return int64(list[0].Value.Uint64() - list[1].Value.Uint64())
}

// enter waits until there is memory for one more request. A request that is alone
// goes on after some collections, whatever they have found. leave follows, unless it
// failed because ctx has ended.
func (r *room) enter(ctx context.Context) error {
	if r == nil || r.limit == math.MaxInt64 {
		return nil
	}
	r.mu.Lock()
	w := &roomWaiter{goesOn: make(chan struct{})}
	at := r.waiting.PushBack(w)
	if r.waiting.Len() == 1 { // otherwise the first does not fit
		r.admitLocked()
	}
	r.mu.Unlock()
	select {
	case <-w.goesOn:
		return nil
	case <-ctx.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if w.held {
		return nil // just now
	}
	r.waiting.Remove(at)
	return fmt.Errorf("natsstore: %w: no memory for the embedded journal: %w", store.ErrUnavailable, context.Cause(ctx))
}

// admitLocked lets those go on for whom there is memory, and looks for some if there
// is none for anybody.
func (r *room) admitLocked() {
	for first := r.waiting.Front(); first != nil && r.fitsLocked(); first = r.waiting.Front() {
		w := r.waiting.Remove(first).(*roomWaiter)
		w.held = true
		r.held++
		r.vain = 0
		close(w.goesOn)
	}
	if r.waiting.Len() > 0 && r.held == 0 && !r.collecting {
		r.collecting = true
		go r.collectOnce()
	}
}

func (r *room) fitsLocked() bool {
	return r.held == 0 && r.vain >= collections || r.used()+(r.held+1)*blockBytes <= r.limit
}

// collectOnce collects, and has the pause that follows begin.
func (r *room) collectOnce() {
	began := time.Now()
	r.collect()
	time.AfterFunc(min(max(collectRest*time.Since(began), collectPause), maxCollectPause), func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.collecting = false
		r.collected++
		r.vain++
		r.admitLocked()
	})
}

// leave ends what enter began.
func (r *room) leave() {
	if r == nil || r.limit == math.MaxInt64 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held--
	r.admitLocked()
}

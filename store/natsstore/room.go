package natsstore

import (
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

	// collectPause is the least pause between two collections, so that a process
	// without memory does something else too.
	collectPause = 50 * time.Millisecond
)

// A room makes requests to the embedded server wait while the process has no
// memory for what the server takes (GOMEMLIMIT): it would go on reading blocks
// faster than the collector finds those that nobody needs, and the limit of the
// Go runtime is none of the kernel's. It is safe for concurrent use.
type room struct {
	limit   int64        // bytes; math.MaxInt64: none
	used    func() int64 // bytes that count against limit
	collect func()
	pause   time.Duration // after a collection

	mu         sync.Mutex
	held       int64         // requests that are under way
	collecting bool          // somebody does
	collected  uint64        // how often
	changed    chan struct{} // closed when one of these changes
}

// newRoom returns a room with the limit of this process, as it is now.
func newRoom() *room {
	limit := debug.SetMemoryLimit(-1)
	if limit != math.MaxInt64 {
		limit -= limit / slack
	}
	return &room{limit: limit, used: memoryUsed, collect: runtime.GC, pause: collectPause, changed: make(chan struct{})}
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
	defer r.mu.Unlock()
	for began := r.collected; !r.fitsLocked(began); {
		if r.held == 0 && !r.collecting {
			r.collectLocked(ctx)
		} else {
			changed := r.changed
			r.mu.Unlock()
			select {
			case <-changed:
			case <-ctx.Done():
			}
			r.mu.Lock()
		}
		if ctx.Err() != nil {
			return fmt.Errorf("natsstore: %w: no memory for the embedded journal: %w", store.ErrUnavailable, context.Cause(ctx))
		}
	}
	r.held++
	return nil
}

func (r *room) fitsLocked(began uint64) bool {
	return r.held == 0 && r.collected >= began+collections || r.used()+(r.held+1)*blockBytes <= r.limit
}

func (r *room) collectLocked(ctx context.Context) {
	r.collecting = true
	r.mu.Unlock()
	r.collect()
	select {
	case <-time.After(r.pause):
	case <-ctx.Done():
	}
	r.mu.Lock()
	r.collecting = false
	r.collected++
	r.tellLocked()
}

// leave ends what enter began.
func (r *room) leave() {
	if r == nil || r.limit == math.MaxInt64 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held--
	r.tellLocked()
}

func (r *room) tellLocked() {
	close(r.changed)
	r.changed = make(chan struct{})
}

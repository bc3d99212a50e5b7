package natsstore

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsresilience/wsresilience/store"
)

// roomOf has room for so many requests beside what is used; a collection frees
// what frees says.
func roomOf(n int64, frees func()) (r *room, used *atomic.Int64) {
	used = new(atomic.Int64)
	r = &room{limit: 100<<20 + n*blockBytes, used: used.Load, pause: collectPause, changed: make(chan struct{})}
	r.collect = func() {
		time.Sleep(10 * time.Millisecond)
		if frees != nil {
			frees()
		}
	}
	used.Store(100 << 20)
	return r, used
}

// TestRoom: as many requests as fit are under way, and the next goes on when one
// has ended.
func TestRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := roomOf(3, nil)
		var in, most, done atomic.Int64
		var work sync.WaitGroup
		for range 20 {
			work.Go(func() {
				if err := r.enter(t.Context()); err != nil {
					t.Error(err)
					return
				}
				n := in.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				time.Sleep(time.Second)
				in.Add(-1)
				done.Add(1)
				r.leave()
			})
		}
		work.Wait()
		if most.Load() != 3 || done.Load() != 20 || r.collected != 0 || r.held != 0 {
			t.Errorf("%d at a time, %d in all, %d collections, %d are still there", most.Load(), done.Load(), r.collected, r.held)
		}
	})
}

// TestRoomCollects: where nothing fits, what nobody needs is looked for; and where
// there is none, requests go on one by one.
func TestRoomCollects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var used *atomic.Int64
		r, used := roomOf(0, func() { used.Add(-blockBytes / 2) })
		if err := r.enter(t.Context()); err != nil || r.collected != 2 {
			t.Errorf("%v after %d collections, want 2", err, r.collected)
		}
		r.leave()
	})
	synctest.Test(t, func(t *testing.T) {
		r, _ := roomOf(0, nil)
		var in, done atomic.Int64
		var work sync.WaitGroup
		for range 3 {
			work.Go(func() {
				if err := r.enter(t.Context()); err != nil {
					t.Error(err)
					return
				}
				if in.Add(1) > 1 {
					t.Error("two at a time without memory")
				}
				time.Sleep(time.Second)
				in.Add(-1)
				done.Add(1)
				r.leave()
			})
		}
		work.Wait()
		if done.Load() != 3 || r.collected > 3*collections {
			t.Errorf("%d of 3 after %d collections", done.Load(), r.collected)
		}
	})
}

// TestRoomEnds: who waits for longer than it may fails, and holds nothing.
func TestRoomEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := roomOf(1, nil)
		if err := r.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.enter(ctx); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("without memory: %v", err)
		}
		r.leave()
		if err := r.enter(t.Context()); err != nil || r.held != 1 {
			t.Errorf("afterwards: %v, %d held", err, r.held)
		}
	})
}

func TestNoRoom(t *testing.T) {
	for _, r := range []*room{nil, {limit: math.MaxInt64}} {
		if err := r.enter(t.Context()); err != nil {
			t.Error(err)
		}
		r.leave()
	}
	if n := memoryUsed(); n < 1<<20 || n > 1<<40 {
		t.Errorf("%d bytes are used", n)
	}
}

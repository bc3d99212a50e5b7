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
	r = &room{limit: 100<<20 + n*blockBytes, used: used.Load}
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

// TestRoomOfMany: of hundreds that wait those that go on are looked after, and not all
// each time; in order, and none is forgotten when others give up.
func TestRoomOfMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many = 500
		r, used := roomOf(2, nil)
		looks := 0
		r.used = func() int64 { looks++; return used.Load() }
		var mu sync.Mutex
		var order []int
		gaveUp := 0
		var work sync.WaitGroup
		for i := range many {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if i%5 == 3 {
				time.AfterFunc(time.Second, cancel)
			}
			work.Go(func() {
				if err := r.enter(ctx); err != nil {
					mu.Lock()
					gaveUp++
					mu.Unlock()
					return
				}
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				time.Sleep(100 * time.Millisecond)
				r.leave()
			})
			synctest.Wait()
		}
		work.Wait()
		for i := range len(order) - 2 {
			if order[i] > order[i+2] { // two at a time
				t.Fatalf("%d went on before %d", order[i], order[i+2])
			}
		}
		if len(order)+gaveUp != many || gaveUp < many/5-10 {
			t.Errorf("%d went on and %d gave up of %d", len(order), gaveUp, many)
		}
		if looks > 4*many {
			t.Errorf("memory was looked at %d times", looks)
		}
		if r.held != 0 || r.waiting.Len() != 0 {
			t.Errorf("%d are held and %d wait in the end", r.held, r.waiting.Len())
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

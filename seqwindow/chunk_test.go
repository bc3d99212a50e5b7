package seqwindow

import (
	"runtime"
	"sync"
	"testing"
	"unsafe"
)

func TestChunkFitsItsSizeClass(t *testing.T) {
	if size := unsafe.Sizeof(chunk{}); size+8 > chunkSize {
		t.Fatalf("a chunk has %d bytes: no room for the allocator's word in %d", size, chunkSize)
	}
	const n = 100
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	list := NewPool(0).get(n)
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(list)
	cost := (after.TotalAlloc - before.TotalAlloc) / n // the pool itself rounds away
	if cost < chunkSize || cost > chunkSize+100 {
		t.Fatalf("a chunk costs %d bytes of heap, want %d", cost, chunkSize)
	}
}

// Many sessions share a pool. Together they never hold more than the budget,
// never see each other's bytes, and leave nothing behind.
func TestPoolIsSharedByManySessions(t *testing.T) {
	pool := NewPool(8 * chunkSize)
	var sessions sync.WaitGroup
	for id := range 8 {
		sessions.Go(func() {
			var s Sender
			s.Init(pool, Limits{}, nearWrap)
			msg := make([]byte, 3000)
			for i := range msg {
				msg[i] = byte(id)
			}
			for range 500 {
				for s.Append(msg, 0) == nil && s.Len() < 5 {
				}
				if used := pool.InUse(); used > pool.Budget() {
					t.Errorf("%d bytes in use, the budget is %d", used, pool.Budget())
				}
				for _, part := range s.Pending(nil, 1<<20) {
					for _, b := range part {
						if b != byte(id) {
							t.Errorf("session %d sees a byte of session %d", id, b)
							return
						}
					}
					s.Advance(len(part))
				}
				s.Ack(s.Sent())
			}
		})
	}
	sessions.Wait()
	equal(t, "InUse at the end", pool.InUse(), 0)
}

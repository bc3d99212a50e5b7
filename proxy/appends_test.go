package proxy

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/store"
)

// appendStage is a queue whose appends wait until they are let go.
type appendStage struct {
	appendQueue
	workers sync.WaitGroup
	let     chan struct{}

	mu    sync.Mutex
	begun []uint32 // numbers of records, in the order of their appends
	done  int
}

func newAppendStage() *appendStage {
	st := &appendStage{let: make(chan struct{})}
	st.work = &st.workers
	st.append = func(_ *sessionDriver, rec *store.Record) session.PersistResult {
		st.mu.Lock()
		st.begun = append(st.begun, rec.N)
		st.mu.Unlock()
		<-st.let
		return session.Persisted
	}
	st.told = func(*sessionDriver, session.PersistResult) {
		st.mu.Lock()
		defer st.mu.Unlock()
		st.done++
	}
	return st
}

// Few of many records are appended at a time, in their order, and those that take
// long do not hold up the others.
func TestAppendsAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 5*appendWorkers + 3
		st := newAppendStage()
		want := func(what string, begun, done int) {
			t.Helper()
			synctest.Wait()
			st.mu.Lock()
			defer st.mu.Unlock()
			if len(st.begun) != begun || st.done != done {
				t.Fatalf("%s: %d appends have begun, %d are done; want %d and %d", what, len(st.begun), st.done, begun, done)
			}
		}
		for i := range n {
			st.add(nil, &store.Record{N: uint32(i), Frames: []store.Frame{{Data: make([]byte, 10)}}})
		}
		want("at once", appendWorkers, 0)
		if records, bytes := st.load(); records != n || bytes != 10*n {
			t.Errorf("%d records hold %d bytes, want %d and %d", records, bytes, n, 10*n)
		}
		st.let <- struct{}{}
		want("one is done", appendWorkers+1, 1)
		time.Sleep(slowAppend - time.Millisecond)
		want("not slow yet", appendWorkers+1, 1)
		time.Sleep(2 * time.Millisecond)
		want("slow", 2*appendWorkers+1, 1)
		time.Sleep(slowAppend)
		want("slow too", 3*appendWorkers+1, 1)
		close(st.let)
		want("all", n, n)
		st.workers.Wait()
		for i, number := range st.begun[:appendWorkers] {
			if int(number) >= appendWorkers {
				t.Errorf("record %d is the %d. that was begun", number, i)
			}
		}
		if records, bytes := st.load(); records != 0 || bytes != 0 {
			t.Errorf("%d records hold %d bytes when all is done", records, bytes)
		}
		time.Sleep(2 * slowAppend) // the queue rests
		st.appendQueue.mu.Lock()
		defer st.appendQueue.mu.Unlock()
		if st.relief != nil {
			t.Error("a timer runs although nothing waits")
		}
	})
}

// A burst of records that could wait has as many as may be early, and then some
// each moment.
func TestEarlyRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var e earlyRecords
		count := func() (n int) {
			for e.take() {
				n++
			}
			return n
		}
		if n := count(); n != int(earlyLimit.N) {
			t.Errorf("%d at once, want %d", n, earlyLimit.N)
		}
		time.Sleep(earlyLimit.Per / 2)
		if n := count(); n != int(earlyLimit.N)/2 {
			t.Errorf("%d later, want %d", n, earlyLimit.N/2)
		}
	})
}

package httpguard

import (
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A queue has handshakes that wait for one place, each under a name.
type queue struct {
	turns

	told  sync.Mutex
	got   []string // who had a turn, in order
	ended []string // who did not get one
}

// add lets a handshake wait, and returns it.
func (q *queue) add(name, source string, answered bool) (w *waiter) {
	go func() {
		ok := q.take(netip.MustParseAddr(source), answered, func(is *waiter) { w = is })
		q.told.Lock()
		defer q.told.Unlock()
		if ok {
			q.got = append(q.got, name)
		} else {
			q.ended = append(q.ended, name)
		}
	}()
	synctest.Wait()
	return w
}

func (q *queue) turnsHad() int {
	q.told.Lock()
	defer q.told.Unlock()
	return len(q.got)
}

// all gives turns until nobody waits.
func (q *queue) all(took time.Duration) {
	for q.free == 0 {
		q.give(took)
		time.Sleep(time.Duration(q.rest) * took)
		synctest.Wait()
	}
}

func (q *queue) want(t *testing.T, got ...string) {
	t.Helper()
	q.told.Lock()
	defer q.told.Unlock()
	if !slices.Equal(q.got, got) || q.free != 1 || len(q.lines) != 0 || q.order.Len() != 0 {
		t.Errorf("turns of %q, want %q; %d places, %d lines", q.got, got, q.free, q.order.Len())
	}
}

func (q *queue) wantEnded(t *testing.T, ended ...string) {
	t.Helper()
	q.told.Lock()
	defer q.told.Unlock()
	if !slices.Equal(q.ended, ended) {
		t.Errorf("ended without a turn: %q, want %q", q.ended, ended)
	}
}

// TestTurnsByAddress: who begins many handshakes has one turn where others have one;
// what was answered goes on first, and of the rest the newest.
func TestTurnsByAddress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := &queue{turns: turns{free: 1}}
		q.add("first", "10.0.0.9", false)
		q.add("a1", "10.0.0.9", false)
		q.add("a2", "10.0.0.9", false)
		q.add("a3", "10.0.0.9", true)
		q.add("a4", "10.0.0.9", false)
		q.add("b1", "10.0.0.1", false)
		q.add("c1", "10.0.0.2", false)
		q.add("c2", "10.0.0.2", true)
		q.all(0)
		q.want(t, "first", "a3", "b1", "c2", "a4", "c1", "a2", "a1")
	})
}

// TestTurnsEnd: who leaves has no turn, and who has waited for very long neither: when
// the next of that address comes, or when it would be its turn.
func TestTurnsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := &queue{turns: turns{free: 1}}
		q.add("first", "10.0.0.9", false)
		left := q.add("left", "10.0.0.9", false)
		q.add("old", "10.0.0.9", false)
		q.add("other", "10.0.0.1", false)
		time.Sleep(turnPatience + 1)
		q.leave(left)
		synctest.Wait()
		q.add("new", "10.0.0.9", false)
		q.wantEnded(t, "left", "old")
		q.leave(left)
		q.all(0)
		q.want(t, "first", "new")
		q.wantEnded(t, "left", "old", "other")
	})
}

// TestTurnsRest: a place rests as long as it was used, so many times.
func TestTurnsRest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := &queue{turns: turns{free: 1, rest: 3}}
		q.add("first", "10.0.0.9", false)
		q.add("second", "10.0.0.9", false)
		q.give(time.Second)
		time.Sleep(3*time.Second - 1)
		synctest.Wait()
		if q.turnsHad() != 1 {
			t.Errorf("turns of %q before the place has rested", q.got)
		}
		time.Sleep(1)
		synctest.Wait()
		q.give(0)
		synctest.Wait()
		q.want(t, "first", "second")
	})
}

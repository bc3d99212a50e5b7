package proxy

import (
	"testing"
	"time"
)

// Every number of a drain follows from one.
func TestPlan(t *testing.T) {
	for total, want := range map[time.Duration]Schedule{
		time.Second:      {200 * time.Millisecond, 800*time.Millisecond - time.Second/3, time.Second / 3},
		25 * time.Second: {5 * time.Second, 17500 * time.Millisecond, 2500 * time.Millisecond},
		time.Hour:        {noticeMost, time.Hour - noticeMost - 6*time.Minute, 6 * time.Minute},
	} {
		got := Plan(total)
		if got != want {
			t.Errorf("%v: %+v, want %+v", total, got, want)
		}
		if sum := got.Notice + got.Move + got.Stragglers; sum != total {
			t.Errorf("%v: it takes %v", total, sum)
		}
	}
}

// Clients are asked at an even rate: one at once, all by the end, and never
// more than their share.
func TestShare(t *testing.T) {
	const span = 10 * time.Second
	for _, n := range []int{0, 1, 2, 7, 1000} {
		before := 0
		for passed := time.Duration(0); passed <= span; passed += 20 * time.Millisecond {
			due := share(n, passed, span)
			fair := int(float64(n)*float64(passed)/float64(span)) + 1
			if due < before || due > n || due > fair && passed < span {
				t.Errorf("%d of %d are due after %v, %d before that", due, n, passed, before)
			}
			before = due
		}
		if before != n {
			t.Errorf("%d of %d were asked", before, n)
		}
		if due := share(n, 0, -time.Second); due != n {
			t.Errorf("without time, %d of %d are due", due, n)
		}
		if due := share(n, 0, span); due != min(n, 1) {
			t.Errorf("%d of %d are due at once", due, n)
		}
	}
}

// There is one drain, whoever begins it.
func TestDrainBeginsOnce(t *testing.T) {
	var l leaving
	mine, done := l.begin()
	if !mine || l.since.IsZero() {
		t.Error("the first one does not begin it")
	}
	since := l.since
	if again, same := l.begin(); again || same != done || l.since != since {
		t.Error("the second one begins another")
	}
	if l.refuses() {
		t.Error("it refuses before it is told to")
	}
}

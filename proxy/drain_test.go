package proxy

import "testing"

// There is one drain, whoever begins it.
func TestDrainBeginsOnce(t *testing.T) {
	var l drainState
	mine, done := l.begin()
	if !mine || l.since.IsZero() {
		t.Error("the first one does not begin it")
	}
	since := l.since
	if again, same := l.begin(); again || same != done || l.since != since {
		t.Error("the second one begins another")
	}
	if l.refusing() {
		t.Error("it refuses before it is told to")
	}
}

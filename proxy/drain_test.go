package proxy

import (
	"context"
	"testing"
)

// There is one drain, whoever begins it.
func TestDrainBeginsOnce(t *testing.T) {
	var l drainState
	run, mine := l.begin(context.Background())
	if !mine || run.since.IsZero() {
		t.Error("the first one does not begin it")
	}
	if same, again := l.begin(context.Background()); again || same != run {
		t.Error("the second one begins another")
	}
	if l.refusing() {
		t.Error("it refuses before it is told to")
	}
}

package keepalive

import (
	"testing"
	"time"
)

func TestTimer(t *testing.T) {
	start := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	var k Timer
	if k.Sent(start); !k.Deadline().IsZero() || k.Due(start.Add(time.Hour), false) {
		t.Error("due without a promise")
	}
	k.SetInterval(start, 8*time.Second)
	for _, c := range []struct {
		after time.Duration
		wait  bool
		due   bool
		next  time.Duration
	}{
		{5999 * time.Millisecond, false, false, 6 * time.Second},
		{6 * time.Second, true, false, 8 * time.Second}, // the client is there: it is looked at again
		{7 * time.Second, false, false, 8 * time.Second},
		{8 * time.Second, false, true, 8 * time.Second},
	} {
		if got := k.Due(start.Add(c.after), c.wait); got != c.due || !k.Deadline().Equal(start.Add(c.next)) {
			t.Errorf("after %v: due %v, next at %v", c.after, got, k.Deadline().Sub(start))
		}
	}
	if k.Sent(start.Add(8 * time.Second)); !k.Deadline().Equal(start.Add(14 * time.Second)) {
		t.Errorf("sent: next at %v", k.Deadline().Sub(start))
	}
	if k.SetInterval(start, 0); !k.Deadline().IsZero() {
		t.Error("due after the promise was taken back")
	}
}

package heartbeat

import (
	"testing"
	"time"
)

// A host is gone when it has not answered often and for long.
func TestHostGone(t *testing.T) {
	for _, c := range []struct {
		unanswered int
		quiet      time.Duration
		gone       bool
	}{
		{0, time.Hour, false}, // a closed window whose probes are answered now and then
		{hostGoneUnanswered - 1, hostGoneAfter, false},
		{9, hostGoneAfter - 1, false},
		{hostGoneUnanswered, hostGoneAfter, true},
	} {
		if got := HostGone(c.unanswered, c.quiet); got != c.gone {
			t.Errorf("%d unanswered, quiet for %v: gone %v", c.unanswered, c.quiet, got)
		}
	}
}

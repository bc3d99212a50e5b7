//go:build nginx

package doctor

import (
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/internal/doctor/diagnosis"
)

// timed are faults that show in milliseconds alone: they need a machine that is
// not busy, and run one by one.
var timed = []plant{
	{"a gateway ends WebSockets itself, echo", func(t *testing.T) Options {
		o := quick("ws://" + terminating(t, plainApp(t)) + "/ws")
		o.Echo = true
		return o
	}, "pings-answered", diagnosis.Path},
	{"frames are passed on each 60 ms", middle{down: flushing(60 * time.Millisecond)}.app, "frames-", diagnosis.Path},
	{"frames are passed on each 200 ms", middle{up: flushing(200 * time.Millisecond)}.app, "frames-", diagnosis.Path},
}

// TestPlantedTimed is not parallel to the others.
func TestPlantedTimed(t *testing.T) {
	for _, c := range timed {
		t.Run(c.name, c.check)
	}
}

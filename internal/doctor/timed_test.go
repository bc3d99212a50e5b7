//go:build nginx

package doctor

import (
	"io"
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

// flushing gathers what comes, and passes it on each d.
func flushing(d time.Duration) func(io.Writer, io.Reader) {
	return func(dst io.Writer, src io.Reader) {
		chunks := make(chan []byte, 1024)
		go func() {
			defer close(chunks)
			for {
				p := make([]byte, 4096)
				n, err := src.Read(p)
				if err != nil {
					return
				}
				chunks <- p[:n]
			}
		}()
		tick := time.NewTicker(d)
		defer tick.Stop()
		for range tick.C {
			for len(chunks) > 0 {
				if _, err := dst.Write(<-chunks); err != nil {
					return
				}
			}
			select {
			case p, ok := <-chunks:
				if !ok {
					return
				}
				_, _ = dst.Write(p)
			default:
			}
		}
	}
}

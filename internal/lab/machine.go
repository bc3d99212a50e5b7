package lab

import (
	"time"

	"github.com/wsresilience/wsresilience/internal/lab/stats"
)

// A Watch measures whether the machine kept up: a run on a machine that did not
// says little about the sidecar.
type Watch struct {
	done        chan struct{}
	over        chan struct{}
	late        []time.Duration // of a timer
	busy, total int64
}

// StartWatch watches until Stop.
func StartWatch() *Watch {
	w := &Watch{done: make(chan struct{}), over: make(chan struct{})}
	w.busy, w.total = processorTicks()
	go w.run()
	return w
}

func (w *Watch) run() {
	defer close(w.over)
	const every = 10 * time.Millisecond
	for {
		due := time.Now().Add(every)
		select {
		case <-w.done:
			return
		case <-time.After(every):
			w.late = append(w.late, time.Since(due))
		}
	}
}

// Stop returns how late timers were, and which share of the machine's
// processors was busy.
func (w *Watch) Stop() (late stats.Spread, busy float64) {
	close(w.done)
	<-w.over
	b, t := processorTicks()
	return stats.SpreadOf(w.late), float64(b-w.busy) / float64(max(1, t-w.total))
}

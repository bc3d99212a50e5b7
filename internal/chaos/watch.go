package main

import (
	"slices"
	"time"
)

// A watch measures whether the machine kept up: a run on a machine that did
// not says little about the sidecar.
type watch struct {
	done        chan struct{}
	over        chan struct{}
	late        []time.Duration // of a timer
	busy, total int64
}

func startWatch() *watch {
	w := &watch{done: make(chan struct{}), over: make(chan struct{})}
	w.busy, w.total = processorTicks()
	go w.run()
	return w
}

func (w *watch) run() {
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

// stop returns how late timers were, and which share of the machine's
// processors was busy.
func (w *watch) stop() (late spread, busy float64) {
	close(w.done)
	<-w.over
	b, t := processorTicks()
	return spreadOf(w.late), float64(b-w.busy) / float64(max(1, t-w.total))
}

// A spread describes durations, in milliseconds.
type spread struct {
	N                  int
	Median, P99, Worst float64
}

// spreadOf sorts list.
func spreadOf(list []time.Duration) spread {
	if len(list) == 0 {
		return spread{}
	}
	slices.Sort(list)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }
	at := func(q float64) float64 { return ms(list[min(len(list)-1, int(q*float64(len(list))))]) }
	return spread{len(list), at(0.5), at(0.99), ms(list[len(list)-1])}
}

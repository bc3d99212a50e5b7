package main

import (
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

// publishEvery is the pace of events: slow beside the work on one, fast
// beside every wait of a scenario.
const publishEvery = 20 * time.Millisecond

// askEvery is how often the app is asked for its subscribers.
const askEvery = 50 * time.Millisecond

// topics are what the app publishes each event to. The scenario gives them their
// names' meaning.
var topics = []string{"kept", "dropped", "late"}

// An app is the stock server, over all its lives. It publishes events whose
// numbers continue through them. Its methods are safe for concurrent use.
type app struct {
	runner   *runner
	script   string
	settings map[string]any

	mu      sync.Mutex
	process *script // nil while it is down
	ready   bool
	lives   []int          // the first number of each life
	next    int            // number of the next event
	counts  map[string]int // subscribers, when the app last said it
	gone    []string       // what the app said of clients that went, in this life
	failed  []string
}

// take notes a line of the server.
func (a *app) take(l line) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case l.Ready:
		a.ready = true
	case l.Gone != "":
		a.gone = append(a.gone, l.Gone)
	case l.Topics != nil:
		a.counts = l.Topics
	case l.Failed != "":
		a.failed = append(a.failed, l.Failed)
	}
}

// start begins a life.
func (a *app) start() error {
	p, err := a.runner.script(a.script, a.settings, a.take)
	if err != nil {
		return err
	}
	a.mu.Lock()
	a.process, a.ready, a.gone = &p, false, nil
	a.lives = append(a.lives, a.next)
	a.mu.Unlock()
	return a.runner.until("the app listens", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.ready
	})
}

// An ending is how a life ends.
type ending string

const (
	crash   ending = "SIGKILL"
	orderly ending = "SIGTERM"
)

// stop ends a life. Nothing more is published in it.
func (a *app) stop(how ending) {
	a.mu.Lock()
	p := a.process
	a.process = nil
	a.mu.Unlock()
	switch {
	case p == nil:
	case how == crash:
		p.Kill()
	default:
		_ = p.Terminate(stopLimit) // how it ends is its own affair
	}
}

// publish publishes until stop is closed, while the app is up.
func (a *app) publish(stop <-chan struct{}) {
	for tick := time.NewTicker(publishEvery); ; {
		select {
		case <-stop:
			tick.Stop()
			return
		case <-tick.C:
		}
		a.mu.Lock()
		p, n := a.process, a.next
		if p != nil && a.ready {
			a.next++
			p.tell("publish", map[string]any{"n": n, "topics": topics})
		}
		a.mu.Unlock()
	}
}

// upcoming is the number of the next event.
func (a *app) upcoming() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.next
}

// wantSubscribers waits until the app's own count of subscribers is as told.
// A library hides events that it did not ask for; the app's count shows a
// subscription that was restored though it had ended, or twice.
func (a *app) wantSubscribers(want map[string]int) error {
	a.setCounts(nil) // what a former life counted says nothing
	for deadline := time.Now().Add(flowLimit); ; {
		a.mu.Lock()
		p, got := a.process, a.counts
		a.mu.Unlock()
		switch {
		case maps.Equal(got, want):
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("the app counts subscribers %v, want %v", got, want)
		case p != nil:
			p.tell("topics", map[string]any{"topics": topics})
		}
		if err := proc.Sleep(a.runner.ctx, askEvery); err != nil {
			return err
		}
	}
}

func (a *app) setCounts(counts map[string]int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.counts = counts
}

// trouble is what the app said of clients that went, in its present life, and
// which commands failed.
func (a *app) trouble() (gone, failed []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append(gone, a.gone...), append(failed, a.failed...)
}

// isDown reports whether the app is between two lives.
func (a *app) isDown() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.process == nil
}

// births are the first numbers of the app's lives.
func (a *app) births() []int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]int(nil), a.lives...)
}

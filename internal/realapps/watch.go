package main

import (
	"sync"
	"time"
)

// A watch is what a stock client told: the events that it got and the trouble
// that it noticed. Its methods are safe for concurrent use.
type watch struct {
	mu      sync.Mutex
	ready   bool
	events  map[string][]arrival // by topic
	replies map[string]int
	noticed []string
	failed  []string
}

// An arrival is an event's number and when it came.
type arrival struct {
	n  int
	at time.Time
}

func newWatch() *watch {
	return &watch{events: map[string][]arrival{}, replies: map[string]int{}}
}

// take notes a line of the client.
func (w *watch) take(l line, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case l.Ready:
		w.ready = true
	case l.Topic != "":
		w.events[l.Topic] = append(w.events[l.Topic], arrival{l.N, now})
	case l.Reply != "":
		w.replies[l.Reply]++
	case l.Noticed != "":
		w.noticed = append(w.noticed, l.Noticed+": "+l.Detail)
	case l.Failed != "":
		w.failed = append(w.failed, l.Failed)
	}
}

func (w *watch) isReady() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ready
}

// reached reports whether an event from n on has come, and when the first did.
func (w *watch) reached(topic string, n int) (time.Time, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.events[topic] {
		if a.n >= n {
			return a.at, true
		}
	}
	return time.Time{}, false
}

// answered is how often a request was.
func (w *watch) answered(text string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.replies[text]
}

// trouble is what the library noticed, and which commands failed.
func (w *watch) trouble() (noticed, failed []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append(noticed, w.noticed...), append(failed, w.failed...)
}

// A tally judges the events of one topic.
type tally struct {
	events  int
	doubled int // came again, or after a later one
	missing int // not come, although earlier and later ones of the same life did
	gap     time.Duration
}

// tally judges a topic. lives are the first numbers of the app's lives, in
// order: between two lives events may be missing, since nobody was
// subscribed.
func (w *watch) tally(topic string, lives []int) tally {
	w.mu.Lock()
	defer w.mu.Unlock()
	var t tally
	var last arrival
	for i, a := range w.events[topic] {
		t.events++
		if i == 0 {
			last = a
			continue
		}
		t.gap = max(t.gap, a.at.Sub(last.at))
		switch {
		case a.n <= last.n:
			t.doubled++
			last.at = a.at
			continue
		case life(lives, a.n) == life(lives, last.n):
			t.missing += a.n - last.n - 1
		}
		last = a
	}
	return t
}

// life is the index of the life in which n was published.
func life(lives []int, n int) int {
	i := len(lives) - 1
	for i > 0 && lives[i] > n {
		i--
	}
	return i
}

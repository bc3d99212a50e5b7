package main

import (
	"sync"
	"time"
)

// A report is what a stock client told: the events that it got and the trouble
// that it noticed. Its methods are safe for concurrent use.
type report struct {
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

func newReport() *report {
	return &report{events: map[string][]arrival{}, replies: map[string]int{}}
}

// take notes a line of the client.
func (r *report) take(l line, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case l.Ready:
		r.ready = true
	case l.Topic != "":
		r.events[l.Topic] = append(r.events[l.Topic], arrival{l.N, now})
	case l.Reply != "":
		r.replies[l.Reply]++
	case l.Noticed != "":
		r.noticed = append(r.noticed, l.Noticed+": "+l.Detail)
	case l.Failed != "":
		r.failed = append(r.failed, l.Failed)
	}
}

func (r *report) isReady() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ready
}

// reached reports whether an event from n on has come, and when the first did.
func (r *report) reached(topic string, n int) (time.Time, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.events[topic] {
		if a.n >= n {
			return a.at, true
		}
	}
	return time.Time{}, false
}

// answered is how often a request was.
func (r *report) answered(text string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.replies[text]
}

// trouble is what the library noticed, and which commands failed.
func (r *report) trouble() (noticed, failed []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append(noticed, r.noticed...), append(failed, r.failed...)
}

// A tally judges the events of one topic.
type tally struct {
	events  int
	doubled int // came again, or after a later one
	missing int // not come, although earlier and later ones of the same life did
	gap     time.Duration
}

// tally judges a topic. lives are the first numbers of the app's lives, in
// order: between two lives events may be missing, since no client
// was subscribed.
func (r *report) tally(topic string, lives []int) tally {
	r.mu.Lock()
	defer r.mu.Unlock()
	var t tally
	var last arrival
	for i, a := range r.events[topic] {
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

package demo

import (
	"slices"
	"sync"

	"github.com/wsresilience/wsresilience/internal/lab/ledger"
)

// tallies are those of the same pods: the terminal's, and one for each visitor
// of the page. They are safe for concurrent use.
type tallies struct {
	// Immutable.
	options  options
	terminal *tally

	mu       sync.Mutex
	visitors []*tally
	watchers int // visitors whose page is open right now
}

func newTallies(terminal *tally) *tallies {
	return &tallies{options: terminal.options, terminal: terminal}
}

// join lets a visitor's tally hear of what happens from now on.
func (w *tallies) join(t *tally) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.visitors = append(w.visitors, t)
}

func (w *tallies) leave(t *tally) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.visitors = slices.DeleteFunc(w.visitors, func(o *tally) bool { return o == t })
}

// all are the tallies, the terminal's first.
func (w *tallies) all() []*tally {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]*tally{w.terminal}, w.visitors...)
}

// report hands a record of an app to the tally that it concerns.
func (w *tallies) report(r ledger.Record) {
	for _, t := range w.all() {
		if t.report(r) {
			return
		}
	}
}

// kills notes, before it happens, that an app is killed.
func (w *tallies) kills(app int) {
	for _, t := range w.all() {
		t.kills(app)
	}
}

// fault notes that something was broken for all clients.
func (w *tallies) fault(kind faultKind, format string, args ...any) {
	for _, t := range w.all() {
		t.fault(kind, format, args...)
	}
}

// say notes anything else.
func (w *tallies) say(format string, args ...any) {
	for _, t := range w.all() {
		t.say(format, args...)
	}
}

// opened and closed follow a visitor's page. While one is open the terminal
// breaks nothing by itself, and says so.
func (w *tallies) opened() { w.watch(+1) }
func (w *tallies) closed() { w.watch(-1) }

func (w *tallies) watch(change int) {
	w.mu.Lock()
	before := w.watchers > 0
	w.watchers += change
	now := w.watchers > 0
	w.mu.Unlock()
	w.terminal.isWatched(now)
	switch {
	case now && !before:
		w.terminal.say("a page is open: no automatic faults")
	case before && !now:
		w.terminal.say("no page is open any more: automatic faults again")
	}
}

// watching reports whether a page is open.
func (w *tallies) watching() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.watchers > 0
}

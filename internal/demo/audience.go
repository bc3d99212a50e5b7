package demo

import (
	"slices"
	"sync"

	"github.com/wsresilience/wsresilience/internal/lab/ledger"
)

// audience is everybody who keeps a tally of the same pods: the terminal, and
// each visitor of the page. It is safe for concurrent use.
type audience struct {
	// Immutable.
	options  options
	terminal *tally

	mu       sync.Mutex
	visitors []*tally
	watchers int // visitors whose page is open right now
}

func newAudience(terminal *tally) *audience {
	return &audience{options: terminal.options, terminal: terminal}
}

// join lets a visitor's tally hear of what happens from now on.
func (w *audience) join(t *tally) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.visitors = append(w.visitors, t)
}

func (w *audience) leave(t *tally) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.visitors = slices.DeleteFunc(w.visitors, func(o *tally) bool { return o == t })
}

// all are the tallies, the terminal's first.
func (w *audience) all() []*tally {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]*tally{w.terminal}, w.visitors...)
}

// report hands a record of an app to the tally that it concerns.
func (w *audience) report(r ledger.Record) {
	for _, t := range w.all() {
		if t.report(r) {
			return
		}
	}
}

// kills notes, before it happens, that an app is killed.
func (w *audience) kills(app int) {
	for _, t := range w.all() {
		t.kills(app)
	}
}

// fault notes that something was broken for everybody.
func (w *audience) fault(kind faultKind, format string, args ...any) {
	for _, t := range w.all() {
		t.fault(kind, format, args...)
	}
}

// say notes anything else.
func (w *audience) say(format string, args ...any) {
	for _, t := range w.all() {
		t.say(format, args...)
	}
}

// opened and closed follow a visitor's page. While one is open the terminal
// breaks nothing by itself, and says so.
func (w *audience) opened() { w.watch(+1) }
func (w *audience) closed() { w.watch(-1) }

func (w *audience) watch(change int) {
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
func (w *audience) watching() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.watchers > 0
}

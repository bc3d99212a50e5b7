// Package report writes what a rehearsal has shown: for people in Markdown and
// HTML, for CI in JUnit's XML, and all of it as JSON lines.
package report

import (
	"fmt"
	"time"

	"github.com/wsresilience/wsresilience/internal/rehearse/tally"
)

// A Run is one rehearsal and what came of it.
type Run struct {
	Title   string
	Command string // that repeats it
	Target  string // without what may be secret
	Profile string // its name
	Began   time.Time
	Seed    uint64

	Interrupted bool          `json:",omitempty"` // before its end
	Environment [][2]string   // what the numbers depend on
	Calm        time.Duration // when the first fault came
	End         time.Duration // when the last message was due
	Late        time.Duration // from where an answer was late

	Sides    []tally.Summary // of the sides that ran
	Series   [][]tally.Second
	Oddities [][]tally.Oddity
	Faults   []Fault
	Spans    []Span
	Reasons  map[string]int // why clients could not begin, or had to end
	Notes    []string       // what a reader of the numbers has to know
	Verdicts []tally.Verdict
}

// A Fault is what was broken, and what it did.
type Fault struct {
	At, For time.Duration // since the run began
	Text    string
	Hit     int           // connections that it touched
	Took    time.Duration // of a hook
	Failure string        // why it could not be done
	Output  string        // the end of what a hook wrote
	Effects []tally.Effect
}

// Where a Span is known from.
const (
	FromMetrics = "metrics"
	FromTraces  = "traces"
)

// A Span is a part of the way, as the metrics or the traces of a sidecar or an app
// tell it.
type Span struct {
	Name            string
	From            string // FromMetrics or FromTraces
	Count           int64
	Mean, Deviation float64 // ms
}

// Met reports whether the run came to its end, all objectives are met, and all
// hooks did what they should.
func (r *Run) Met() bool {
	if r.Interrupted {
		return false
	}
	for i := range r.Faults {
		if r.Faults[i].Failure != "" {
			return false
		}
	}
	return tally.Met(r.Verdicts)
}

// Verdict is the run in a sentence.
func (r *Run) Verdict() string {
	failed, broken := 0, 0
	for _, v := range r.Verdicts {
		if !v.Met {
			failed++
		}
	}
	for i := range r.Faults {
		if r.Faults[i].Failure != "" {
			broken++
		}
	}
	switch {
	case r.Interrupted:
		return "INTERRUPTED: nothing is judged"
	case failed > 0:
		return fmt.Sprintf("FAIL: %d of %d objectives are missed", failed, len(r.Verdicts))
	case broken > 0:
		return fmt.Sprintf("FAIL: %d of %d faults could not be done", broken, len(r.Faults))
	}
	return fmt.Sprintf("PASS: all %d objectives are met", len(r.Verdicts))
}

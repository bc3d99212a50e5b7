package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/wsresilience/wsresilience/internal/lab/ledger"
	"github.com/wsresilience/wsresilience/internal/lab/stats"
)

// A result is what a scenario showed.
type result struct {
	Scenario    string
	Pass        bool
	Sessions    int
	Seconds     float64
	Out, In     ledger.Count
	Resets      map[string]int      // sessions that ended before their time, by reason
	Resumed     int                 // WELCOME resumed
	Moves       int                 // resumes and adoptions while the old connection still worked
	Adopted     map[string]int      // by reason
	Resume      stats.Spread        // from the loss of a connection to WELCOME
	Gap         stats.Spread        // the longest gap between messages around each fault, fast sessions that felt it
	Answers     map[string]*answers `json:",omitempty"` // by kind of app
	Zombies     int                 // app sockets that were spoken to after their successor had been opened
	Foreign     int                 // messages of another session
	OpenSockets int                 // app sockets that never heard of their end
	PeakMiB     float64             // memory of the largest sidecar
	Late        stats.Spread        // of a timer in the harness
	Busy        float64             // share of the machine's processors
	Faults      []string
	Notes       []string
}

// answers are what became of messages that apps answer.
type answers struct {
	Asked, Missing int
	Surplus        int          // to what was answered before, or never asked
	Wait           stats.Spread // the longest around each fault, beyond the app's own time

	waits []time.Duration
}

func (r *result) fault(format string, args ...any) {
	r.Faults = append(r.Faults, fmt.Sprintf(format, args...))
}

// An allowance is what DESIGN §4 concedes to a fault.
type allowance struct {
	tail   bool          // the last words of an app socket whose owner died
	again  bool          // inbound at least once, to the new app socket
	inLost bool          // what a dead app had not read of its own socket
	open   bool          // app sockets of processes that were killed
	gap    time.Duration // at the 99th percentile; 0: not judged
}

// conclude holds the result against what is allowed.
func (r *result) conclude(sc *scenario) {
	a := sc.allow
	never := []struct {
		n    int
		what string
	}{
		{r.Out.Lost, "outbound messages lost in silence"}, {r.Out.Doubled, "outbound messages doubled"},
		{r.Out.Reordered, "outbound messages out of order"}, {r.In.Doubled, "inbound messages doubled on one app socket"},
		{r.In.Reordered, "inbound messages out of order"}, {r.Zombies, "app sockets spoken to after their successor was opened"},
		{r.Foreign, "messages of another session"}, {total(r.Resets), "sessions ended before their time"},
		{unless(a.tail, r.Out.Tail), "last words of an app lost"}, {unless(a.again, r.In.Again), "inbound messages doubled on a second app socket"},
		{unless(a.inLost, r.In.Lost), "inbound messages lost in silence"}, {unless(a.open, r.OpenSockets), "app sockets never closed"},
	}
	for _, c := range never {
		if c.n != 0 {
			r.fault("%d %s", c.n, c.what)
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(r.Answers)) {
		if n := unless(a.tail, r.Answers[kind].Missing); n > 0 {
			r.fault("%s: %d answers missing", kind, n)
		}
		if n := unless(a.again, r.Answers[kind].Surplus); n > 0 {
			r.fault("%s: %d answers to what was answered before", kind, n)
		}
	}
	if limit := float64(a.gap.Milliseconds()); limit > 0 && r.Gap.P99 > limit {
		r.fault("gap of %.0f ms at the 99th percentile, at most %.0f", r.Gap.P99, limit)
	}
	r.Pass = len(r.Faults) == 0
}

func unless(allowed bool, n int) int {
	if allowed {
		return 0
	}
	return n
}

func total(m map[string]int) (n int) {
	for v := range maps.Values(m) {
		n += v
	}
	return n
}

// text is the result for a reader.
func (r *result) text() string {
	var b strings.Builder
	verdict := "pass"
	if !r.Pass {
		verdict = "FAIL"
	}
	fmt.Fprintf(&b, "%s %s: %d sessions, %.0f s\n", verdict, r.Scenario, r.Sessions, r.Seconds)
	for _, d := range []struct {
		name string
		f    ledger.Count
	}{{"outbound", r.Out}, {"inbound", r.In}} {
		fmt.Fprintf(&b, "  %-9s sent %d, lost %d, tail %d, told %d, doubled %d, again %d, out of order %d\n",
			d.name, d.f.Sent, d.f.Lost, d.f.Tail, d.f.Told, d.f.Doubled, d.f.Again, d.f.Reordered)
	}
	fmt.Fprintf(&b, "  resumed %d, adopted %s, moved %d, ended %s, zombies %d, app sockets left open %d\n",
		r.Resumed, counts(r.Adopted), r.Moves, counts(r.Resets), r.Zombies, r.OpenSockets)
	fmt.Fprintf(&b, "  ms: resume %s; gap %s; timers late %s; processors %.0f %% busy; peak %.0f MiB\n",
		r.Resume, r.Gap, r.Late, 100*r.Busy, r.PeakMiB)
	for _, kind := range slices.Sorted(maps.Keys(r.Answers)) {
		a := r.Answers[kind]
		fmt.Fprintf(&b, "  %s: asked %d, missing %d, twice %d; ms waited beyond that %s\n", kind, a.Asked, a.Missing, a.Surplus, a.Wait)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "  note: %s\n", n)
	}
	for _, f := range r.Faults {
		fmt.Fprintf(&b, "  fault: %s\n", f)
	}
	return b.String()
}

func counts(m map[string]int) string {
	if len(m) == 0 {
		return "0"
	}
	var list []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		list = append(list, fmt.Sprintf("%d %s", m[k], k))
	}
	return strings.Join(list, ", ")
}

// writeResults replaces the file, if there is to be one.
func writeResults(file string, results []*result) error {
	if file == "" {
		return nil
	}
	b, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644)
}

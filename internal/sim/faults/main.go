// Command faults puts each fault of the table at each step of a session, in simulated
// fleets, and writes docs/FAULTS.md: what is promised, what clients noticed, how often,
// and a seed that shows it again.
package main

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/wsresilience/wsresilience/internal/sim"
)

// A cell is what became of one fault at one step.
type cell struct {
	taken    int // histories that got to the step
	outcomes map[string]int
	seeds    map[string]uint64 // of each outcome, the first
	broken   map[uint64]*sim.Broken
}

func main() {
	seeds := flag.Int("seeds", 100, "histories for each cell")
	out := flag.String("o", "docs/FAULTS.md", "file to write; -: standard output")
	step := flag.Int("step", 0, "with -fault and -seed: tell one history of this step, as the table numbers it")
	fault := flag.String("fault", "", "and this fault, by its name in the table")
	seed := flag.Uint64("seed", 1, "and this seed")
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), `faults puts each of 9 faults at each of 30 steps of a session, in simulated fleets, and
writes what comes of it.

  go run ./internal/sim/faults                                  the table
  go run ./internal/sim/faults -step 24 -fault kill -seed 7     one history of it

`)
		flag.PrintDefaults()
	}
	flag.Parse()
	if *step != 0 || *fault != "" {
		os.Exit(tell(*step-1, *fault, *seed))
	}
	cells := make([][]cell, len(sim.StepFaults))
	broken := 0
	for f := range sim.StepFaults {
		cells[f] = make([]cell, len(sim.Steps))
		fmt.Fprintf(os.Stderr, "%d of %d faults: %s\n", f+1, len(sim.StepFaults), sim.StepFaults[f].Name)
		var work sync.WaitGroup
		next := make(chan int)
		for range runtime.GOMAXPROCS(0) {
			work.Go(func() {
				for s := range next {
					cells[f][s] = play(s, f, *seeds)
				}
			})
		}
		for s := range sim.Steps {
			next <- s
		}
		close(next)
		work.Wait()
		for s := range cells[f] {
			broken += len(cells[f][s].broken)
		}
	}
	text := page(cells, *seeds)
	if *out == "-" {
		fmt.Print(text)
	} else if err := os.WriteFile(*out, []byte(text), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		os.Exit(2)
	}
	if broken > 0 {
		fmt.Fprintf(os.Stderr, "faults: %d histories broke a promise\n", broken)
		os.Exit(1)
	}
}

func play(step, fault, seeds int) cell {
	c := cell{outcomes: map[string]int{}, seeds: map[string]uint64{}, broken: map[uint64]*sim.Broken{}}
	for seed := uint64(1); seed <= uint64(seeds); seed++ {
		r := sim.Run(sim.StepPlan(step, fault, seed))
		if r.Broken != nil {
			c.broken[seed] = r.Broken
			continue
		}
		if !r.Taken {
			continue
		}
		c.taken++
		if c.outcomes[r.Outcome]++; c.seeds[r.Outcome] == 0 {
			c.seeds[r.Outcome] = seed
		}
	}
	return c
}

// tell tells one history.
func tell(step int, name string, seed uint64) int {
	fault := slices.IndexFunc(sim.StepFaults, func(f sim.StepFault) bool { return f.Name == name })
	if fault < 0 || step < 0 || step >= len(sim.Steps) {
		var names []string
		for _, f := range sim.StepFaults {
			names = append(names, f.Name)
		}
		fmt.Fprintf(os.Stderr, "faults: step %d, fault %q: there are steps 1 to %d, and the faults %s\n", step+1, name, len(sim.Steps), strings.Join(names, ", "))
		return 2
	}
	plan := sim.StepPlan(step, fault, seed)
	plan.Trace = func(line string) { fmt.Println(line) }
	r := sim.Run(plan)
	if r.Broken != nil {
		fmt.Println("BROKEN:", r.Broken)
		return 1
	}
	fmt.Println("every promise was kept; the client noticed:", r.Outcome)
	return 0
}

// page is docs/FAULTS.md.
func page(cells [][]cell, seeds int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Faults at every step

This page is written by `+"`go run ./internal/sim/faults`"+`. It puts each of %d faults at each of %d steps of a session, %d times, in simulated fleets ([PROOF.md](PROOF.md)): one client, two sidecars with their apps, and a journal. Up to step 17 nothing else goes wrong; before 18 to 22 the client's connection is cut, before 23 to 26 the owner is killed, and before 27 to 29 it drains, which is in what the client notices. Every promise is checked at each moment, and after the fault everything has to come to rest.

**Noticed** is what the client was told, and what of it came true: *resumed*, or why its session was adopted; *last words missing* is a gap that the client was told to expect; *came to a second app* are messages that a dead app had taken and that were not acknowledged. Behind each stands how often, and a seed that shows it again:

`+"```console\n$ go run ./internal/sim/faults -step 24 -fault kill -seed 7\n```\n", len(sim.StepFaults), len(sim.Steps), seeds)
	for f := range sim.StepFaults {
		x := &sim.StepFaults[f]
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n**Promised:** %s.\n\n| | step | histories | noticed: how often, seed |\n|---|---|---|---|\n", x.Name, x.What, x.Promise)
		for s := range sim.Steps {
			c := &cells[f][s]
			fmt.Fprintf(&b, "| %d | %s | %d | %s |\n", s+1, sim.Steps[s].Name, c.taken, c.noticed())
		}
	}
	return b.String()
}

// noticed are the outcomes, the most frequent first.
func (c *cell) noticed() string {
	var list []string
	for _, seed := range slices.Sorted(maps.Keys(c.broken)) {
		list = append(list, fmt.Sprintf("**BROKEN** %s, seed %d", c.broken[seed].Promise, seed))
	}
	names := slices.SortedFunc(maps.Keys(c.outcomes), func(a, b string) int {
		return cmp.Or(cmp.Compare(c.outcomes[b], c.outcomes[a]), cmp.Compare(a, b))
	})
	for _, name := range names {
		list = append(list, fmt.Sprintf("%s: %d, seed %d", name, c.outcomes[name], c.seeds[name]))
	}
	if len(list) == 0 {
		return "no history got there"
	}
	return strings.Join(list, "; ")
}

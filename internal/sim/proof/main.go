// Command proof plays histories of whole fleets (package sim) and fails if one of them
// breaks a promise, or if what is rare never happened.
package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/wsresilience/wsresilience/internal/sim"
)

func main() {
	sessions := flag.Int("sessions", 100_000, "play histories until they have had so many sessions")
	limit := flag.Duration("for", 0, "or until so much time has passed; 0: no limit")
	seed := flag.Uint64("seed", 1, "the first history's seed; the others follow")
	one := flag.Bool("one", false, "play the history of -seed only, and tell what happens in it")
	most := flag.Int("most", 10, "end after so many histories that break a promise")
	paths := flag.Bool("paths", false, "tell how often each path was taken")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), `proof plays histories of whole fleets: clients, sidecars, a journal and apps, and all
that can go wrong between them, in virtual time. One seed makes one history.

  go run ./internal/sim/proof                      100,000 sessions
  go run ./internal/sim/proof -sessions 10000000   a night
  go run ./internal/sim/proof -seed 1234 -one      what happens in one history

`)
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "proof: %q: there are no arguments, see -help\n", flag.Arg(0))
		os.Exit(2)
	}
	if *one {
		os.Exit(playOne(*seed))
	}
	os.Exit(play(*seed, *sessions, *most, *limit, *paths))
}

// playOne tells one history.
func playOne(seed uint64) int {
	plan := sim.NewPlan(seed)
	plan.Trace = func(line string) { fmt.Println(line) }
	r := sim.Run(plan)
	if r.Broken != nil {
		fmt.Println("BROKEN:", r.Broken)
		small, why := sim.Shrink(plan, 500)
		fmt.Printf("\nThe smallest history that was found, for a file in internal/sim/testdata:\n\n# %v\n%s", why, small.Text())
		return 1
	}
	fmt.Println("every promise was kept")
	return 0
}

func play(seed uint64, sessions, most int, limit time.Duration, paths bool) int {
	began, told := time.Now(), time.Now()
	count := sim.Play(seed, sessions, most, func(c *sim.Count) bool {
		if now := time.Now(); now.Sub(told) >= 5*time.Second {
			told = now
			took := now.Sub(began)
			left := time.Duration(float64(took) * float64(sessions-c.Sessions) / float64(max(1, c.Sessions)))
			if limit > 0 {
				left = min(left, limit-took)
			}
			fmt.Printf("%d of %d sessions, %d broken promises, about %v left\n", c.Sessions, sessions, len(c.Broken), left.Round(time.Second))
		}
		return limit == 0 || time.Since(began) < limit
	})
	fmt.Println(count)
	if paths {
		for _, what := range slices.Sorted(maps.Keys(count.Reached)) {
			fmt.Printf("%10d  %s\n", count.Reached[what], what)
		}
	}
	for _, f := range count.Broken {
		fmt.Printf("BROKEN, seed %d: %v\n  again: go run ./internal/sim/proof -seed %d -one\n", f.Seed, f.Broken, f.Seed)
	}
	unreached := count.Unreached()
	for _, what := range unreached {
		fmt.Printf("never happened: %s\n", what)
	}
	if len(count.Broken) > 0 || len(unreached) > 0 {
		return 1
	}
	fmt.Printf("every promise was kept, in %v\n", time.Since(began).Round(time.Second))
	return 0
}

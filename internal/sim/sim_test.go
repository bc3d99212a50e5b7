package sim

import (
	"flag"
	"testing"
)

var (
	seedFlag     = flag.Uint64("seed", 0, "play the history of this seed, and tell what happens")
	sessionsFlag = flag.Int("sessions", 1500, "how many sessions the histories have together")
)

// Whatever happens to clients, sidecars, apps and the journal, every promise is kept;
// and what is rare happens too.
func TestHistories(t *testing.T) {
	if *seedFlag != 0 {
		plan := NewPlan(*seedFlag)
		plan.Trace = func(line string) { t.Log(line) }
		if r := Run(plan); r.Broken != nil {
			t.Fatal(r.Broken)
		}
		return
	}
	count := Play(1, *sessionsFlag, 20, nil)
	for _, f := range count.Broken {
		t.Errorf("seed %d: %v", f.Seed, f.Broken)
	}
	for _, what := range count.Unreached() {
		t.Errorf("never happened: %s", what)
	}
	t.Log(count)
}

// A seed makes one history, whenever it is played.
func TestSeedsRepeat(t *testing.T) {
	for seed := uint64(1); seed < 40; seed++ {
		var lines [2][]string
		for i := range lines {
			plan := NewPlan(seed)
			plan.Trace = func(line string) { lines[i] = append(lines[i], line) }
			Run(plan)
		}
		for i, line := range lines[0] {
			if i >= len(lines[1]) || lines[1][i] != line {
				t.Fatalf("seed %d differs at line %d: %s", seed, i, line)
			}
		}
	}
}

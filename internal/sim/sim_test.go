package sim

import (
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

var (
	seedFlag     = flag.Uint64("seed", 0, "play the history of this seed, and tell what happens")
	sessionsFlag = flag.Int("sessions", 3000, "how many sessions the histories have together")
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

// Histories that broke a promise once keep it.
func TestSmallHistories(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatal("no history", err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		plan, err := Parse(string(text))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if r := Run(plan); r.Broken != nil {
			t.Errorf("%s: %v", path, r.Broken)
		}
	}
}

// A plan is what its text says.
func TestText(t *testing.T) {
	for seed := range uint64(200) {
		want := NewPlan(seed)
		got, err := Parse(want.Text())
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: %v, %+v, want %+v", seed, err, got, want)
		}
	}
	for _, bad := range []string{
		"", "pods 2", "apps shouts", "seed x", "pods 2\napps echoes\nlength 1s\nwrites every 1s\nat 1s fire pod=0 how=0 for=1s",
		"pods 2\napps echoes\nlength 1s\nwrites every 1s\nat 1s cut client=1 how=0 for=1s", "pods 2\napps echoes\nlength 1s\nwrites every 1s\nat 1s cut pod=0 how=0 for=1s",
	} {
		if p, err := Parse(bad); err == nil {
			t.Errorf("%q is read as %+v", bad, p)
		}
	}
}

// Shrink keeps what a history needs to break its promise, and no more.
func TestShrink(t *testing.T) {
	plan := NewPlan(7)
	plan.mustNotReach = "client: resumed"
	for seed := uint64(7); Run(plan).Broken == nil; seed++ {
		plan = NewPlan(seed)
		plan.mustNotReach = "client: resumed"
	}
	small, why := Shrink(plan, 300)
	if why == nil || why.Promise != "must not happen" || len(small.Faults) > 2 || small.Clients > plan.Clients || Run(small).Broken == nil {
		t.Errorf("%v:\n%s", why, small.Text())
	}
}

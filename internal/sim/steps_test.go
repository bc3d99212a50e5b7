package sim

import (
	"os"
	"strings"
	"testing"
)

// Each fault at each step of a session breaks no promise, and gets there.
func TestStepFaults(t *testing.T) {
	for fault := range StepFaults {
		for step := range Steps {
			taken := false
			for seed := uint64(1); seed < 12 && !taken; seed++ {
				r := Run(StepPlan(step, fault, seed))
				if r.Broken != nil {
					t.Errorf("%s where %s, seed %d: %v", StepFaults[fault].Name, Steps[step].Name, seed, r.Broken)
				}
				taken = r.Taken
			}
			if !taken {
				t.Errorf("%s: no history gets to where %s", StepFaults[fault].Name, Steps[step].Name)
			}
		}
	}
}

// The page has every cell, and no broken promise.
func TestFaultTable(t *testing.T) {
	page, err := os.ReadFile("../../docs/FAULTS.md")
	if err != nil {
		t.Fatal(err)
	}
	cells := 0
	for line := range strings.Lines(string(page)) {
		for i := range Steps {
			if strings.Contains(line, "| "+Steps[i].Name+" |") {
				cells++
			}
		}
		if strings.Contains(line, "BROKEN") || strings.Contains(line, "no history got there") {
			t.Errorf("docs/FAULTS.md: %s", line)
		}
	}
	if want := len(Steps) * len(StepFaults); cells != want {
		t.Errorf("docs/FAULTS.md has %d cells of %d: go run ./internal/sim/faults", cells, want)
	}
}

package main

import "github.com/wsresilience/wsresilience/internal/lab/stats"

// A goal is a number that must be reached.
type goal struct {
	what    string
	got     float64
	most    float64
	unit    string
	reached bool
}

func newGoal(what string, got, most float64, unit string) goal {
	return goal{what, got, most, unit, got <= most}
}

func (g *goal) cells() []string {
	word := "FAIL"
	if g.reached {
		word = "PASS"
	}
	return []string{g.what, stats.Number(g.got) + g.unit, "≤ " + stats.Number(g.most) + g.unit, word}
}

// limits of the processor time in a workload, as a ratio to nginx.
var workloadLimits = []struct {
	workload, rival string
	most            float64
}{
	{"echo 64 B, 1 connection", "sidecar, resilient, auto", 1.05},
	{"echo 64 B, 64 connections", "sidecar, resilient, auto", 0.95},
	{"echo 64 B, 512 connections", "sidecar, resilient, auto", 0.85},
	{"echo 64 B, 64 connections", "sidecar, plain, auto", 0.80},
	{"echo 64 B, 512 connections", "sidecar, plain, auto", 0.70},
	{"flood 256 B, 16 connections", "sidecar, resilient, auto", 0.8},
	{"fan-out 256 B, 5,000 connections", "sidecar, resilient, auto", 1.2},
	{"slow echo 64 B, 512 connections", "sidecar, resilient, auto", 1.0},
	{"slow echo 64 B, 1,024 connections", "sidecar, resilient, auto", 1.0},
	{opening, "sidecar, plain, auto", 1.5},
	{opening, "sidecar, resilient, auto", 2.0},
}

// Limits of the other parts.
const (
	latencyLimit   = 0.0  // µs added, less what nginx adds
	idleLimit      = 2500 // bytes per session
	idleCPULimit   = 2    // per cent of a core
	latenessLimit  = 50   // ms at the 99.9th percentile
	pauseLimit     = 1    // ms
	resumeCPULimit = 3    // s for all sessions
)

package main

import "testing"

// TestCollections: only what happened between two readings counts.
func TestCollections(t *testing.T) {
	reading := func(count, sum float64) map[string]float64 {
		return map[string]float64{"go_gc_duration_seconds_count": count, "go_gc_duration_seconds_sum": sum}
	}
	var g collections
	readings := []map[string]float64{nil, reading(7, 0.5), reading(7, 0.5), reading(8, 0.502), reading(10, 0.503)}
	for i := 1; i < len(readings); i++ {
		g.add(readings[i-1], readings[i])
	}
	if g.cycles != 3 || g.longest < 0.0019 || g.longest > 0.0021 {
		t.Errorf("%+v, want 3 cycles, the longest pause 2 ms", g)
	}
}

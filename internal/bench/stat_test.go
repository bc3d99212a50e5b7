package main

import (
	"math"
	"testing"
	"time"
)

func TestPerTrip(t *testing.T) {
	if got := perTrip(3*time.Millisecond, 2000); math.Abs(got-1.5) > 1e-9 {
		t.Errorf("got %v µs, want 1.5", got)
	}
}

func TestCheapestReference(t *testing.T) {
	rows := []cpuRow{
		{subject{name: "loop", reference: true}, []float64{9, 5, 6}},
		{subject{name: "copy", reference: true}, []float64{7, 1, 8}},
		{subject{name: "sidecar"}, []float64{1, 1, 1}}, // never its own measure
	}
	if got := cheapest(rows).name; got != "loop" {
		t.Errorf("reference %s, want loop", got)
	}
}

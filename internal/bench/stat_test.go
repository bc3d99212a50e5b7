package main

import (
	"math"
	"slices"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{3}, 3},
		{[]float64{9, 1, 2}, 2},
		{[]float64{4, 1, 100, 2}, 3},
	} {
		before := slices.Clone(c.values)
		if got := median(c.values); got != c.want {
			t.Errorf("median(%v) = %v, want %v", c.values, got, c.want)
		}
		if !slices.Equal(before, c.values) {
			t.Errorf("median changed its input %v to %v", before, c.values)
		}
	}
}

func TestPercentile(t *testing.T) {
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(100 - i)
	}
	for _, c := range []struct {
		values  []float64
		percent int
		want    float64
	}{
		{[]float64{3}, 99, 3},
		{[]float64{3, 1, 2}, 0, 1},
		{[]float64{3, 1, 2}, 100, 3},
		{hundred, 99, 99},
		{hundred, 50, 50},
		{slices.Concat(hundred, []float64{1000}), 99, 100}, // of 101, the next rank up
	} {
		if got := percentile(c.values, c.percent); got != c.want {
			t.Errorf("percentile %d of %v = %v, want %v", c.percent, c.values, got, c.want)
		}
	}
}

// Half of the values are at most the median, half at least.
func FuzzMedian(f *testing.F) {
	f.Add([]byte{1})
	f.Add([]byte{9, 1, 5, 5})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 {
			return
		}
		values := make([]float64, len(b))
		for i := range b {
			values[i] = float64(b[i])
		}
		m, below, above := median(values), 0, 0
		for _, v := range values {
			if v <= m {
				below++
			}
			if v >= m {
				above++
			}
		}
		if half := (len(b) + 1) / 2; below < half || above < half {
			t.Fatalf("median %v of %v: %d at most, %d at least", m, values, below, above)
		}
	})
}

func TestRatiosGoRoundByRound(t *testing.T) {
	got := ratios([]float64{2, 30}, []float64{1, 20})
	if !slices.Equal(got, []float64{2, 1.5}) {
		t.Errorf("got %v", got)
	}
}

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

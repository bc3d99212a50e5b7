package main

import (
	"slices"
	"time"
)

// median of at least one value; of an even number, the mean of the middle
// two.
func median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	if n%2 == 1 {
		return v[n/2]
	}
	return (v[n/2-1] + v[n/2]) / 2
}

// percentile of at least one value, by the nearest rank.
func percentile(values []float64, percent int) float64 { return permilleOf(values, 10*percent) }

// permilleOf is the same, finer.
func permilleOf(values []float64, permille int) float64 {
	v := slices.Sorted(slices.Values(values))
	rank := (len(v)*permille + 999) / 1000
	return v[max(rank, 1)-1]
}

// differences subtracts pair by pair.
func differences(values, reference []float64) []float64 {
	d := make([]float64, len(values))
	for i := range values {
		d[i] = values[i] - reference[i]
	}
	return d
}

// millis is a time in milliseconds.
func millis(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

// ratios divides round by round, so that a slow moment of the machine, which
// both felt, cancels out.
func ratios(values, reference []float64) []float64 {
	r := make([]float64, len(values))
	for i := range values {
		r[i] = values[i] / reference[i]
	}
	return r
}

// perTrip is the processor time of one round trip in microseconds.
func perTrip(used time.Duration, trips int) float64 {
	return float64(used.Nanoseconds()) / 1e3 / float64(trips)
}

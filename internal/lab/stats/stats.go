// Package stats is the statistics of experiments: quantiles, spreads, and
// comparisons round by round.
package stats

import (
	"fmt"
	"slices"
	"time"
)

// Median returns that of at least one value; of an even number, the mean of
// the middle two.
func Median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	if n%2 == 1 {
		return v[n/2]
	}
	return (v[n/2-1] + v[n/2]) / 2
}

// Permille returns the value below or at which so many thousandths lie, by the
// nearest rank. It wants at least one value.
func Permille(values []float64, permille int) float64 {
	v := slices.Sorted(slices.Values(values))
	rank := (len(v)*permille + 999) / 1000
	return v[max(rank, 1)-1]
}

// Percentile is Permille by hundredths.
func Percentile(values []float64, percent int) float64 { return Permille(values, 10*percent) }

// Quantile returns the value at the share q, from 0 to 1, of sorted values; 0
// of none.
func Quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// Ratios divides round by round, so that a slow moment of the machine, which
// both felt, cancels out.
func Ratios(values, reference []float64) []float64 {
	r := make([]float64, len(values))
	for i := range values {
		r[i] = values[i] / reference[i]
	}
	return r
}

// Differences subtracts round by round.
func Differences(values, reference []float64) []float64 {
	d := make([]float64, len(values))
	for i := range values {
		d[i] = values[i] - reference[i]
	}
	return d
}

// Millis is a time in milliseconds.
func Millis(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

// A Spread describes durations, in milliseconds.
type Spread struct {
	N                  int
	Median, P99, Worst float64
}

// SpreadOf describes a list, the zero Spread if it is empty.
func SpreadOf(list []time.Duration) Spread {
	ms := make([]float64, len(list))
	for i, d := range list {
		ms[i] = float64(d.Microseconds()) / 1e3
	}
	slices.Sort(ms)
	return Spread{len(ms), Quantile(ms, 0.5), Quantile(ms, 0.99), Quantile(ms, 1)}
}

func (s Spread) String() string {
	return fmt.Sprintf("%.0f / %.0f / %.0f of %d", s.Median, s.P99, s.Worst, s.N)
}

// Number writes a number with three digits or so.
func Number(f float64) string {
	switch {
	case f >= 100 || f <= -100:
		return fmt.Sprintf("%.0f", f)
	case f >= 10 || f <= -10:
		return fmt.Sprintf("%.1f", f)
	default:
		return fmt.Sprintf("%.2f", f)
	}
}

package stats

import (
	"slices"
	"testing"
	"time"
)

func TestQuantiles(t *testing.T) {
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(100 - i)
	}
	for _, tt := range []struct {
		name      string
		got, want float64
	}{
		{"median of one", Median([]float64{7}), 7},
		{"median of an odd number", Median([]float64{3, 1, 2}), 2},
		{"median of an even number", Median([]float64{4, 1, 3, 2}), 2.5},
		{"percentile", Percentile(hundred, 99), 99},
		{"percentile of few", Percentile([]float64{5, 1}, 50), 1},
		{"permille", Permille(hundred, 1), 1},
		{"all of them", Permille(hundred, 1000), 100},
		{"quantile of none", Quantile(nil, 0.5), 0},
		{"quantile", Quantile([]float64{1, 2, 3, 4}, 0.5), 3},
		{"the highest", Quantile([]float64{1, 2, 3, 4}, 1), 4},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, tt.got, tt.want)
		}
	}
}

func TestRounds(t *testing.T) {
	if got := Ratios([]float64{2, 9}, []float64{1, 3}); !slices.Equal(got, []float64{2, 3}) {
		t.Errorf("ratios %v", got)
	}
	if got := Differences([]float64{2, 9}, []float64{1, 3}); !slices.Equal(got, []float64{1, 6}) {
		t.Errorf("differences %v", got)
	}
}

func TestSpread(t *testing.T) {
	var list []time.Duration
	for i := range 100 {
		list = append(list, time.Duration(100-i)*time.Millisecond)
	}
	if got, want := SpreadOf(list), (Spread{100, 51, 100, 100}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := SpreadOf(nil); got != (Spread{}) {
		t.Errorf("nothing is %+v", got)
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
		before := slices.Clone(values)
		m, below, above := Median(values), 0, 0
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
		if !slices.Equal(before, values) {
			t.Fatalf("the input changed from %v to %v", before, values)
		}
	})
}

package backoff

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestAsked(t *testing.T) {
	for _, tc := range []struct {
		load        Load
		first, most time.Duration
	}{
		{Load{}, 0, 5 * time.Second},
		{Load{Sessions: 1}, 3 * time.Millisecond, 5 * time.Second},
		{Load{Sessions: 100}, 300 * time.Millisecond, 5 * time.Second},
		{Load{Sessions: 1000}, 3 * time.Second, 5 * time.Second},
		{Load{Sessions: 10_000}, 5 * time.Second, 10 * time.Second},
		{Load{Sessions: 1_000_000}, 5 * time.Second, 30 * time.Second},
		{Load{Sessions: 1000, Draining: true}, 0, 5 * time.Second},
		{Load{Sessions: 10_000, Draining: true}, 0, 10 * time.Second},
	} {
		if first, most := tc.load.Asked(); first != tc.first || most != tc.most {
			t.Errorf("%+v: %v, %v, want %v, %v", tc.load, first, most, tc.first, tc.most)
		}
	}
}

// A thousand clients that came one after the other, so that the first heard of
// few others, take more than two seconds to come back, and no tenth of a second
// has more than a fifth of them.
func TestAskedSpreads(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var last time.Duration
	var tenths [60]int
	for n := range 1000 {
		first, _ := Load{Sessions: n + 1}.Asked()
		at := time.Duration(random.Float64() * float64(first))
		last = max(last, at)
		tenths[at/(100*time.Millisecond)]++
	}
	if last < 2*time.Second {
		t.Errorf("the last comes after %v", last)
	}
	for i, n := range tenths {
		if n > 200 {
			t.Errorf("%d come in tenth %d", n, i)
		}
	}
}

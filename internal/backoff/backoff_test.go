package backoff

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

const (
	ms = time.Millisecond
	s  = time.Second
)

// fixed is a random source that always says r.
func fixed(r float64) func() float64 { return func() float64 { return r } }

func TestNext(t *testing.T) {
	tests := []struct {
		name   string
		policy Policy
		random float64
		want   []time.Duration
	}{
		{"default, in the middle of the jitter", Policy{}, 0.5, []time.Duration{
			100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 6400 * ms, 12800 * ms, 24 * s, 24 * s}},
		{"default, shortest", Policy{}, 0, []time.Duration{
			100 * ms, 150 * ms, 300 * ms, 600 * ms, 1200 * ms, 2400 * ms, 4800 * ms, 9600 * ms, 18 * s, 18 * s}},
		{"default, longest: the jitter stays below the maximum", Policy{}, 1, []time.Duration{
			125 * ms, 250 * ms, 500 * ms, 1 * s, 2 * s, 4 * s, 8 * s, 16 * s, 30 * s, 30 * s}},
		{"no jitter", Policy{Jitter: -1}, 0, []time.Duration{100 * ms, 200 * ms, 400 * ms}},
		{"a base of its own keeps its jitter on both sides", Policy{Base: s}, 0, []time.Duration{750 * ms, 1500 * ms}},
		{"a maximum of its own", Policy{Max: 300 * ms}, 0.5, []time.Duration{100 * ms, 200 * ms, 240 * ms, 240 * ms}},
		{"a factor of its own", Policy{Base: 200 * ms, Factor: 1.5}, 0.5, []time.Duration{200 * ms, 300 * ms, 450 * ms}},
		{"a steady wait", Policy{Factor: 1}, 0.5, []time.Duration{100 * ms, 100 * ms}},
		{"a shrinking factor is steady", Policy{Base: s, Factor: 0.5}, 0.5, []time.Duration{s, s}},
		{"the limits bind any policy", Policy{Base: 1, Max: time.Hour, Factor: 1e9}, 0.5, []time.Duration{100 * ms, 24 * s}},
		{"a maximum below the shortest", Policy{Max: 1}, 0.5, []time.Duration{100 * ms, 100 * ms}},
		{"jitter of more than everything", Policy{Base: s, Jitter: 9}, 1, []time.Duration{2 * s, 4 * s}},
		{"not a number", Policy{Base: s, Factor: math.NaN(), Jitter: math.NaN()}, 0, []time.Duration{s, s}},
		{"infinite", Policy{Factor: math.Inf(1), Jitter: math.Inf(1)}, 0.5, []time.Duration{100 * ms, 15 * s}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := New(tt.policy, fixed(tt.random))
			for _, round := range []string{"first", "after Reset"} {
				var got []time.Duration
				for range tt.want {
					d, ok := b.Next()
					if !ok {
						t.Fatalf("%s: ended without a limit", round)
					}
					got = append(got, d)
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("%s: %v, want %v", round, got, tt.want)
				}
				b.Reset()
			}
		})
	}
}

func TestAttempts(t *testing.T) {
	b := New(Policy{Attempts: 3}, fixed(0.5))
	for range 2 {
		for i := range 5 {
			if d, ok := b.Next(); ok != (i < 3) || (d == 0) == ok {
				t.Errorf("attempt %d: %v, %v", i, d, ok)
			}
		}
		b.Reset()
	}
}

// An attempt that succeeded is not counted any more, but the waits stay long
// until what it led to has lasted.
func TestSucceeded(t *testing.T) {
	b := New(Policy{Attempts: 2}, fixed(0.5))
	for i, want := range []int{100, 200, 400, 800} {
		if d, ok := b.Next(); !ok || d != time.Duration(want)*time.Millisecond {
			t.Errorf("wait %d: %v, %v, want %d ms", i, d, ok, want)
		}
		b.Succeeded()
	}
}

// Thousands of attempts overflow nothing, reach both halves of the jitter and
// allocate nothing.
func TestManyAttempts(t *testing.T) {
	b := New(Policy{Base: 4 * s, Max: 8 * s}, rand.New(rand.NewPCG(1, 2)).Float64)
	b.Next()
	lowest, highest := Longest, Shortest
	allocs := testing.AllocsPerRun(100_000, func() {
		d, ok := b.Next()
		if !ok || d < 4799*ms || d > 8*s {
			t.Fatalf("%v, %v: want 4.8s to 8s", d, ok)
		}
		lowest, highest = min(lowest, d), max(highest, d)
	})
	if lowest > 4810*ms || highest < 7990*ms {
		t.Errorf("waits from %v to %v, want nearly 4.8s to 8s", lowest, highest)
	}
	if allocs != 0 {
		t.Errorf("%v allocations a wait, want 0", allocs)
	}
}

// A longest wait that is set later takes the place of the policy's, and nothing
// else changes.
func TestSetMax(t *testing.T) {
	for _, jitter := range []float64{-1, 0.25, 1} {
		p := Policy{Base: s, Max: 2 * s, Factor: 1, Jitter: jitter}
		b := New(p, fixed(1))
		b.SetMax(10 * s)
		p.Max = 10 * s
		want := New(p, fixed(1))
		b.Reset()
		got, _ := b.Next()
		if d, _ := want.Next(); got != d {
			t.Errorf("jitter %v: %v, want %v", jitter, got, d)
		}
	}
}

// FuzzNext compares with the closed form base × factor^n, and checks that no
// policy leaves the limits.
func FuzzNext(f *testing.F) {
	f.Add(int64(0), int64(0), 0.0, 0.0, 0.5, 5000)
	f.Add(int64(math.MaxInt64), int64(math.MinInt64), math.Inf(1), -1.0, 0.99, 3)
	f.Add(int64(250*ms), int64(20*s), 1.5, 0.5, 0.0, 40)
	f.Fuzz(func(t *testing.T, base, longest int64, factor, jitter, r float64, attempts int) {
		if !(r >= 0 && r < 1) {
			t.Skip("a random source gives [0, 1)")
		}
		p := Policy{Base: time.Duration(base), Max: time.Duration(longest), Factor: factor, Jitter: jitter}
		b := New(p, fixed(r))
		p = p.settled()
		for n := range min(max(attempts, 1), 5000) {
			d, ok := b.Next()
			wait := min(float64(p.Base)*math.Pow(p.Factor, float64(n)), p.longest()) * (1 + p.Jitter*(2*r-1))
			want := min(max(wait, float64(Shortest)), float64(p.Max))
			if !ok || d < Shortest || d > Longest || math.Abs(float64(d)-want) > float64(time.Microsecond) {
				t.Fatalf("attempt %d of %+v: %v, %v, want %v", n, p, d, ok, time.Duration(want))
			}
		}
	})
}

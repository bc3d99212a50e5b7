package heartbeat

import (
	"math"
	"testing"
	"time"
)

const ms = time.Millisecond

func TestRTTSmoothing(t *testing.T) {
	// Worked by hand from RFC 6298 section 2.
	steps := []struct{ sample, mean, variation time.Duration }{
		{100 * ms, 100 * ms, 50 * ms},
		{180 * ms, 110 * ms, 57500 * time.Microsecond},
		{110 * ms, 110 * ms, 43125 * time.Microsecond},
		{30 * ms, 100 * ms, 52343750 * time.Nanosecond},
	}
	var r RTT
	for i, s := range steps {
		r.Add(s.sample)
		if r.Mean() != s.mean || r.Variation() != s.variation {
			t.Errorf("sample %d: mean %v variation %v, want %v and %v",
				i, r.Mean(), r.Variation(), s.mean, s.variation)
		}
	}
}

func TestRTTDeviation(t *testing.T) {
	tests := []struct {
		name    string
		samples []time.Duration
		want    time.Duration
	}{
		{"none", nil, 0},
		{"one", []time.Duration{70 * ms}, 0},
		{"the textbook's eight", []time.Duration{2 * ms, 4 * ms, 4 * ms, 4 * ms, 5 * ms, 5 * ms, 7 * ms, 9 * ms}, 2 * ms},
		{"only the latest eight", []time.Duration{time.Hour, 2 * ms, 4 * ms, 4 * ms, 4 * ms, 5 * ms, 5 * ms, 7 * ms, 9 * ms}, 2 * ms},
		{"a buffering path", []time.Duration{20 * ms, 120 * ms}, 50 * ms},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var r RTT
			for _, s := range tt.samples {
				r.Add(s)
			}
			if r.Deviation() != tt.want {
				t.Errorf("deviation %v, want %v", r.Deviation(), tt.want)
			}
		})
	}
}

func TestRTTExtremes(t *testing.T) {
	var r RTT
	r.Add(-time.Second)
	if r.Mean() != 0 || r.Variation() != 0 {
		t.Errorf("negative sample: mean %v variation %v, want 0", r.Mean(), r.Variation())
	}
	for range 100 {
		r.Add(math.MaxInt64)
	}
	if r.Mean() < 0 || r.Mean() > maxSample || r.Deviation() != 0 {
		t.Errorf("endless samples: mean %v deviation %v", r.Mean(), r.Deviation())
	}
	if r.Late(maxSample) || !r.Late(4*maxSample) {
		t.Error("three times the longest round trip is not computed right")
	}
}

func TestRTTLate(t *testing.T) {
	var unknown, slow, quick RTT
	slow.Add(100 * ms)
	quick.Add(ms)
	tests := []struct {
		name   string
		rtt    *RTT
		sample time.Duration
		want   bool
	}{
		{"nothing to compare with", &unknown, time.Hour, false},
		{"three round trips", &slow, 300 * ms, false},
		{"more than three", &slow, 300*ms + 1, true},
		{"three of a quick link, within the granularity", &quick, 10 * ms, false},
		{"beyond the granularity", &quick, 10*ms + 1, true},
	}
	for _, tt := range tests {
		if got := tt.rtt.Late(tt.sample); got != tt.want {
			t.Errorf("%s: late %v", tt.name, got)
		}
	}
}

func TestLoss(t *testing.T) {
	var l Loss
	if l.Ratio() != 0 {
		t.Errorf("no outcome: loss %v", l.Ratio())
	}
	for i, want := range []float64{1, 0.5, 1. / 3, 0.25} {
		if l.Record(i == 0); l.Ratio() != want {
			t.Errorf("outcome %d: loss %v, want %v", i, l.Ratio(), want)
		}
	}
	for range lossWindow - 4 {
		l.Record(false)
	}
	if l.Ratio() != 1./lossWindow {
		t.Errorf("the lost beat is the oldest in the window: loss %v", l.Ratio())
	}
	if l.Record(false); l.Ratio() != 0 {
		t.Errorf("the lost beat has left the window: loss %v", l.Ratio())
	}
	for range 2 * lossWindow {
		l.Record(true)
	}
	if l.Ratio() != 1 {
		t.Errorf("all lost: loss %v", l.Ratio())
	}
}

// FuzzLoss compares the bitset with a list of all outcomes.
func FuzzLoss(f *testing.F) {
	f.Add([]byte{0x80, 0x00, 0x00, 0x00, 0x01})
	f.Add([]byte{0xFF, 0xFF, 0xFF, 0xFF, 0xFF})
	f.Fuzz(func(t *testing.T, outcomes []byte) {
		var l Loss
		var all []bool
		for _, o := range outcomes {
			for bit := range 8 {
				lost := o>>bit&1 == 1
				l.Record(lost)
				all = append(all, lost)
				if got, want := l.Ratio(), naiveLoss(all); got != want {
					t.Fatalf("after %d outcomes: loss %v, want %v", len(all), got, want)
				}
			}
		}
	})
}

// naiveLoss is the share of true among the latest lossWindow outcomes.
func naiveLoss(outcomes []bool) float64 {
	latest := outcomes[max(0, len(outcomes)-lossWindow):]
	lost := 0
	for _, o := range latest {
		if o {
			lost++
		}
	}
	return float64(lost) / float64(max(1, len(latest)))
}

package demo

import "testing"

func TestScore(t *testing.T) {
	const sent = 20
	for _, tt := range []struct {
		name     string
		arrivals []uint64
		want     score // finished; gaps and highest are not compared
		clean    bool
	}{
		{"all in order", []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20}, score{received: 20}, true},
		{"nothing", nil, score{worst: 20}, false},
		{"two gaps and the end", []uint64{1, 2, 5, 6, 10}, score{received: 5, worst: 10}, false},
		{"twice", []uint64{1, 2, 2, 1, 3}, score{received: 3, duplicated: 2, worst: 17}, false},
		{"late ones fill a gap from its edges", []uint64{6, 1, 5, 3, 3}, score{received: 4, reordered: 3, duplicated: 1, worst: 14}, false},
		{"never sent", []uint64{0, 21, 1 << 63}, score{duplicated: 3, worst: 20}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var s score
			for range sent {
				s.next()
			}
			for _, n := range tt.arrivals {
				s.arrive(n)
			}
			s.finish()
			if s.received != tt.want.received || s.duplicated != tt.want.duplicated || s.reordered != tt.want.reordered || s.worst != tt.want.worst {
				t.Errorf("got %+v, want %+v", s, tt.want)
			}
			if s.lost() != sent-tt.want.received {
				t.Errorf("%d lost, want %d", s.lost(), sent-tt.want.received)
			}
			if s.clean() != tt.clean {
				t.Errorf("clean is %v", s.clean())
			}
		})
	}
}

func TestScoreIsBounded(t *testing.T) {
	var s score
	for range 3 * maxGaps {
		s.next()
		s.arrive(s.next())
	}
	if len(s.gaps) != maxGaps {
		t.Errorf("%d gaps are remembered, want %d", len(s.gaps), maxGaps)
	}
	if s.lost() != 3*maxGaps {
		t.Errorf("%d lost, want %d: forgotten gaps count too", s.lost(), 3*maxGaps)
	}
	if s.arrive(1); s.duplicated != 1 {
		t.Errorf("what comes for a forgotten gap is no duplicate: %+v", s)
	}
}

// FuzzScore compares the score with a model that remembers every number. A
// byte below 64 sends so many; any other one arrives, counted back from the
// last that was sent.
func FuzzScore(f *testing.F) {
	f.Add([]byte{5, 64 + 4, 64 + 2, 64 + 2, 64})
	f.Add([]byte{63, 64, 64 + 62, 64 + 30, 64 + 31, 64 + 29})
	f.Add([]byte{3, 64, 2, 64, 70, 9, 200, 255})
	f.Fuzz(func(t *testing.T, steps []byte) {
		var s score
		seen := map[uint64]bool{}
		var sent, highest, duplicated, reordered uint64
		for _, b := range steps[:min(len(steps), 512)] {
			if b < 64 {
				for range b {
					sent++
					s.next()
				}
				continue
			}
			n := sent - uint64(b-64) // may wrap: such a number was never sent
			switch {
			case n == 0 || n > sent || seen[n]:
				duplicated++
			case n < highest:
				reordered++
				seen[n] = true
			default:
				highest = n
				seen[n] = true
			}
			s.arrive(n)
			if s.received != uint64(len(seen)) || s.duplicated != duplicated || s.reordered != reordered {
				t.Fatalf("after %d: %+v, want %d received, %d duplicated, %d reordered", n, s, len(seen), duplicated, reordered)
			}
			if s.lost() != highest-uint64(len(seen)) {
				t.Fatalf("after %d: %d lost, want %d", n, s.lost(), highest-uint64(len(seen)))
			}
		}
	})
}

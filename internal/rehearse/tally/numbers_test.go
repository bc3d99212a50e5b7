package tally

import "testing"

// FuzzNumbers compares the set with a map.
func FuzzNumbers(f *testing.F) {
	f.Add([]byte{1, 2, 5, 4, 3, 9, 9})
	f.Fuzz(func(t *testing.T, list []byte) {
		var s Numbers
		model := map[int64]bool{}
		highest := int64(0)
		for _, c := range list {
			n := int64(c) + 1
			if s.Add(n) == model[n] {
				t.Fatalf("%v: %d is new: %v", list, n, model[n])
			}
			model[n] = true
			highest = max(highest, n)
		}
		missing := int64(0)
		for n := int64(1); n <= 300; n++ {
			if s.Has(n) != model[n] {
				t.Fatalf("%v: has %d: %v", list, n, s.Has(n))
			}
			if !model[n] {
				missing++
			}
		}
		gaps := int64(0)
		for first, last := range s.Gaps(300) {
			gaps += last - first + 1
		}
		if s.Highest() != highest || s.Count() != int64(len(model)) || s.Holes(300) != missing || gaps != missing {
			t.Fatalf("%v: highest %d, count %d, %d holes, %d in gaps", list, s.Highest(), s.Count(), s.Holes(300), gaps)
		}
	})
}

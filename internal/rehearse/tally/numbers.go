package tally

import (
	"iter"
	"slices"
)

// Numbers is a set of message numbers from 1, kept as runs: a stream without a
// break is one run. The zero value is empty.
type Numbers struct {
	runs  []run // ascending, and not adjacent
	count int64
}

// run is a row of numbers, both ends included.
type run struct{ first, last int64 }

// Count returns how many numbers there are.
func (s *Numbers) Count() int64 { return s.count }

// Highest returns the highest number, 0 of none.
func (s *Numbers) Highest() int64 {
	if len(s.runs) == 0 {
		return 0
	}
	return s.runs[len(s.runs)-1].last
}

// UpTo returns how many numbers there are from 1 to last.
func (s *Numbers) UpTo(last int64) (n int64) {
	for _, r := range s.runs {
		if r.first <= last {
			n += min(r.last, last) - r.first + 1
		}
	}
	return n
}

// Holes returns how many numbers from 1 to last are missing.
func (s *Numbers) Holes(last int64) int64 { return last - s.UpTo(last) }

// find returns the first run that ends at n or later.
func (s *Numbers) find(n int64) int {
	i, _ := slices.BinarySearchFunc(s.runs, n, func(r run, n int64) int {
		if r.last < n {
			return -1
		}
		return 1
	})
	return i
}

// Has reports whether n is one of them.
func (s *Numbers) Has(n int64) bool {
	i := s.find(n)
	return i < len(s.runs) && s.runs[i].first <= n
}

// Add reports whether n, which is at least 1, is new.
func (s *Numbers) Add(n int64) bool {
	i := s.find(n)
	if i < len(s.runs) && s.runs[i].first <= n {
		return false
	}
	s.count++
	before := i > 0 && s.runs[i-1].last+1 == n
	behind := i < len(s.runs) && s.runs[i].first == n+1
	switch {
	case before && behind:
		s.runs[i-1].last = s.runs[i].last
		s.runs = slices.Delete(s.runs, i, i+1)
	case before:
		s.runs[i-1].last = n
	case behind:
		s.runs[i].first = n
	default:
		s.runs = slices.Insert(s.runs, i, run{n, n})
	}
	return true
}

// Gaps are the ends of each row of numbers that are missing between 1 and last.
func (s *Numbers) Gaps(last int64) iter.Seq2[int64, int64] {
	return func(yield func(first, last int64) bool) {
		next := int64(1)
		for _, r := range s.runs {
			if r.first > last {
				break
			}
			if r.first > next && !yield(next, r.first-1) {
				return
			}
			next = r.last + 1
		}
		if next <= last {
			yield(next, last)
		}
	}
}

package ledger

import "slices"

// numbers is a set of message numbers, kept as runs: a stream without a break
// is one run. The zero value is empty.
type numbers struct {
	runs  []run // ascending, and not adjacent
	count uint32
}

// run is a row of numbers, both ends included.
type run struct{ first, last uint32 }

// highest returns the highest number, 0 of none.
func (s *numbers) highest() uint32 {
	if len(s.runs) == 0 {
		return 0
	}
	return s.runs[len(s.runs)-1].last
}

// holes returns how many numbers from 1 to last are missing.
func (s *numbers) holes(last uint32) int {
	missing := int(last)
	for _, r := range s.runs {
		if r.first <= last {
			missing -= int(min(r.last, last)-r.first) + 1
		}
	}
	return missing
}

// find returns the first run that ends at n or later.
func (s *numbers) find(n uint32) int {
	i, _ := slices.BinarySearchFunc(s.runs, n, func(r run, n uint32) int {
		if r.last < n {
			return -1
		}
		return 1
	})
	return i
}

func (s *numbers) has(n uint32) bool {
	i := s.find(n)
	return i < len(s.runs) && s.runs[i].first <= n
}

// add reports whether n, which is not 0, is new.
func (s *numbers) add(n uint32) bool {
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

// gaps returns what is missing between 1 and last.
func (s *numbers) gaps(last uint32) (list []run) {
	next := uint32(1)
	for _, r := range s.runs {
		if r.first > last {
			break
		}
		if r.first > next {
			list = append(list, run{next, r.first - 1})
		}
		next = r.last + 1
	}
	if next <= last {
		list = append(list, run{next, last})
	}
	return list
}

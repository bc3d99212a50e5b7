package demo

import "slices"

// maxGaps bounds what a score remembers of a direction: one break leaves one
// gap or a few, so this is hours of a network that is cut every second. What
// comes for a gap that was forgotten counts as a duplicate.
const maxGaps = 4096

// score counts the messages of one direction, which are numbered 1, 2, 3 and
// so on by their sender. It needs no clock and no lock.
type score struct {
	sent       uint64 // the last number that was given out
	received   uint64 // different ones
	duplicated uint64 // came again, or were never sent
	reordered  uint64 // came after a later one
	worst      uint64 // most numbers in a row that were missing at once

	highest uint64 // that arrived; what is missing below it is lost for now
	gaps    []gap  // of what is missing below it, ascending
}

// gap is a run of missing numbers, both ends included.
type gap struct{ first, last uint64 }

// next gives out the number of the next message.
func (s *score) next() uint64 {
	s.sent++
	return s.sent
}

// An arrival is what a number is to those that came before it.
type arrival int

const (
	inOrder arrival = iota // later than all of them
	late                   // missing until now
	again                  // here already, or never sent
)

// arrive counts a message and returns how many went missing right before it.
func (s *score) arrive(n uint64) (missing uint64) {
	how, missing := s.place(n)
	switch how {
	case late:
		s.reordered++
	case again:
		s.duplicated++
	}
	return missing
}

// place is arrive for a caller that judges by itself what is not in order.
func (s *score) place(n uint64) (how arrival, missing uint64) {
	switch {
	case n > s.sent:
		return again, 0
	case n > s.highest:
		missing = n - s.highest - 1
		s.miss(n - 1)
		s.highest = n
		s.received++
		return inOrder, missing
	case s.fill(n):
		s.received++
		return late, 0
	}
	return again, 0
}

// lost is how many are missing although a later one has arrived. A message
// that is still under way may be late, so it is not counted before.
func (s *score) lost() uint64 { return s.highest - s.received }

// finish says that nothing is under way any more: what has not come is lost.
func (s *score) finish() {
	s.miss(s.sent)
	s.highest = s.sent
}

// clean tells that every message that was sent arrived once and in order.
func (s *score) clean() bool {
	return s.received == s.sent && s.duplicated == 0 && s.reordered == 0
}

// miss notes that what lies between the highest number and last, included,
// did not come.
func (s *score) miss(last uint64) {
	if last <= s.highest {
		return
	}
	s.worst = max(s.worst, last-s.highest)
	s.gaps = append(s.gaps, gap{s.highest + 1, last})
	if len(s.gaps) > maxGaps {
		s.gaps = slices.Delete(s.gaps, 0, 1)
	}
}

// fill takes n out of the gap that it is missing in, if there is one.
func (s *score) fill(n uint64) bool {
	i, found := slices.BinarySearchFunc(s.gaps, n, func(g gap, n uint64) int {
		switch {
		case g.last < n:
			return -1
		case g.first > n:
			return 1
		}
		return 0
	})
	if !found {
		return false
	}
	var rest []gap
	if g := s.gaps[i]; g.first < n {
		rest = append(rest, gap{g.first, n - 1})
	}
	if g := s.gaps[i]; n < g.last {
		rest = append(rest, gap{n + 1, g.last})
	}
	s.gaps = slices.Replace(s.gaps, i, i+1, rest...)
	return true
}

package budget

import "sync/atomic"

// A Share is the part of a budget that one kind of memory may take, so that it
// leaves something to the others: at most a part of the budget, and always a
// smaller part of its own, since all of it may have been taken by others who
// give it back only when this kind gets on. It is safe for concurrent use.
type Share struct {
	of   *Budget
	most atomic.Int64 // of this kind

	used    atomic.Int64
	waiting atomic.Int64
	waits   atomic.Uint64
	beyond  atomic.Bool // somebody has what the share does not allow
}

// Share returns a share of at most so many bytes, of which it has an eighth
// whatever the others use.
func (b *Budget) Share(most int64) *Share {
	s := &Share{of: b}
	s.SetMost(most)
	return s
}

// SetMost changes the bytes of the share, as Budget.SetLimit those of the budget.
func (s *Share) SetMost(most int64) { s.most.Store(most) }

// least is what others cannot take.
func (s *Share) least() int64 { return s.most.Load() / 8 }

// Used returns the bytes that count now.
func (s *Share) Used() int64 { return s.used.Load() }

// Waiting returns how many Holds were refused and wait.
func (s *Share) Waiting() int64 { return s.waiting.Load() }

// Waits returns how often a Hold began to wait.
func (s *Share) Waits() uint64 { return s.waits.Load() }

func (s *Share) take(n int64) bool {
	for {
		used := s.used.Load()
		if s.of.Limit() > 0 && used+n > s.most.Load() {
			return false
		}
		if s.used.CompareAndSwap(used, used+n) {
			break
		}
	}
	if s.of.Take(n) {
		return true
	}
	if s.used.Load() <= s.least() {
		s.of.Charge(n)
		return true
	}
	s.used.Add(-n)
	return false
}

// A Hold is what one holder has of a Share. The zero value has nothing. It is
// not safe for concurrent use.
type Hold struct {
	bytes   int64
	beyond  bool
	waiting bool
}

// Grow makes the hold at least n bytes, and reports whether it may be. Of those
// that may not one is let through all the same: whoever waits for memory can
// have some, and each might wait for what the others have. Grow of a nil share
// is always allowed.
func (h *Hold) Grow(s *Share, n int64) bool {
	if s == nil || n <= h.bytes {
		return true
	}
	more := n - h.bytes
	switch {
	case s.take(more):
	case h.beyond || s.beyond.CompareAndSwap(false, true):
		h.beyond = true
		s.used.Add(more)
		s.of.Charge(more)
	default:
		h.wait(s, true)
		return false
	}
	h.bytes = n
	h.wait(s, false)
	return true
}

func (h *Hold) wait(s *Share, on bool) {
	if h.waiting == on {
		return
	}
	h.waiting = on
	if on {
		s.waiting.Add(1)
		s.waits.Add(1)
	} else {
		s.waiting.Add(-1)
	}
}

// Release gives all of it back, and waits no longer.
func (h *Hold) Release(s *Share) {
	if s == nil {
		return
	}
	h.wait(s, false)
	if h.bytes != 0 {
		s.used.Add(-h.bytes)
		s.of.Charge(-h.bytes)
	}
	if h.beyond {
		s.beyond.Store(false)
	}
	*h = Hold{}
}

// Waiting reports whether the last Grow was refused.
func (h *Hold) Waiting() bool { return h.waiting }

// Bytes returns what the hold has.
func (h *Hold) Bytes() int64 { return h.bytes }

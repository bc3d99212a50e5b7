package sharing

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"

	"github.com/wsresilience/wsresilience/internal/jsonpointer"
	"github.com/wsresilience/wsresilience/internal/match"
)

// Implementation limits of a State. It is in the journal's records, and is what a
// member hears that joins.
const (
	MaxState   = 256 << 10
	MaxEntries = 1024

	// entryCost is more than an entry takes beside its key, version and frame.
	entryCost = 160
)

// name is which state an entry is.
type name struct {
	rule int
	key  string
}

// entry is the latest message of a state.
type entry struct {
	name
	version version
	frame   []byte
	at      uint64 // the higher, the later it was said
}

func (e *entry) cost() int { return len(e.key) + len(e.version) + len(e.frame) + entryCost }

// A State is what the app has said that a member has to know that was not there:
// the latest message for each key. It is not safe for concurrent use. A nil State
// keeps nothing.
type State struct {
	rules   []*rule
	entries map[name]*entry
	size    int // what the entries cost, at most MaxState
	clock   uint64
	partial bool // something that mattered is not among the entries
}

// Said shows a message of the app: its payload, and the frame that is kept, which
// does not change from then on.
func (s *State) Said(payload, frame []byte) {
	for _, r := range s.rules {
		look := r.selects.Look(payload)
		drops := look == jsonpointer.Absent && r.drop != nil
		by := r.selects
		if drops {
			by = r.drop
			look = by.Look(payload)
		}
		switch {
		case look == jsonpointer.Undecided:
			s.partial = true // it is longer than what is looked at
			return
		case look == jsonpointer.Absent:
			continue
		}
		key, ok := r.keyOf(by, payload)
		if !ok {
			continue
		}
		n := name{r.number, key}
		if drops {
			s.drop(n)
			return
		}
		s.put(r, n, payload, frame)
		return
	}
}

// nameOf returns which state a message of the app is.
func (s *State) nameOf(payload []byte) (n name, ok bool) {
	for _, r := range s.rules {
		if r.selects.Look(payload) != jsonpointer.Present {
			continue
		}
		if key, ok := r.keyOf(r.selects, payload); ok {
			return name{r.number, key}, true
		}
	}
	return n, false
}

func (s *State) put(r *rule, n name, payload, frame []byte) {
	if !r.selects.IsRegexp() && (len(payload) > match.MaxLook || !json.Valid(payload)) {
		s.partial = true // it is not what it looks like
		return
	}
	e := &entry{name: n, version: versionAt(payload, r.version), frame: frame}
	if before := s.entries[n]; before != nil && e.version.compare(before.version) < 0 {
		return // the app said it late
	}
	s.drop(n)
	s.clock++
	e.at = s.clock
	for len(s.entries) > 0 && (len(s.entries) >= MaxEntries || s.size+e.cost() > MaxState) {
		s.drop(s.oldest().name)
		s.partial = true
	}
	if e.cost() > MaxState {
		s.partial = true
		return
	}
	s.entries[n] = e
	s.size += e.cost()
}

func (s *State) drop(n name) {
	if e := s.entries[n]; e != nil {
		s.size -= e.cost()
		delete(s.entries, n)
	}
}

// oldest returns the entry that was said first; there is one.
func (s *State) oldest() (first *entry) {
	for _, e := range s.entries {
		if first == nil || e.at < first.at {
			first = e
		}
	}
	return first
}

// Frames returns the messages in the order in which they were said.
func (s *State) Frames() [][]byte {
	if s == nil {
		return nil
	}
	all := slices.SortedFunc(maps.Values(s.entries), func(a, b *entry) int { return cmp.Compare(a.at, b.at) })
	frames := make([][]byte, len(all))
	for i, e := range all {
		frames[i] = e.frame
	}
	return frames
}

// Clone returns a copy, which shares the messages.
func (s *State) Clone() *State {
	c := *s
	c.entries = maps.Clone(s.entries)
	return &c
}

// Size returns what the entries cost, in bytes.
func (s *State) Size() int {
	if s == nil {
		return 0
	}
	return s.size
}

// Partial reports whether something that mattered is not among the entries: it did
// not fit, or could not be understood.
func (s *State) Partial() bool { return s == nil || s.partial }

// SetPartial notes that something is not among the entries.
func (s *State) SetPartial() { s.partial = true }

package dedupe

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestSet(t *testing.T) {
	const minute = time.Minute
	type step struct {
		at   time.Duration
		do   string // add, has, remove
		id   string
		want bool
		n    int // Len afterwards
	}
	tests := []struct {
		name     string
		capacity int
		steps    []step
	}{
		{"a repetition is not fresh", 3, []step{
			{0, "add", "a", true, 1},
			{0, "add", "a", false, 1},
			{0, "has", "a", true, 1},
			{0, "has", "b", false, 1},
		}},
		{"an id expires at its age, and a repetition does not renew it", 3, []step{
			{0, "add", "a", true, 1},
			{minute - 1, "add", "a", false, 1},
			{minute - 1, "has", "a", true, 1},
			{minute, "has", "a", false, 1},
			{minute, "add", "a", true, 1},
			{2*minute - 1, "has", "a", true, 1},
		}},
		{"the capacity forgets what was added first", 2, []step{
			{0, "add", "a", true, 1},
			{0, "add", "b", true, 2},
			{0, "add", "a", false, 2},
			{0, "add", "c", true, 2},
			{0, "has", "a", false, 2},
			{0, "has", "b", true, 2},
			{0, "has", "c", true, 2},
		}},
		{"an expired one goes before a live one", 2, []step{
			{0, "add", "a", true, 1},
			{30 * time.Second, "add", "b", true, 2},
			{minute, "add", "c", true, 2},
			{minute, "has", "b", true, 2},
		}},
		{"an add sweeps all that is expired", 4, []step{
			{0, "add", "a", true, 1},
			{1, "add", "b", true, 2},
			{2, "add", "c", true, 3},
			{minute + 1, "add", "d", true, 2},
			{minute + 1, "has", "c", true, 2},
		}},
		{"a removed id is fresh again, and the youngest", 2, []step{
			{0, "add", "a", true, 1},
			{0, "add", "b", true, 2},
			{0, "remove", "a", true, 1},
			{0, "remove", "a", false, 1},
			{0, "add", "a", true, 2},
			{0, "add", "c", true, 2},
			{0, "has", "b", false, 2},
			{0, "has", "a", true, 2},
		}},
		{"a clock that steps back shortens no life", 3, []step{
			{minute, "add", "a", true, 1},
			{0, "add", "b", true, 2},
			{2*minute - 1, "has", "b", true, 2},
			{2 * minute, "add", "c", true, 1},
		}},
		{"a capacity of nothing holds one", 0, []step{
			{0, "add", "a", true, 1},
			{0, "add", "b", true, 1},
			{0, "has", "a", false, 1},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := New[string](tt.capacity, minute)
			start := time.Now()
			for i, st := range tt.steps {
				var got bool
				switch now := start.Add(st.at); st.do {
				case "add":
					got = s.Add(now, st.id)
				case "has":
					got = s.Contains(now, st.id)
				case "remove":
					got = s.Remove(st.id)
				}
				if got != st.want || s.Len() != st.n {
					t.Errorf("step %d, %s %s at %v: %v with %d held, want %v with %d",
						i, st.do, st.id, st.at, got, s.Len(), st.want, st.n)
				}
			}
		})
	}
}

func TestSetWithoutAge(t *testing.T) {
	s := New[int](2, 0)
	start := time.Now()
	s.Add(start, 1)
	if s.Add(start.Add(1000*time.Hour), 1) {
		t.Error("an id expired although ids do not")
	}
}

// Ids come and go for long enough that the map underneath has to clean up
// its deleted entries many times.
func TestSetAllocatesNothing(t *testing.T) {
	const capacity = 1000
	ids := make([]string, 8*capacity)
	for i := range ids {
		ids[i] = fmt.Sprintf("idempotency-key-%d", i)
	}
	s := New[string](capacity, time.Hour)
	now := time.Now()
	// One run over all, since AllocsPerRun rounds an average down.
	allocs := testing.AllocsPerRun(1, func() {
		for i := range 200 * capacity {
			now = now.Add(time.Second)
			id := ids[i%len(ids)]
			if !s.Add(now, id) || s.Add(now, id) || !s.Contains(now, id) {
				t.Fatalf("id %d is not told apart", i)
			}
			if i%3 == 0 && !s.Remove(id) {
				t.Fatalf("id %d is gone", i)
			}
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations for %d ids, want 0", allocs, 200*capacity)
	}
}

// model is the set as a list in the order of insertion.
type model struct {
	capacity int
	maxAge   time.Duration
	held     []held
}

type held struct {
	id byte
	at time.Time
}

func (m *model) find(id byte) int {
	return slices.IndexFunc(m.held, func(h held) bool { return h.id == id })
}

func (m *model) add(now time.Time, id byte) bool {
	for _, h := range m.held {
		if h.at.After(now) {
			now = h.at
		}
	}
	m.held = slices.DeleteFunc(m.held, func(h held) bool { return now.Sub(h.at) >= m.maxAge })
	if m.find(id) >= 0 {
		return false
	}
	if len(m.held) == m.capacity {
		m.held = m.held[1:]
	}
	m.held = append(m.held, held{id, now})
	return true
}

func (m *model) contains(now time.Time, id byte) bool {
	i := m.find(id)
	return i >= 0 && now.Sub(m.held[i].at) < m.maxAge
}

func (m *model) remove(id byte) bool {
	i := m.find(id)
	if i >= 0 {
		m.held = slices.Delete(m.held, i, i+1)
	}
	return i >= 0
}

// Few ids and short scripts keep the fuzzer at what matters: ids that meet.
const (
	maxID     = 32
	maxScript = 300
)

// FuzzSet plays a script, three bytes a step: a signed step of the clock in
// seconds, what to do, and the id.
func FuzzSet(f *testing.F) {
	f.Add(uint8(2), []byte("\x00\x00a\x01\x00b\x01\x00c\x01\x03a\x01\x02b\x01\x00a"))
	f.Add(uint8(4), []byte("\x05\x00a\xf0\x00b\x0a\x00c\x0a\x03a\x01\x02c\x00\x00d\x7f\x00e"))
	f.Add(uint8(0), []byte("\x00\x00a\x00\x02a\x00\x02a\x00\x00a"))
	f.Fuzz(func(t *testing.T, capacity uint8, script []byte) {
		const maxAge = 20 * time.Second
		script = script[:min(len(script), maxScript)]
		capacity %= maxID / 2 // small enough to be full most of the time
		s := New[byte](int(capacity), maxAge)
		m := model{capacity: max(1, int(capacity)), maxAge: maxAge}
		now := time.Now()
		for ; len(script) >= 3; script = script[3:] {
			now = now.Add(time.Duration(int8(script[0])) * time.Second)
			id := script[2] % maxID
			var got, want bool
			switch script[1] % 4 {
			case 0, 1:
				got, want = s.Add(now, id), m.add(now, id)
			case 2:
				got, want = s.Remove(id), m.remove(id)
			case 3:
				got, want = s.Contains(now, id), m.contains(now, id)
			}
			if got != want || s.Len() != len(m.held) {
				t.Fatalf("action %d on id %d: %v with %d held, want %v with %d",
					script[1]%4, id, got, s.Len(), want, len(m.held))
			}
		}
		for id := range byte(maxID) {
			if s.Contains(now, id) != m.contains(now, id) {
				t.Fatalf("in the end: contains %d is %v", id, s.Contains(now, id))
			}
		}
	})
}

package idempotency

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const walkRules = `{"rules":[{"path":"*","select":{"regexp":"."},"entity":"/e","state":"/s",
	"transitions":{"":["new"],"new":["paid","cancelled"],"paid":["shipped","cancelled"],"shipped":["new"]}}]}`

// walker is a session of TestStatesWalk, and what is on its way between it and the
// store.
type walker struct {
	*Gate
	owner  string
	seq    uint32
	texts  map[uint32]string
	passed []uint32 // that its app has not got yet
	asked  []*Call
	said   []func() // answers of the store
}

func (s *walker) settle(t *rapid.T) {
	for c := s.Call(); c != nil; c = s.Call() {
		s.asked = append(s.asked, c)
	}
	if v := s.Verdict(); v != nil && v.Fate.Passes() {
		s.passed = append(s.passed, v.Seq)
	}
}

// TestStatesWalk: sessions at several owners change one entity, calls reach the store
// in any order, answers get lost, owners die. Each change that the store takes is one
// that the state before it allows, and no message reaches an app twice.
func TestStatesWalk(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, err := New([]byte(walkRules))
		if err != nil {
			t.Fatal(err)
		}
		rules := p.rules[0].states
		m, now, gone := NewMemory(1<<20), time.Unix(1, 0), map[string]bool{}
		handed := map[string]int{}
		var last *position // of the entity, as the store has it
		var all []*walker
		begin := func(session byte) {
			s := &walker{owner: fmt.Sprint("pod-", len(all)), texts: map[uint32]string{}}
			s.Gate = p.Gate("/", Claimant{Owner: s.owner, Session: [16]byte{session}, Epoch: 1}, func(string, string) string { return "" })
			all = append(all, s)
		}
		for i := range 3 {
			begin(byte(i))
		}
		any := func(t *rapid.T) *walker { return rapid.SampledFrom(all).Draw(t, "session") }
		put := func(c *Call) Result {
			r := m.Put(now, c)
			if r.Found != nil {
				r.OwnerGone = gone[r.Found.By.Owner]
			}
			if !r.Written {
				return r
			}
			is := positionOf(&c.Entry)
			switch {
			case c.Entry.State == Free:
				last = nil
				return r
			case c.Entry.State == Claimed && last == nil && !rules.allows("", is.at):
				t.Fatalf("it begins as %q", is.at)
			case c.Entry.State == Claimed && last != nil && (is.before != last.at || !rules.allows(last.at, is.at)):
				t.Fatalf("%q follows %q, and it was in %q", is.at, is.before, last.at)
			}
			last = &is
			return r
		}
		t.Repeat(map[string]func(*rapid.T){
			"message": func(t *rapid.T) {
				if s := any(t); !s.Holds() {
					s.seq++
					s.texts[s.seq] = fmt.Sprintf(`{"e":1,"s":%q,"by":%q,"n":%d}`, rapid.SampledFrom([]string{"new", "paid", "cancelled", "shipped"}).Draw(t, "state"), s.owner, s.seq)
					s.Offer(now, s.seq, 10, Message{Data: []byte(s.texts[s.seq])}, "")
					s.settle(t)
				}
			},
			"call": func(t *rapid.T) { // one reaches the store
				s := any(t)
				if len(s.asked) == 0 {
					t.Skip()
				}
				c := rapid.SampledFrom(s.asked).Draw(t, "call")
				s.asked = slices.DeleteFunc(s.asked, func(d *Call) bool { return d == c })
				r := put(c)
				if !c.Settles && rapid.IntRange(0, 4).Draw(t, "lost") == 0 {
					r = Result{Away: true}
				}
				s.said = append(s.said, func() { s.Told(now, c, r) })
			},
			"answer": func(t *rapid.T) {
				s := any(t)
				if len(s.said) == 0 {
					t.Skip()
				}
				s.said[0]()
				s.said = s.said[1:]
				s.settle(t)
			},
			"app": func(t *rapid.T) { // it takes what passed
				s := any(t)
				for _, seq := range s.passed {
					if handed[s.texts[seq]]++; handed[s.texts[seq]] > 1 {
						t.Fatalf("%s was handed to apps twice", s.texts[seq])
					}
					s.Handed(seq)
				}
				s.passed = nil
				s.settle(t)
			},
			"time": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(1, 3000).Draw(t, "ms")) * time.Millisecond)
				for _, s := range all {
					s.Tick(now)
					s.settle(t)
				}
			},
			"death": func(t *rapid.T) { // of an owner, with all that it had not done
				if len(all) > 12 {
					t.Skip()
				}
				i := rapid.IntRange(0, len(all)-1).Draw(t, "owner")
				gone[all[i].owner] = true
				all = slices.Delete(all, i, i+1)
				begin(byte(100 + len(gone)))
				all[len(all)-1].owner += fmt.Sprint("-", len(gone))
				all[len(all)-1].self.Owner = all[len(all)-1].owner
			},
		})
	})
}

// TestEntryRoundTrip: an entry, and what it has of an entity, are read as they were
// written.
func TestEntryRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringN(0, 40, maxState)
		p := position{at: text.Draw(t, "at"), before: text.Draw(t, "before")}
		for range rapid.IntRange(0, 2*maxPast).Draw(t, "changes") {
			p.past = p.next(rapid.Bool().Draw(t, "doubt"))
			copy(p.print[:], rapid.SliceOfN(rapid.Byte(), len(p.print), len(p.print)).Draw(t, "print"))
		}
		e := Entry{
			State: State(rapid.IntRange(int(Claimed), int(Free)).Draw(t, "state")), Seq: rapid.Uint32().Draw(t, "seq"),
			By: Claimant{Owner: text.Draw(t, "owner"), Epoch: rapid.Uint32().Draw(t, "epoch")}, At: rapid.Int64().Draw(t, "time"),
			Again: rapid.Bool().Draw(t, "again"), Outcome: p.append(nil),
		}
		again, err := ParseEntry(AppendEntry(nil, &e))
		if err != nil || fmt.Sprint(*again) != fmt.Sprint(e) {
			t.Fatalf("%+v, %v; was %+v", again, err, e)
		}
		if q := positionOf(again); fmt.Sprint(q) != fmt.Sprint(p) {
			t.Fatalf("%+v; was %+v", q, p)
		}
	})
}

package idempotency

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

const gateRules = `{"rules":[{"path":"*","select":{"regexp":"."},"key":"/k","scope":"path","reply":{"pointer":"/re","request":"/q"}}]}`

func newGate(t testing.TB, rules string, self Claimant) *Gate {
	t.Helper()
	p, err := New([]byte(rules))
	if err != nil {
		t.Fatal(err)
	}
	return p.Gate("/", self, func(string, string) string { return "" })
}

// TestGateIsBounded: a client that sends keys as fast as it can, to an app that never
// replies, is not read any more after a while; what is held is counted, and given
// back in the end.
func TestGateIsBounded(t *testing.T) {
	g, m, now := newGate(t, gateRules, Claimant{Owner: "a"}), NewMemory(1<<20), time.Unix(1, 0)
	n := uint32(0)
	for ; !g.Holds(); n++ {
		if n > 1000 {
			t.Fatal("it is read for ever")
		}
		if !g.Offer(now, n+1, 100, Message{Data: fmt.Appendf(nil, `{"k":%d,"q":"%0200d"}`, n, n)}, "") {
			t.Fatal("it has no key")
		}
		for c := g.Call(); c != nil; c = g.Call() {
			g.Told(now, c, m.Put(now, c))
		}
		if v := g.Verdict(); v == nil || v.Fate != FateFirst {
			t.Fatalf("%+v", v)
		}
		g.Handed(n + 1)
	}
	if most := int64(maxUnder * (underCost + maxRequest + maxKey)); n != maxUnder || g.Cost() <= 0 || g.Cost() > most {
		t.Errorf("%d messages, %d bytes, at most %d", n, g.Cost(), most)
	}
	g.Ended()
	for c := g.Call(); c != nil; c = g.Call() {
		g.Told(now, c, m.Put(now, c))
	}
	if g.Cost() != 0 || !g.Idle() {
		t.Errorf("%d bytes are held in the end", g.Cost())
	}
}

// fuzzed is one session of FuzzGates, and what is on its way between it and the
// store.
type fuzzed struct {
	*Gate
	owner   string
	epoch   uint32
	seq     uint32
	keys    map[uint32]byte // of its messages
	passed  []uint32        // that its app has not got yet
	asked   []*Call
	answers []func()
}

// FuzzGates: sessions at several owners, with calls that reach the store in any order,
// answers that come late or never, apps and owners that die: with inDoubt refuse no
// key is handed to an app twice.
func FuzzGates(f *testing.F) {
	f.Add([]byte{0, 1, 1, 0, 2, 0, 3, 0, 4, 0, 10, 1, 11, 0, 12, 0, 13, 0})
	f.Add([]byte{0, 1, 1, 0, 2, 0, 6, 0, 10, 1, 11, 0, 12, 0, 13, 0, 0, 1, 1, 0, 2, 0, 3, 0})
	f.Add([]byte{0, 1, 10, 1, 11, 0, 1, 0, 12, 0, 2, 0, 13, 0, 3, 0, 5, 0, 0, 1})
	f.Fuzz(func(t *testing.T, script []byte) {
		now := time.Unix(1, 0)
		m := NewMemory(1 << 20)
		gone := map[string]bool{}
		handed := map[byte]int{}
		var all []*fuzzed
		begin := func(i int, epoch uint32) *fuzzed {
			owner := fmt.Sprint(i, "-", epoch)
			s := &fuzzed{owner: owner, epoch: epoch, keys: map[uint32]byte{}}
			s.Gate = newGate(t, `{"rules":[{"path":"*","select":{"regexp":"."},"key":"/k","scope":"path"}]}`, Claimant{Owner: owner, Session: [16]byte{byte(i)}, Epoch: 1})
			if epoch > 1 {
				s.Adopted(epoch, false, 0, 0)
			}
			return s
		}
		for i := range 3 {
			all = append(all, begin(i, 1))
		}
		settle := func(s *fuzzed) {
			for c := s.Call(); c != nil; c = s.Call() {
				s.asked = append(s.asked, c)
			}
			if v := s.Verdict(); v != nil && v.Fate.Passes() {
				s.passed = append(s.passed, v.Seq)
			}
		}
		for ; len(script) >= 2; script = script[2:] {
			i := int(script[0]/10) % len(all)
			s := all[i]
			switch script[0] % 10 {
			case 0: // a message
				if !s.Holds() {
					s.seq++
					s.keys[s.seq] = script[1] % 3
					s.Offer(now, s.seq, 10, Message{Data: fmt.Appendf(nil, `{"k":%d}`, script[1]%3)}, "")
				}
			case 1: // a call reaches the store
				if n := len(s.asked); n > 0 {
					c := s.asked[int(script[1])%n]
					s.asked = slices.DeleteFunc(s.asked, func(d *Call) bool { return d == c })
					r := m.Put(now, c)
					if r.Found != nil {
						r.OwnerGone = gone[r.Found.By.Owner]
					}
					s.answers = append(s.answers, func() { s.Told(now, c, r) })
				}
			case 2: // an answer comes
				if len(s.answers) > 0 {
					s.answers[0]()
					s.answers = s.answers[1:]
				}
			case 3: // the app takes what passed
				for _, seq := range s.passed {
					handed[s.keys[seq]]++
					if k := s.keys[seq]; handed[k] > 1 {
						t.Fatalf("key %d was handed to apps %d times", k, handed[k])
					}
					s.Handed(seq)
				}
				s.passed = nil
			case 4: // an answer is lost on its way, and the store is said to be away
				if len(s.asked) > 0 && s.held != nil && s.held.call == s.asked[0].number {
					c := s.asked[0]
					s.asked = s.asked[1:]
					if script[1]%2 == 0 {
						m.Put(now, c)
					}
					s.Told(now, c, Result{Away: true})
				}
			case 5: // time passes
				now = now.Add(time.Duration(script[1]) * 10 * time.Millisecond)
				s.Tick(now)
			case 6: // the owner dies, and another one adopts the session: its client sends all again
				gone[s.owner] = true
				all[i] = begin(i, s.epoch+1)
			case 7: // the app's socket breaks
				s.AppGone()
			case 8: // the session ends, and another one begins
				s.Ended()
				s.passed = nil
			}
			settle(s)
			settle(all[i])
		}
	})
}

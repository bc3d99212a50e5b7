package idempotency

import (
	"bytes"
	"github.com/wsresilience/wsresilience/internal/match"
	"testing"
	"time"
)

func TestDecide(t *testing.T) {
	self := Claimant{Owner: "here", Session: [16]byte{1}, Epoch: 3}
	before := Claimant{Owner: "there", Session: [16]byte{1}, Epoch: 2}
	other := Claimant{Owner: "there", Session: [16]byte{2}, Epoch: 9}
	entry := func(s State, by Claimant, seq uint32) *Entry { return &Entry{State: s, By: by, Seq: seq} }
	for name, c := range map[string]struct {
		facts
		want step
	}{
		"nothing is there":                         {facts{}, stepClaim},
		"nobody has it":                            {facts{found: entry(Free, other, 1)}, stepClaim},
		"done by another":                          {facts{found: entry(Done, other, 1)}, stepRepeated},
		"done by the former owner":                 {facts{found: entry(Done, before, 7)}, stepRepeated},
		"our claim, answer lost":                   {facts{found: entry(Claimed, self, 7)}, stepPass},
		"our claim, of another":                    {facts{found: entry(Claimed, self, 6)}, stepWait},
		"our other one is with it":                 {facts{found: entry(Handed, self, 6)}, stepUnderway},
		"another's, who lives":                     {facts{found: entry(Claimed, other, 7)}, stepWait},
		"another's, for long":                      {facts{found: entry(Claimed, other, 7), waited: true}, stepUnderway},
		"another's is with its app":                {facts{found: entry(Handed, other, 7)}, stepUnderway},
		"another's, who is gone":                   {facts{found: entry(Claimed, other, 7), ownerGone: true}, stepDoubt},
		"handed by one who is gone":                {facts{found: entry(Handed, other, 7), ownerGone: true}, stepDoubt},
		"the same, repeated":                       {facts{found: entry(Handed, other, 7), ownerGone: true, again: true}, stepAgain},
		"in doubt":                                 {facts{found: entry(Doubtful, other, 7)}, stepDoubt},
		"in doubt, repeated":                       {facts{found: entry(Doubtful, self, 6), again: true}, stepAgain},
		"the former owner's":                       {facts{found: entry(Claimed, before, 7)}, stepDoubt},
		"the former owner's, handed over":          {facts{found: entry(Claimed, before, 7), handed: true, handedUp: 6}, stepClaim},
		"before what was handed over":              {facts{found: entry(Claimed, before, 6), handed: true, handedUp: 6}, stepDoubt},
		"with the former owner's app, handed over": {facts{found: entry(Handed, before, 7), handed: true, handedUp: 6}, stepDoubt},
		"of a later owner":                         {facts{found: entry(Claimed, Claimant{Owner: "late", Session: self.Session, Epoch: 4}, 7)}, stepWait},
	} {
		c.self, c.seq = self, 7
		if got := c.decide(); got != c.want {
			t.Errorf("%s: step %d, want %d", name, got, c.want)
		}
	}
}

// FuzzEntry: what is read is written the same, and nothing else is read.
func FuzzEntry(f *testing.F) {
	f.Add(AppendEntry(nil, &Entry{State: Done, By: Claimant{"a@b:1", [16]byte{1}, 2}, Seq: 3, At: 4, Again: true, Outcome: []byte("x"), Binary: true, OutSeq: 5}))
	f.Add(AppendEntry(nil, &Entry{State: Claimed}))
	f.Add([]byte{1, 9, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseEntry(b)
		if err != nil {
			return
		}
		again, err := ParseEntry(AppendEntry(nil, e))
		if err != nil || again.State != e.State || again.By != e.By || again.Seq != e.Seq || again.At != e.At ||
			again.Again != e.Again || again.Binary != e.Binary || again.OutSeq != e.OutSeq || !bytes.Equal(again.Outcome, e.Outcome) {
			t.Errorf("%x: %+v, then %+v, %v", b, e, again, err)
		}
	})
}

// FuzzRules: whatever is configured, and whatever a client and an app say, no rule
// panics, and what is said is bounded.
func FuzzRules(f *testing.F) {
	f.Add([]byte(`{"rules":[{"path":"*","select":{"regexp":"."},"key":"/id","reply":{"pointer":"/re","request":"/ask"}}]}`), []byte(`{"id":1,"ask":"a"}`), []byte(`{"re":"a"}`))
	f.Add([]byte(`{"rules":[{"path":"*","select":{"pointer":"/a","equals":1},"key":"fingerprint","repeat":{"say":{"k":"$key"}}}]}`), []byte(`{"a":1}`), []byte(`x`))
	f.Fuzz(func(t *testing.T, rules, message, reply []byte) {
		p, err := New(rules)
		if err != nil {
			return
		}
		g := p.Gate("/", Claimant{}, func(string, string) string { return "" })
		if g == nil {
			return
		}
		k, ok := g.keyOf(Message{Data: message}, "")
		if !ok {
			return
		}
		for _, m := range k.say(k.rule.say) {
			if len(m.Data) > match.MaxSay*(maxKey+8) {
				t.Errorf("%d bytes are said", len(m.Data))
			}
		}
		if k.request != nil && k.rule.reply.answers(k.request, Message{Data: reply}) {
			k.rule.reply.rewrite(Message{Data: reply}, k.request)
		}
	})
}

func TestMemory(t *testing.T) {
	m, now := NewMemory(3*rememberedCost), time.Unix(0, 0)
	put := func(key byte, at uint64, s State) Result {
		return m.Put(now, &Call{Key: Key{key}, Revision: at, TTL: time.Minute, Entry: Entry{State: s}})
	}
	first := put(1, 0, Claimed)
	if r := put(1, 0, Claimed); !first.Written || r.Written || r.Found.State != Claimed || r.Revision != first.Revision {
		t.Errorf("a second claim: %+v", r)
	}
	if r := put(1, first.Revision, Done); !r.Written {
		t.Errorf("done: %+v", r)
	}
	if r := put(9, 5, Done); r.Written || r.Found != nil {
		t.Errorf("behind what is not there: %+v", r)
	}
	for key := byte(2); key < 5; key++ {
		put(key, 0, Done)
	}
	if r := put(1, 0, Claimed); !r.Written || m.Bytes() != 3*rememberedCost {
		t.Errorf("what was written first was not forgotten: %+v, %d bytes", r, m.Bytes())
	}
	now = now.Add(time.Minute)
	if r := put(4, 0, Claimed); !r.Written {
		t.Errorf("what is over is there: %+v", r)
	}
}

// TestSentAgainLater: a message that its client sends again since its owner died is
// known when others have come behind it: as one that acted, or as one in doubt.
func TestSentAgainLater(t *testing.T) {
	p, err := New([]byte(walkRules))
	if err != nil {
		t.Fatal(err)
	}
	s := p.rules[0].states
	old, self := Claimant{"old", [16]byte{1}, 1}, Claimant{"new", [16]byte{2}, 1}
	first, second := change{"new", Key{1}}, change{"paid", Key{2}}
	for state, want := range map[State]step{Claimed: stepDoubt, Done: stepRepeated} {
		e := Entry{State: state, By: old, Outcome: (&position{at: "new", print: first.print}).append(nil)}
		f := facts{found: &e, self: self, ownerGone: true}
		next, from, past := f.decideState(s, second)
		if next != stepClaim || from != "new" {
			t.Fatalf("the second: step %v from %q", next, from)
		}
		e = Entry{State: Done, By: self, Outcome: (&position{at: "paid", before: from, print: second.print, past: past}).append(nil)}
		if next, _, _ := f.decideState(s, first); next != want {
			t.Errorf("the first again: step %v, want %v", next, want)
		}
		if next, _, _ := f.decideState(s, change{"new", Key{3}}); next != stepForbidden {
			t.Errorf("another one: step %v", next)
		}
	}
}

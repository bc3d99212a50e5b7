package sharing

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

const cards = `{"rules":[{"path":"/board","select":{"pointer":"/type","equals":"card"},"key":"/id","version":"/v","drop":{"pointer":"/type","equals":"gone"}},
	{"path":"*","select":{"pointer":"/type","equals":"title"}}]}`

func stateOf(t testing.TB, rules, path string) *State {
	t.Helper()
	p, err := NewPolicy([]byte(rules))
	if err != nil {
		t.Fatal(err)
	}
	return p.State(path)
}

func (s *State) say(messages ...string) {
	for _, m := range messages {
		s.Said([]byte(m), []byte(m))
	}
}

func said(s *State) (list []string) {
	for _, f := range s.Frames() {
		list = append(list, string(f))
	}
	return list
}

func TestStateKeepsTheLatest(t *testing.T) {
	card := func(id string, v int, text string) string {
		return fmt.Sprintf(`{"type":"card","id":%q,"v":%d,"text":%q}`, id, v, text)
	}
	for name, tc := range map[string]struct{ said, want []string }{
		"nothing":             {nil, nil},
		"no state":            {[]string{`{"type":"ping"}`, `hello`, ``}, nil},
		"the latest":          {[]string{card("a", 1, "x"), card("a", 2, "y")}, []string{card("a", 2, "y")}},
		"each key":            {[]string{card("a", 1, "x"), card("b", 1, "y")}, []string{card("a", 1, "x"), card("b", 1, "y")}},
		"in order of changes": {[]string{card("a", 1, "x"), card("b", 1, "y"), card("a", 2, "z")}, []string{card("b", 1, "y"), card("a", 2, "z")}},
		"an older version":    {[]string{card("a", 10, "x"), card("a", 9, "late")}, []string{card("a", 10, "x")}},
		"the same version":    {[]string{card("a", 1, "x"), card("a", 1, "y")}, []string{card("a", 1, "y")}},
		"dropped":             {[]string{card("a", 1, "x"), card("b", 1, "y"), `{"type":"gone","id":"a"}`}, []string{card("b", 1, "y")}},
		"without a key":       {[]string{`{"type":"card"}`}, nil},
		"one for all":         {[]string{`{"type":"title","t":1}`, `{"type":"title","t":2}`}, []string{`{"type":"title","t":2}`}},
		"numbers as keys":     {[]string{`{"type":"card","id":7,"v":1}`, `{"type":"card","id":7,"v":2}`}, []string{`{"type":"card","id":7,"v":2}`}},
	} {
		s := stateOf(t, cards, "/board")
		s.say(tc.said...)
		if got := said(s); !slices.Equal(got, tc.want) || s.Partial() {
			t.Errorf("%s: %q, partial %v, want %q", name, got, s.Partial(), tc.want)
		}
	}
}

// TestStateIsBounded: it tells when it does not have all.
func TestStateIsBounded(t *testing.T) {
	for name, f := range map[string]func(s *State){
		"many":          func(s *State) { many(s, MaxEntries+1, 0) },
		"large":         func(s *State) { many(s, 40, 10000) },
		"too large":     func(s *State) { many(s, 1, 60<<10); many(s, 1, MaxState) },
		"not JSON":      func(s *State) { s.say(`{"type":"card","id":"a",}`) },
		"beyond a look": func(s *State) { s.say(`{"long":"` + strings.Repeat("x", 70<<10) + `","type":"card","id":"a"}`) },
	} {
		s := stateOf(t, cards, "/board")
		f(s)
		size := 0
		for _, e := range s.entries {
			size += e.cost()
		}
		if !s.Partial() || s.Size() != size || size > MaxState || len(s.entries) > MaxEntries {
			t.Errorf("%s: partial %v, %d entries of %d bytes, counted %d", name, s.Partial(), len(s.entries), size, s.Size())
		}
	}
	if s := stateOf(t, cards, "/other"); s == nil || len(s.rules) != 1 {
		t.Error("the rule for all paths is not about /other")
	}
	if s := stateOf(t, strings.Replace(cards, `"*"`, `"/x"`, 1), "/other"); s != nil || !s.Partial() || s.Frames() != nil || s.Size() != 0 {
		t.Error("a path without a rule has a state")
	}
}

func many(s *State, n, size int) {
	for i := range n {
		s.say(fmt.Sprintf(`{"type":"card","id":"%d","v":1,"text":"%s"}`, i, strings.Repeat("x", size)))
	}
}

// TestStateAgain: whoever hears a part of the messages twice, in order, or a state and
// then the messages that it was made of, ends with the same. So a reader of the
// journal may fold what it finds.
func TestStateAgain(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var all []string
		for range 40 {
			m := fmt.Sprintf(`{"type":"card","id":"%d","v":%d}`, random.IntN(5), random.IntN(9))
			if random.IntN(6) == 0 {
				m = fmt.Sprintf(`{"type":"gone","id":"%d"}`, random.IntN(5))
			}
			all = append(all, m)
		}
		want := stateOf(t, cards, "/board")
		want.say(all...)
		cut := random.IntN(len(all))
		first := stateOf(t, cards, "/board")
		first.say(all[:cut]...)
		again := stateOf(t, cards, "/board")
		again.say(said(first.Clone())...)
		again.say(all[cut:]...)
		if got := said(again); !slices.Equal(got, said(want)) {
			t.Fatalf("%q, want %q, of %q cut at %d", got, said(want), all, cut)
		}
	}
}

func TestVersions(t *testing.T) {
	order := []version{"", "-1e3", "0", "0.5", "1", "9", "10", "9007199254740993", "9007199254740994", `""`, `"2026-01-02"`, `"2026-01-10"`, `"a"`}
	for i, v := range order {
		for j, w := range order {
			if got := v.compare(w); (got < 0) != (i < j) || (got == 0) != (i == j) {
				t.Errorf("%s and %s: %d", v, w, got)
			}
		}
	}
	for _, same := range [][2]version{{"1", "1.0"}, {"1e2", "100"}, {`"a"`, `"\u0061"`}} {
		if same[0].compare(same[1]) != 0 {
			t.Errorf("%s and %s differ", same[0], same[1])
		}
	}
}

func TestRulesRefuse(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                        `0 in "rules"`,
		`{"rules":[]}`:              `0 in "rules"`,
		`{"rules":[{}]}`:            `rule 1: path`,
		`{"rules":[{"path":"/a"}]}`: `no "select"`,
		`{"rules":[{"paht":"/a"}]}`: `unknown field "paht"`,
		`{"rules":[]}x`:             `something follows`,
		`{"rules":[{"path":"/a","select":{"pointer":"/t"}}]}`:                                                                   `select: want either`,
		`{"rules":[{"path":"/a","select":{"pointer":"/t","equals":"x"},"key":"id"}]}`:                                           `key "id": not an RFC 6901 pointer`,
		`{"rules":[{"path":"/a","select":{"pointer":"/t","equals":"x"},"key":"/id","version":""}]}`:                             `version "": not`,
		`{"rules":[{"path":"/a","select":{"pointer":"/t","equals":"x"},"drop":{"regexp":"("}}]}`:                                `drop: regexp`,
		`{"rules":[{"path":"/a","select":{"pointer":"/t","equals":"x"}},{"path":"/a","select":{"pointer":"/t","equals":"x"}}]}`: `rule 2: has path and select of rule 1`,
	} {
		if _, err := NewPolicy([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// FuzzPolicy: whatever the rules are, no message makes a State that tells a wrong
// size.
func FuzzPolicy(f *testing.F) {
	f.Add([]byte(cards), []byte(`{"type":"card","id":"a","v":1}`))
	f.Add([]byte(`{"rules":[{"path":"*","select":{"regexp":"^S (\\w+)"}}]}`), []byte("S a"))
	f.Fuzz(func(t *testing.T, rules, message []byte) {
		p, err := NewPolicy(rules)
		if err != nil {
			return
		}
		s := p.State("/board")
		if s == nil {
			return
		}
		s.Said(message, message)
		size := 0
		for _, e := range s.entries {
			size += e.cost()
		}
		if size != s.Size() {
			t.Errorf("%d bytes are counted as %d", size, s.Size())
		}
	})
}

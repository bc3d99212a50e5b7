package sharing

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func judgeOf(t *testing.T, rule string) *Judge {
	t.Helper()
	p, err := NewPolicy([]byte(`{"rules":[{"path":"/b","select":{"pointer":"/type","equals":"card"},"key":"/id","version":"/v",` + rule + `}]}`))
	if err != nil {
		t.Fatal(err)
	}
	return p.Judge("/b")
}

// A turn is a message of the app, or one of a device and what has to become of it.
type turn struct {
	app    string
	device uint16
	has    uint32
	ms     int64 // when it comes
	behind time.Duration
	said   string
	want   string // "" passes, "again", or the state that it hears
}

func (j *Judge) play(t *testing.T, name string, turns []turn) {
	t.Helper()
	n := map[uint16]uint32{}
	seq := uint32(0)
	for i, s := range turns {
		if s.app != "" {
			seq++
			j.Said(seq, []byte(s.app), []byte(s.app))
			continue
		}
		if s.want != "again" {
			n[s.device]++
		}
		refusal, again := j.Judge(Write{Device: s.device, N: n[s.device], Has: s.has, Now: time.UnixMilli(s.ms), Behind: s.behind}, []byte(s.said))
		got := ""
		switch {
		case again:
			got = "again"
		case refusal != nil && refusal.Say != nil:
			got = string(refusal.Say)
		case refusal != nil:
			got = "state " + string(refusal.Present)
		}
		if got != s.want {
			t.Errorf("%s: turn %d, %s: %q, want %q", name, i+1, s.said, got, s.want)
		}
	}
}

func TestJudge(t *testing.T) {
	card := func(v int) string { return fmt.Sprintf(`{"type":"card","id":"a","v":%d}`, v) }
	at := func(ms int) string { return fmt.Sprintf(`{"type":"card","id":"a","at":%d}`, ms) }
	judgeOf(t, `"conflict":"version"`).play(t, "version", []turn{
		{device: 1, said: `{"type":"card","id":"a"}`},
		{app: card(1)},
		{device: 1, said: card(1)},
		{device: 2, said: card(1), want: "state " + card(1)}, // another one is with the app
		{device: 1, said: card(1)},
		{app: card(2)},
		{device: 2, said: card(1), want: "state " + card(2)},
		{device: 2, said: `{"type":"card","id":"a","v":2.0}`},
		{device: 2, said: `{"type":"card","id":"a","v":2.0}`, want: "again"},
		{device: 3, said: card(2), ms: 20000}, // the app did not follow the other
		{device: 3, said: `{"type":"ping"}`},
		{device: 3, said: `{"type":"card","id":"b","v":7}`, want: "state "},
	})
	judgeOf(t, `"conflict":"version","refuse":{"say":{"stale":"$key"}}`).play(t, "refuse", []turn{
		{app: card(3)},
		{device: 1, said: card(1), want: `{"stale":"a"}`},
	})
	judgeOf(t, `"conflict":"last-write-wins","change":{"time":"/at"}`).play(t, "last write wins", []turn{
		{device: 1, said: at(1000), ms: 1000},
		{device: 2, said: at(900), ms: 1100, want: "state "},
		{app: card(1)},
		{device: 2, said: at(900), ms: 1200, want: "state " + card(1)},
		{device: 2, said: at(901), ms: 1200, has: 1},                                        // it knew of the other
		{device: 1, said: at(950), ms: 1300, has: 1, want: "state " + card(1)},              // and this one does not
		{device: 3, said: at(500), ms: 1300, behind: time.Second},                           // its clock is slow
		{device: 4, said: at(9_000_000), ms: 2000},                                          // and this one's is fast
		{device: 1, said: `{"type":"card","id":"a","at":"1970-01-01T00:00:03Z"}`, ms: 3000}, // as of RFC 3339
		{device: 2, said: at(2500), ms: 3100, want: "state " + card(1)},
	})
	judgeOf(t, `"conflict":"log"`).play(t, "log", []turn{
		{device: 1, said: card(1)},
		{device: 2, said: card(1)},
		{device: 2, said: card(1), want: "again"},
	})
	if p, err := NewPolicy([]byte(cards)); err != nil || p.Judge("/board") != nil {
		t.Errorf("rules without conflicts have a judge, %v", err)
	}
}

// TestJudgeGoesOn: the next owner judges by the writes that counted here.
func TestJudgeGoesOn(t *testing.T) {
	rule := `"conflict":"last-write-wins","change":{"time":"/at"}`
	a, b := judgeOf(t, rule), judgeOf(t, rule)
	a.play(t, "before", []turn{{device: 1, said: `{"type":"card","id":"a","at":1000}`, ms: 1000}})
	for _, r := range a.Unsaved(false) {
		b.Load(r)
	}
	b.Load(nil)
	if again := a.Unsaved(false); len(again) != 0 || len(a.Unsaved(true)) != 1 {
		t.Errorf("%q is told again", again)
	}
	b.play(t, "after", []turn{
		{device: 2, said: `{"type":"card","id":"a","at":999}`, ms: 1001, want: "state "},
		{device: 2, said: `{"type":"card","id":"a","at":1001}`, ms: 1001},
	})
}

func TestChangesRefuse(t *testing.T) {
	for rule, want := range map[string]string{
		`"conflict":"first"`:                                       `conflict "first": not last-write-wins, version or log`,
		`"change":{"key":"/id"}`:                                   `"change" and "refuse" go with "conflict"`,
		`"conflict":"log","refuse":{"say":1}`:                      `nothing is refused`,
		`"conflict":"log","change":{"time":"/at"}`:                 `"time" goes with`,
		`"conflict":"version","version":"/v","refuse":{"sya":1}`:   `refuse: want {"say": MESSAGE}`,
		`"conflict":"version"`:                                     `no "version"`,
		`"conflict":"version","change":{"keys":"/id"}`:             `unknown field "keys"`,
		`"conflict":"last-write-wins","change":{"time":"at"}`:      `change: time "at": not`,
		`"conflict":"log","change":{"select":{"pointer":"/type"}}`: `change: select: want either`,
	} {
		_, err := NewPolicy([]byte(`{"rules":[{"path":"/b","select":{"pointer":"/type","equals":"card"},"key":"/id",` + rule + `}]}`))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", rule, err, want)
		}
	}
}

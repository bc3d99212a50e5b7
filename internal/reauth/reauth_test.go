package reauth

import (
	"fmt"
	"testing"
	"time"
)

var begin = time.Unix(1_700_000_000, 0)

func at(d time.Duration) time.Time { return begin.Add(d) }

func middle(every time.Duration) Schedule {
	return Schedule{Every: every, Random: func() float64 { return 0.5 }}
}

// However the dice fall, a session is asked about within the interval, scan
// included, and not much more often than twice in it.
func TestIntervalIsKept(t *testing.T) {
	for _, every := range []time.Duration{time.Second, 10 * time.Second, time.Minute, time.Hour, 24 * time.Hour} {
		for _, r := range []float64{0, 0.25, 0.5, 0.999999} {
			s := Schedule{Every: every, Random: func() float64 { return r }}
			wait := s.next(begin).Sub(begin)
			if latest := wait + s.ScanEvery(); latest > every || wait < every/4 {
				t.Errorf("every %v, dice %v: asked after %v to %v", every, r, wait, latest)
			}
		}
	}
}

// What becomes of a session, from the moment that its client was allowed.
func TestWatch(t *testing.T) {
	s := middle(16 * time.Second) // asked 11 s after the last time
	type move struct {
		at     time.Duration
		answer Answer // 0: what is due
		want   Step
	}
	here, plain := Facts{Attached: true}, Facts{Attached: true}
	for name, tc := range map[string]struct {
		facts     Facts
		renewable bool
		moves     []move
	}{
		"allowed": {here, true, []move{
			{10 * time.Second, 0, nil}, {11 * time.Second, 0, Ask{}}, {12 * time.Second, 0, nil}, {12 * time.Second, Allowed, nil},
			{22 * time.Second, 0, nil}, {23 * time.Second, 0, Ask{}},
		}},
		"the app cannot tell": {here, true, []move{
			{11 * time.Second, 0, Ask{}}, {12 * time.Second, Unknown, nil}, {15 * time.Second, 0, nil}, {16 * time.Second, 0, Ask{}},
			{20 * time.Second, Unknown, nil}, {24 * time.Second, 0, Ask{}}, {24 * time.Second, Allowed, nil}, {34 * time.Second, 0, nil},
		}},
		"refused, and the client does not come": {here, true, []move{
			{11 * time.Second, 0, Ask{}}, {12 * time.Second, Refused, Renew{}}, {41 * time.Second, 0, nil}, {42 * time.Second, 0, Disconnect{}},
		}},
		"refused, and nothing can be said to the client": {plain, false, []move{
			{11 * time.Second, 0, Ask{}}, {12 * time.Second, Refused, End{}},
		}},
		"the client is away":      {Facts{}, true, []move{{time.Hour, 0, nil}}},
		"the session moves":       {Facts{Attached: true, Leaving: true}, true, []move{{time.Hour, 0, nil}}},
		"the session is long due": {here, true, []move{{time.Hour, 0, Ask{}}}},
	} {
		t.Run(name, func(t *testing.T) {
			var w Watch
			w.Allowed(begin, s)
			for i, m := range tc.moves {
				tc.facts.Now = at(m.at)
				var got Step
				if m.answer == 0 {
					got = w.Next(tc.facts)
				} else {
					got = w.Answered(at(m.at), m.answer, tc.renewable, s)
				}
				if fmt.Sprintf("%T", got) != fmt.Sprintf("%T", m.want) {
					t.Fatalf("%d, at %v: %T, want %T", i, m.at, got, m.want)
				}
			}
		})
	}
}

// A client that comes with a handshake that the app allows begins anew, also
// while the question about the one before is under way.
func TestNewHandshakeBeginsAnew(t *testing.T) {
	s := middle(16 * time.Second)
	var w Watch
	w.Allowed(begin, s)
	if _, ok := w.Next(Facts{Now: at(11 * time.Second), Attached: true}).(Ask); !ok {
		t.Fatal("not asked")
	}
	w.Answered(at(11*time.Second), Refused, true, s)
	if !w.Refused() {
		t.Fatal("not refused")
	}
	w.Allowed(at(12*time.Second), s)
	if w.Refused() || w.Next(Facts{Now: at(22 * time.Second), Attached: true}) != nil {
		t.Fatal("the new handshake counts for nothing")
	}
	if _, ok := w.Next(Facts{Now: at(23 * time.Second), Attached: true}).(Ask); !ok {
		t.Fatal("not asked again")
	}
	w.Allowed(at(24*time.Second), s) // the client came again meanwhile
	w.Superseded()
	if w.Refused() || w.Next(Facts{Now: at(34 * time.Second), Attached: true}) != nil {
		t.Error("the answer about the former handshake counts")
	}
}

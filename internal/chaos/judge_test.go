package main

import (
	"strings"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/client"
)

const second = int64(1e9)

// TestZombies: a socket that reads on after its successor was opened shows
// two owners; one that reads late by the slack does not.
func TestZombies(t *testing.T) {
	base := []record{
		{opened, 1, 0, 0, 1 * second}, {got, 1, 0, 1, 2 * second}, {opened, 2, 0, 0, 3 * second}, {got, 2, 0, 2, 9 * second},
	}
	for _, tc := range []struct {
		late record
		want int
	}{
		{record{got, 1, 0, 2, 3*second + int64(zombieSlack)}, 0},
		{record{got, 1, 0, 2, 4 * second}, 1},
		{record{shut, 1, 0, 1006, 8 * second}, 0},
		{record{wrote, 1, 0, 5, 8 * second}, 0}, // into the void
	} {
		all := trails(append([]record{tc.late}, base...)) // in any order
		if n := all[0].zombies(); n != tc.want {
			t.Errorf("%+v: %d zombies, want %d", tc.late, n, tc.want)
		}
	}
}

// TestAccount: what counts as lost, and what as the last words of an app
// socket that was replaced.
func TestAccount(t *testing.T) {
	records := []record{
		{opened, 1, 0, 0, 1}, {wrote, 1, 0, 1, 2}, {wrote, 1, 0, 2, 3}, {got, 1, 0, 1, 4}, {shut, 1, 0, 1006, 5},
		{opened, 2, 0, 0, 6}, {wrote, 2, 0, 1, 7}, {wrote, 2, 0, 2, 8}, {got, 2, 0, 1, 9},
	}
	person := func(end error) *person {
		p := &person{sent: 2, adopted: map[string]int{"owner_lost": 1}, resumed: 2, ended: end}
		for _, at := range []tag{{1, 1}, {2, 1}} {
			p.out.take(at)
		}
		return p
	}
	account := func(end error) *result {
		r := &result{Resets: map[string]int{}, Adopted: map[string]int{}}
		r.session(person(end), trails(records)[0])
		return r
	}
	r := account(nil)
	if want := (flow{Sent: 4, Got: 2, Lost: 1, Tail: 1}); r.Out != want {
		t.Errorf("outbound %+v, want %+v", r.Out, want)
	}
	if want := (flow{Sent: 2, Got: 2, Lost: 1, Again: 1}); r.In != want {
		t.Errorf("inbound %+v, want %+v", r.In, want)
	}
	if r.Adopted["owner_lost"] != 1 || r.Resumed != 2 || r.OpenSockets != 1 {
		t.Errorf("adopted %v, resumed %d, open %d", r.Adopted, r.Resumed, r.OpenSockets)
	}
	r = account(&client.SessionLostError{Reason: client.LostUnknown})
	if r.Out.Told != 1 || r.Out.Lost != 0 || r.In.Told != 1 || r.In.Lost != 0 || r.Resets["unknown"] != 1 {
		t.Errorf("a session that ended: %+v, %+v, %v", r.Out, r.In, r.Resets)
	}
}

// TestVerdicts: an allowance forgives what it names and nothing else.
func TestVerdicts(t *testing.T) {
	forgiven := allowance{tail: true, again: true, inLost: true, open: true}
	for name, tc := range map[string]struct {
		spoil  func(*result)
		always string // the fault that no allowance forgives
		strict string // the fault without allowances
	}{
		"lost":      {spoil: func(r *result) { r.Out.Lost = 1 }, always: "lost in silence"},
		"doubled":   {spoil: func(r *result) { r.Out.Doubled = 1 }, always: "doubled"},
		"reordered": {spoil: func(r *result) { r.In.Reordered = 1 }, always: "out of order"},
		"zombie":    {spoil: func(r *result) { r.Zombies = 1 }, always: "successor"},
		"reset":     {spoil: func(r *result) { r.Resets["lost"] = 1 }, always: "ended before"},
		"tail":      {spoil: func(r *result) { r.Out.Tail = 1 }, strict: "last words"},
		"again":     {spoil: func(r *result) { r.In.Again = 1 }, strict: "second app socket"},
		"in lost":   {spoil: func(r *result) { r.In.Lost = 1 }, strict: "lost in silence"},
		"open":      {spoil: func(r *result) { r.OpenSockets = 1 }, strict: "never closed"},
	} {
		for _, a := range []allowance{{}, forgiven} {
			r := &result{Resets: map[string]int{}}
			tc.spoil(r)
			r.conclude(&scenario{allow: a})
			want := tc.always
			if a == (allowance{}) && tc.strict != "" {
				want = tc.strict
			}
			if r.Pass != (want == "") || !strings.Contains(strings.Join(r.Faults, " "), want) {
				t.Errorf("%s with %+v: %v, want %q", name, a, r.Faults, want)
			}
		}
	}
}

// TestGapVerdict: a gap may be as long as is allowed, and is judged only where
// something is.
func TestGapVerdict(t *testing.T) {
	for _, tc := range []struct {
		limit time.Duration
		gap   float64
		pass  bool
	}{{0, 1e6, true}, {250 * time.Millisecond, 250, true}, {250 * time.Millisecond, 251, false}} {
		r := &result{Gap: spread{P99: tc.gap}}
		if r.conclude(&scenario{allow: allowance{gap: tc.limit}}); r.Pass != tc.pass {
			t.Errorf("a gap of %v ms where %v is allowed: pass is %v", tc.gap, tc.limit, r.Pass)
		}
	}
}

func TestOptions(t *testing.T) {
	o, err := parseOptions([]string{"-run", "^roll$", "-rounds", "2"}, new(strings.Builder))
	if err != nil || o.rounds != 2 || !o.run.MatchString("roll") || o.run.MatchString("natsroll") {
		t.Errorf("%+v, %v", o, err)
	}
	for _, bad := range [][]string{{"-run", "("}, {"-sessions", "0"}, {"word"}, {"-rate", "-1"}, {"-nonsense"}} {
		if _, err := parseOptions(bad, new(strings.Builder)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	names := map[string]bool{}
	for _, s := range scenarios {
		if names[s.name] || s.run == nil || s.size == nil {
			t.Errorf("scenario %q: twice, or without a part", s.name)
		}
		names[s.name] = true
	}
}

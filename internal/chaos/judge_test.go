package main

import (
	"strings"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/internal/lab/ledger"
	"github.com/wsresilience/wsresilience/internal/lab/stats"
	"github.com/wsresilience/wsresilience/internal/rehearse/tally"
)

// TestAccount: what counts as lost, and what as the last words of an app
// socket that was replaced.
func TestAccount(t *testing.T) {
	account := func(end error) *result {
		c := &session{ended: end}
		c.book.Accept(2)
		for _, at := range []ledger.Tag{{Stream: 1, N: 1}, {Stream: 2, N: 1}} {
			c.book.Heard(at)
		}
		for _, r := range []ledger.Record{
			{Kind: ledger.Opened, Sock: 1, At: 1}, {Kind: ledger.Writes, Sock: 1, N: 1, At: 2}, {Kind: ledger.Writes, Sock: 1, N: 2, At: 3},
			{Kind: ledger.Read, Sock: 1, N: 1, At: 4}, {Kind: ledger.Closed, Sock: 1, N: 1006, At: 5},
			{Kind: ledger.Opened, Sock: 2, At: 6}, {Kind: ledger.Writes, Sock: 2, N: 1, At: 7}, {Kind: ledger.Writes, Sock: 2, N: 2, At: 8},
			{Kind: ledger.Read, Sock: 2, N: 1, At: 9},
		} {
			c.book.Take(r)
		}
		r := &result{Resets: map[string]int{}, Adopted: map[string]int{}}
		r.addSessionLocked(c, nil)
		return r
	}
	r := account(nil)
	if want := (ledger.Count{Sent: 4, Got: 2, Lost: 1, Tail: 1}); r.Out != want {
		t.Errorf("outbound %+v, want %+v", r.Out, want)
	}
	if want := (ledger.Count{Sent: 2, Got: 1, Lost: 1, Again: 1}); r.In != want { // Got counts each message once
		t.Errorf("inbound %+v, want %+v", r.In, want)
	}
	if r.OpenSockets != 1 {
		t.Errorf("%d app sockets are open", r.OpenSockets)
	}
	r = account(&client.SessionLostError{Reason: client.LostUnknown})
	if r.Out.Told != 1 || r.Out.Lost != 0 || r.In.Told != 1 || r.In.Lost != 0 || r.Resets["unknown"] != 1 {
		t.Errorf("a session that ended: %+v, %+v, %v", r.Out, r.In, r.Resets)
	}
}

// TestUnanswered: what an app owes is missing, unless its session is over.
func TestUnanswered(t *testing.T) {
	const ms = time.Millisecond
	for _, end := range []error{nil, &client.SessionLostError{Reason: client.LostUnknown}} {
		c := &session{kind: answer(50 * ms), ended: end, account: tally.NewClient(0, tally.Resilient, new(tally.Live))}
		c.account.Up(0, tally.First, 0)
		for range 4 {
			c.account.Due(0, true)
		}
		for n := range 3 { // the connection did not take the fourth
			c.account.Sent(n)
		}
		c.account.Answered(80*ms, 1)
		c.account.Answered(90*ms, 1)
		c.account.Up(95*ms, tally.Resumed, 5*ms)
		r := &result{Answers: map[string]*answers{}, Resets: map[string]int{}}
		r.addSessionLocked(c, c.account.Felt([]time.Duration{70 * ms}))
		got := *r.Answers["answer in 50ms"]
		want := 2
		if end != nil {
			want = 0
		}
		if got.Asked != 3 || got.Missing != want || got.Surplus != 1 || len(got.waits) != 1 || got.waits[0] != 30*ms {
			t.Errorf("ended by %v: %+v", end, got)
		}
	}
}

// TestReturns: who comes back without a loss has moved.
func TestReturns(t *testing.T) {
	account := tally.NewClient(0, tally.Resilient, new(tally.Live))
	account.Up(0, tally.First, 0)
	account.Down(time.Second)
	account.Up(2*time.Second, tally.Resumed, time.Second)
	account.Up(3*time.Second, tally.Resumed, 0)
	account.Adopted(4*time.Second, "owner_lost", 0)
	r := new(result)
	r.addReturns(tally.Summarise(tally.Resilient, []*tally.Client{account}, tally.Frame{}))
	if r.Resumed != 2 || r.Adopted["owner_lost"] != 1 || r.Moves != 2 || r.Resume.N != 1 || r.Resume.Worst != 1000 {
		t.Errorf("%+v", r)
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
		"lost":           {spoil: func(r *result) { r.Out.Lost = 1 }, always: "lost in silence"},
		"doubled":        {spoil: func(r *result) { r.Out.Doubled = 1 }, always: "doubled"},
		"reordered":      {spoil: func(r *result) { r.In.Reordered = 1 }, always: "out of order"},
		"zombie":         {spoil: func(r *result) { r.Zombies = 1 }, always: "successor"},
		"reset":          {spoil: func(r *result) { r.Resets["lost"] = 1 }, always: "ended before"},
		"tail":           {spoil: func(r *result) { r.Out.Tail = 1 }, strict: "last words"},
		"again":          {spoil: func(r *result) { r.In.Again = 1 }, strict: "second app socket"},
		"in lost":        {spoil: func(r *result) { r.In.Lost = 1 }, strict: "lost in silence"},
		"unanswered":     {spoil: func(r *result) { r.Answers = map[string]*answers{"app": {Missing: 1}} }, strict: "answers missing"},
		"answered twice": {spoil: func(r *result) { r.Answers = map[string]*answers{"app": {Surplus: 1}} }, strict: "answered before"},
		"open":           {spoil: func(r *result) { r.OpenSockets = 1 }, strict: "never closed"},
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
		r := &result{Gap: stats.Spread{P99: tc.gap}}
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

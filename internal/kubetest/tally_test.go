package main

import (
	"slices"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/internal/lab/ledger"
)

// good is of clients to which nothing happened but the end of its plain
// connections, 21 s after began.
func good(began time.Time) *tally {
	return &tally{
		Settled:   true,
		Resilient: resilientTally{Clients: 2, Sent: 10, Received: 10, Events: map[string]int{"adopted drained": 2}},
		Plain: plainTally{
			Clients: 2, Sent: 10, Received: 9, Unanswered: 1,
			Ends: map[string]int{"1012": 2}, EndedAt: []time.Time{began.Add(21 * time.Second)},
		},
	}
}

func TestJudge(t *testing.T) {
	began := time.Now()
	for _, tt := range []struct {
		name    string
		breaks  func(*tally)
		promise *expectation
		want    string // empty: all is well
	}{
		{"planned", func(*tally) {}, plainMove, ""},
		{"silence", func(a *tally) { a.Resilient.Sent = 0 }, plainMove, "the clients sent nothing"},
		{"unsettled", func(a *tally) { a.Settled = false }, plainMove, "echoes are missing at the end"},
		{"lost", func(a *tally) { a.Resilient.Lost = 1 }, plainMove, "a resilient client missed an echo"},
		{"doubled", func(a *tally) { a.Resilient.Doubled = 1 }, plainMove, "a resilient client got an echo twice"},
		{"reordered", func(a *tally) { a.Resilient.Reordered = 1 }, unplanned, "a resilient client got echoes out of order"},
		{"foreign", func(a *tally) { a.Resilient.Foreign = 1 }, unplanned, "a resilient client got an echo that it did not wait for"},
		{"doubled in a crash", func(a *tally) { a.Resilient.Doubled = 1 }, unplanned, "a resilient client got an echo twice"},
		{"lost in a crash", func(a *tally) { a.Resilient.Lost, a.Settled = 1, false }, unplanned, ""},
		{"reset", func(a *tally) { a.Resilient.Events["reset lost"] = 1 }, unplanned, "a session was reset"},
		{"ended", func(a *tally) { a.Resilient.Failed = []string{"gone"} }, plainMove, "a session ended"},
		{"cut", func(a *tally) { a.Plain.Cut = []string{"EOF"} }, plainMove, "a plain connection was cut"},
		{"cut in a crash", func(a *tally) { a.Plain.Cut = []string{"EOF"} }, unplanned, ""},
		{"wrong code", func(a *tally) { a.Plain.Ends["1001"] = 1 }, plainMove, "a plain connection ended with 1001"},
		{"no end was allowed", func(*tally) {}, noEnds, "a plain connection ended with 1012"},
		{"early", func(a *tally) { a.Plain.EndedAt[0] = began.Add(time.Second) }, plainMove, "a plain connection ended before the pod had told load balancers"},
		{"out of order", func(a *tally) { a.Plain.Wrong = 1 }, plainMove, "a plain client got echoes out of order"},
	} {
		a := good(began)
		tt.breaks(a)
		got := a.judge(*tt.promise, began)
		if tt.want == "" && len(got) > 0 || tt.want != "" && !slices.Contains(got, tt.want) {
			t.Errorf("%s: judged %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestResilientCounts: what a member makes of the echoes it hears.
func TestResilientCounts(t *testing.T) {
	r := newResilient(&clients{})
	for range 6 {
		r.book.Accept(r.book.Next())
	}
	now := time.Now()
	hear := func(i int, stream, n uint32) {
		r.hear(now.Add(time.Duration(i)*time.Second), ledger.Tag{Stream: stream, N: n}.Append(nil))
	}
	for i, n := range []uint32{1, 2, 2, 5, 4, 6} {
		hear(i, 0, n)
	}
	a := new(tally)
	r.add(a)
	// 3 was passed over; 4 came late, which no order allows.
	if s := a.Resilient; s.Lost != 1 || s.Doubled != 1 || s.Reordered != 1 || s.Received != 5 || s.LongestGap[0] != 1000 {
		t.Errorf("counted %+v", s)
	}
	if !r.settled() {
		t.Error("the last echo is there, and the member waits")
	}
	r.restart()
	a = new(tally)
	if r.add(a); a.Resilient.Sent+a.Resilient.Lost+a.Resilient.Doubled+a.Resilient.Received != 0 {
		t.Errorf("after restart: %+v", a.Resilient)
	}
	hear(7, 0, 6) // of the round before
	if a = new(tally); a.Resilient.Foreign != 0 {
		t.Fatal("a new tally is not empty")
	}
	if r.add(a); a.Resilient.Foreign != 1 || a.Resilient.Received != 0 {
		t.Errorf("after a late echo: %+v", a.Resilient)
	}
}

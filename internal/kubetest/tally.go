package main

import (
	"slices"
	"time"
)

// A tally is what the clients have counted since they were last told to go. It is
// JSON between their pod and what judges it.
type tally struct {
	Now       time.Time      `json:"now"` // by the clock of the clients
	Settled   bool           `json:"settled"`
	Resilient resilientTally `json:"resilient"`
	Plain     plainTally     `json:"plain"`
}

type resilientTally struct {
	Clients    int            `json:"clients"`
	Sent       int            `json:"sent"`
	Received   int            `json:"received"` // echoes, each counted once
	Lost       int            `json:"lost"`     // an echo that was passed over
	Doubled    int            `json:"doubled"`
	Reordered  int            `json:"reordered"`
	Foreign    int            `json:"foreign"`          // echoes of nothing that was sent in this round
	Failed     []string       `json:"failed,omitempty"` // sessions that ended, and why
	Events     map[string]int `json:"events"`           // adopted drained, resumed, reset lost, ...
	LongestGap []float64      `json:"longestGap"`       // of each client, between echoes, in milliseconds, sorted
}

type plainTally struct {
	Clients    int            `json:"clients"`
	Sent       int            `json:"sent"`
	Received   int            `json:"received"`
	Wrong      int            `json:"wrong"`      // echoes out of order, which a connection never has
	Unanswered int            `json:"unanswered"` // sent on connections that ended before the echo
	Ends       map[string]int `json:"ends"`       // of connections, by close code
	Cut        []string       `json:"cut,omitempty"`
	EndedAt    []time.Time    `json:"endedAt,omitempty"`
	Refused    map[string]int `json:"refused,omitempty"` // dials that failed
}

// expectation is what a scenario promises to clients.
type expectation struct {
	plainEnds bool          // plain connections may end, with 1012 and not otherwise
	notice    time.Duration // and no earlier than so long after the scenario began
	crash     bool          // resilient clients may miss what the app said last, and hear so
}

// judge returns what is broken of the promises.
func (t *tally) judge(e expectation, began time.Time) (failures []string) {
	fail := func(is bool, text string) {
		if is {
			failures = append(failures, text)
		}
	}
	r, p := &t.Resilient, &t.Plain
	fail(r.Sent == 0 || p.Sent == 0, "the clients sent nothing")
	fail(!t.Settled && !e.crash, "echoes are missing at the end")
	fail(r.Doubled > 0, "a resilient client got an echo twice")
	fail(r.Reordered > 0, "a resilient client got echoes out of order")
	fail(r.Foreign > 0, "a resilient client got an echo that it did not wait for")
	fail(len(r.Failed) > 0 && !e.crash, "a session ended")
	for event := range r.Events {
		fail(len(event) >= 5 && event[:5] == "reset", "a session was reset")
	}
	if !e.crash {
		fail(r.Lost > 0, "a resilient client missed an echo")
		fail(len(p.Cut) > 0, "a plain connection was cut")
	}
	fail(p.Wrong > 0, "a plain client got echoes out of order")
	for code := range p.Ends {
		fail(!e.crash && (!e.plainEnds || code != "1012"), "a plain connection ended with "+code)
	}
	early := slices.ContainsFunc(p.EndedAt, func(at time.Time) bool { return at.Sub(began) < e.notice })
	fail(early && !e.crash, "a plain connection ended before the pod had told load balancers")
	return failures
}

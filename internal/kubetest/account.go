package main

import (
	"slices"
	"strings"
	"time"

	"github.com/wsresilience/wsresilience/internal/rehearse/tally"
)

// An account is what became of the clients since they were last told to go. It is
// JSON between their pod and what judges it.
type account struct {
	Now              time.Duration // since the clients began
	Settled          bool
	Plain, Resilient tally.Summary
	Ended            []tally.End    // of plain connections
	Reasons          map[string]int `json:",omitempty"` // why clients could not connect, or had to end
}

// expectation is what a scenario promises to clients.
type expectation struct {
	plainEnds bool          // plain connections may end, with 1012 and not otherwise
	notice    time.Duration // and no earlier than so long after the scenario began
	crash     bool          // resilient clients may miss what the app said last, and hear so
}

// What is promised always, and what unless something crashes.
var (
	always  = []string{"doubled<=0", "reordered<=0", "foreign<=0", "plain.doubled<=0", "plain.reordered<=0", "plain.foreign<=0"}
	planned = []string{"lost<=0", "sessions.lost<=0"}
)

// restarting is the close code of an app's end that is planned.
const restarting = "1012"

// judge returns what is broken of the promises.
func (a *account) judge(e expectation, began time.Duration) (failures []string) {
	fail := func(is bool, text string) {
		if is {
			failures = append(failures, text)
		}
	}
	promises := always
	if !e.crash {
		promises = slices.Concat(always, planned)
	}
	list, err := tally.ParseObjectives(promises)
	fail(err != nil, "a promise cannot be read")
	for _, v := range tally.Judge(list, []tally.Summary{a.Plain, a.Resilient}) {
		fail(!v.Met, v.Side+" clients: "+v.Objective+" is "+v.Got)
	}
	fail(a.Resilient.Sent == 0 || a.Plain.Sent == 0, "the clients sent nothing")
	fail(!a.Settled && !e.crash, "echoes are missing at the end")
	for how := range a.Resilient.Ends {
		fail(strings.HasPrefix(how, "reset"), "a session was "+how)
	}
	for how := range a.Plain.Ends {
		fail(!e.crash && (!e.plainEnds || how != restarting), "a plain connection ended: "+how)
	}
	early := slices.ContainsFunc(a.Ended, func(end tally.End) bool { return end.At-began < e.notice })
	fail(early && !e.crash, "a plain connection ended before the pod had told load balancers")
	return failures
}

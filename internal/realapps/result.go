package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
)

// A result is a row of the table.
type result struct {
	app, scenario              string
	restarts, adopted, resumed int
	before, after              int // events of "kept", by the first restart
	doubled, missing, noticed  int
	gap, wait                  time.Duration
	faults                     []string // expectations that failed
}

// run runs a scenario from its start to its judgement.
func (r *runner) run(name, scenario string) result {
	sc := scenarios[scenario]
	s, err := r.newTestbed(name, scenario, sc.ping)
	if err != nil {
		return result{app: name, scenario: scenario, faults: []string{err.Error()}}
	}
	fault := sc.run(s)
	res := s.judge(fault)
	res.app, res.scenario = name, scenario
	s.close()
	if len(res.faults) > 0 {
		s.keepLog(name + "-" + scenario)
	}
	return res
}

// judge compares what the client saw with what it should have.
func (s *testbed) judge(fault error) result {
	res := result{
		restarts: s.restarts, before: s.before, wait: s.wait,
		adopted: int(s.bridge.adopted.Load()), resumed: int(s.bridge.resumed.Load()),
	}
	expect := func(ok bool, format string, args ...any) {
		if !ok {
			res.faults = append(res.faults, fmt.Sprintf(format, args...))
		}
	}
	expect(fault == nil, "%v", fault)
	for _, topic := range topics {
		t := s.report.tally(topic, s.app.births())
		res.doubled += t.doubled
		if topic == "kept" {
			res.gap, res.missing = t.gap, t.missing
			res.after = t.events - s.before
		}
	}
	if s.restarts == 0 {
		res.before, res.after = res.after, 0
	}
	noticed, failed := s.report.trouble()
	res.noticed = len(noticed)
	expect(res.noticed == 0, "the library noticed %q", noticed)
	expect(len(failed) == 0, "the client failed: %q", failed)
	_, failed = s.app.trouble()
	expect(len(failed) == 0, "the app failed: %q", failed)
	expect(res.doubled == 0, "%d events came twice or late", res.doubled)
	expect(res.missing == 0, "%d events are missing", res.missing)
	for i := s.asked; i < s.requests; i++ {
		text := fmt.Sprintf("request-%d", i+1)
		n := s.report.answered(text)
		expect(n == 1, "%s was answered %d times", text, n)
	}
	expect(s.bridge.dialled.Load() == 1, "%d sessions, want 1", s.bridge.dialled.Load())
	expect(res.adopted >= s.restarts, "%d adoptions in %d restarts", res.adopted, s.restarts)
	return res
}

// table prints the rows and, below, what failed.
func table(results []result) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "app\tscenario\trestarts\tadopted\tresumed\tevents before\tafter\tdoubled\tmissing\tnoticed\tworst gap\tworst wait\t")
	for _, r := range results {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%s\t\n", r.app, r.scenario, r.restarts, r.adopted, r.resumed,
			r.before, r.after, r.doubled, r.missing, r.noticed, r.gap.Round(time.Millisecond), r.wait.Round(time.Millisecond))
	}
	_ = w.Flush()
	for _, r := range results {
		for _, f := range r.faults {
			fmt.Fprintf(&text, "%s, %s: %s\n", r.app, r.scenario, f)
		}
	}
	return text.String()
}

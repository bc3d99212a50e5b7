package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/wsresilience/wsresilience/internal/lab/stats"
)

// A scenario is one thing that happens to the cluster.
type scenario struct {
	name string

	// promise is what clients are promised meanwhile; nil: they are not asked.
	promise *expectation

	// happen does it. It notes in the result what it found; its error says
	// that it could not be done.
	happen func(context.Context, *cluster, *result) error
}

// A result is what became of a scenario.
type result struct {
	name     string
	took     time.Duration
	tally    *tally // nil if no clients took part
	note     string
	failures []string
	broken   error // it could not be judged
}

func (r *result) expect(is bool, format string, args ...any) {
	if !is {
		r.failures = append(r.failures, fmt.Sprintf(format, args...))
	}
}

// play lets the clients talk while a scenario happens, and judges.
func (c *cluster) play(ctx context.Context, sc scenario) (r result) {
	r.name = sc.name
	c.say("== %s", sc.name)
	began := time.Now()
	defer func() { r.took = time.Since(began) }()
	if sc.promise == nil {
		r.broken = sc.happen(ctx, c, &r)
		return r
	}
	start, err := c.ask(ctx, clientSpace, "go")
	if err != nil {
		return result{name: sc.name, broken: err}
	}
	time.Sleep(2 * time.Second) // all clients talk when it happens
	if r.broken = sc.happen(ctx, c, &r); r.broken != nil {
		return r
	}
	if r.tally, r.broken = c.ask(ctx, clientSpace, "settle"); r.broken == nil {
		r.failures = append(r.failures, r.tally.judge(*sc.promise, start.Now)...)
	}
	return r
}

// line is the result for whoever watches.
func (r *result) line() string {
	text := fmt.Sprintf("   %s in %s", r.verdict(), r.took.Round(time.Second))
	if r.note != "" {
		text += "; " + r.note
	}
	if t := r.tally; t != nil {
		p := t.Plain
		text += fmt.Sprintf("\n   resilient: %s\n   plain: %d sent, %d answered, %d unanswered, ended %v, cut %d, refused %v",
			t.Resilient.text(), p.Sent, p.Received, p.Unanswered, p.Ends, len(p.Cut), p.Refused)
	}
	for _, f := range r.failures {
		text += "\n   FAIL: " + f
	}
	return text
}

func (r *result) verdict() string {
	if len(r.failures) > 0 || r.broken != nil {
		return "FAIL"
	}
	return "PASS"
}

func (t *resilientTally) text() string {
	return fmt.Sprintf("%d sent, %d lost, %d doubled, %d ended, %v, longest gap %.0f ms (median), %.0f (99th), %.0f (worst)",
		t.Sent, t.Lost, t.Doubled, len(t.Failed), t.Events, stats.Quantile(t.LongestGap, .5), stats.Quantile(t.LongestGap, .99), stats.Quantile(t.LongestGap, 1))
}

// table is all results in Markdown.
func table(results []result) string {
	var b strings.Builder
	b.WriteString("| | messages | lost, doubled | gap: median, 99th, worst | plain connections | |\n|---|---|---|---|---|---|\n")
	for _, r := range results {
		cells := []string{"", "", "", ""}
		if t := r.tally; t != nil {
			cells[0] = fmt.Sprint(t.Resilient.Sent)
			cells[1] = fmt.Sprintf("%d, %d", t.Resilient.Lost, t.Resilient.Doubled)
			gaps := t.Resilient.LongestGap
			cells[2] = fmt.Sprintf("%.0f, %.0f, %.0f ms", stats.Quantile(gaps, .5), stats.Quantile(gaps, .99), stats.Quantile(gaps, 1))
			cells[3] = plainEnds(&t.Plain)
		}
		remark := r.verdict()
		if r.note != "" {
			remark += "; " + r.note
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", r.name, strings.Join(cells, " | "), remark)
	}
	return b.String()
}

func plainEnds(p *plainTally) string {
	var parts []string
	for code, n := range p.Ends {
		parts = append(parts, fmt.Sprintf("%d closed with %s", n, code))
	}
	if len(p.Cut) > 0 {
		parts = append(parts, fmt.Sprintf("%d cut", len(p.Cut)))
	}
	if parts == nil {
		return "none ended"
	}
	return strings.Join(parts, ", ")
}

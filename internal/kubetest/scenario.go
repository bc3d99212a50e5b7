package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/wsresilience/wsresilience/internal/lab/table"
	"github.com/wsresilience/wsresilience/internal/rehearse/tally"
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
	account  *account // nil if no clients took part
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
	if r.account, r.broken = c.ask(ctx, clientSpace, "settle"); r.broken == nil {
		r.failures = append(r.failures, r.account.judge(*sc.promise, start.Now)...)
	}
	return r
}

// line is the result for whoever watches.
func (r *result) line() string {
	text := fmt.Sprintf("   %s in %s", r.verdict(), r.took.Round(time.Second))
	if r.note != "" {
		text += "; " + r.note
	}
	if a := r.account; a != nil {
		t, p := &a.Resilient, &a.Plain
		text += fmt.Sprintf("\n   resilient: %d sent, %d lost, %d doubled, %d resumed, adopted %v, ended %v, longest wait %s",
			t.Sent, t.Lost, t.Doubled, t.Resumed, t.AdoptedBy, t.Ends, waits(t))
		text += fmt.Sprintf("\n   plain: %d sent, %d answered, %d unanswered, ended %v; %v", p.Sent, p.Answered, p.Lost, p.Ends, a.Reasons)
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

// waits are the longest of the clients for an echo: median, 99th, worst.
func waits(s *tally.Summary) string {
	return fmt.Sprintf("%.0f, %.0f, %.0f ms", s.Longest.P50, s.Longest.P99, s.Longest.Max)
}

// list is all results in Markdown.
func list(results []result) string {
	t := table.Table{{"", "messages", "lost, doubled", "longest wait: median, 99th, worst", "plain connections", ""}}
	for _, r := range results {
		row := []string{r.name, "", "", "", "", r.verdict()}
		if a := r.account; a != nil {
			s := &a.Resilient
			row = []string{r.name, fmt.Sprint(s.Sent), fmt.Sprintf("%d, %d", s.Lost, s.Doubled), waits(s), plainEnds(&a.Plain), r.verdict()}
		}
		if r.note != "" {
			row[len(row)-1] += "; " + r.note
		}
		t = append(t, row)
	}
	return t.Markdown()
}

func plainEnds(p *tally.Summary) string {
	var parts []string
	for _, how := range slices.Sorted(maps.Keys(p.Ends)) {
		if how == tally.Cut {
			parts = append(parts, fmt.Sprintf("%d cut", p.Ends[how]))
			continue
		}
		parts = append(parts, fmt.Sprintf("%d closed with %s", p.Ends[how], how))
	}
	if parts == nil {
		return "none ended"
	}
	return strings.Join(parts, ", ")
}

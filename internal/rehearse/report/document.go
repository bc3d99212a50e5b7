package report

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wsresilience/wsresilience/internal/lab/plot"
	"github.com/wsresilience/wsresilience/internal/lab/stats"
	"github.com/wsresilience/wsresilience/internal/lab/table"
	"github.com/wsresilience/wsresilience/internal/rehearse/tally"
)

// A section is a part of the report, for any form of it.
type section struct {
	title string
	about []string
	table table.Table // nil: none
	plots []picture
	words bool // the table's cells are words
}

// A picture is a plot, and the file it has beside the Markdown.
type picture struct{ file, about, svg string }

// document is the report in its order: what somebody asks first comes first.
func (r *Run) document(former *Run) []section {
	list := []section{r.verdictSection(), r.sidesSection(), r.courseSection(), r.faultsSection(), r.baselineSection()}
	if len(r.Spans) > 0 {
		list = append(list, r.spansSection())
	}
	if former != nil {
		list = append(list, r.againstSection(former))
	}
	if len(r.Reasons) > 0 {
		list = append(list, r.reasonsSection())
	}
	return append(list, r.environmentSection())
}

func (r *Run) verdictSection() section {
	s := section{title: "Verdict", about: append([]string{r.Verdict() + "."}, r.Notes...)}
	s.table = table.Table{{"objective", "of the clients", "measured", "verdict"}}
	for _, v := range r.Verdicts {
		word := "PASS"
		if !v.Met {
			word = "FAIL"
		}
		s.table = append(s.table, []string{v.Objective, v.Side, v.Got, word})
	}
	return s
}

// row is a line of a table with a value for each side.
func (r *Run) row(name string, of func(*tally.Summary) string) []string {
	cells := []string{name}
	for i := range r.Sides {
		cells = append(cells, of(&r.Sides[i]))
	}
	return cells
}

// Percent writes a share, and rounds it down.
func Percent(share float64) string {
	const fine = 1e-9                                                              // for shares such as 0.992, which have no exact form
	return strconv.FormatFloat(math.Floor(share*1e4+fine)/1e2, 'f', -1, 64) + " %" // 99.9999 % is not 100 %
}

func (r *Run) sidesSection() section {
	s := section{title: "What was lost", about: []string{
		"Both kinds of clients ran at the same time, did the same and went through the same. A message is lost if its answer never came; whether the way there or the way back took it, the clients cannot know.",
	}}
	n := func(f func(*tally.Summary) int) func(*tally.Summary) string {
		return func(s *tally.Summary) string { return fmt.Sprint(f(s)) }
	}
	s.table = table.Table{
		r.row("", func(s *tally.Summary) string { return s.Side }),
		r.row("clients", n(func(s *tally.Summary) int { return s.Clients })),
		r.row("messages that were due", n(func(s *tally.Summary) int { return s.Due })),
		r.row("answered", n(func(s *tally.Summary) int { return s.Answered })),
		r.row("lost", n(func(s *tally.Summary) int { return s.Lost })),
		r.row("error rate (lost, of those that expect an answer)", func(s *tally.Summary) string {
			return fmt.Sprintf("%.3f %%", 100*float64(s.Lost)/float64(max(1, s.Judged)))
		}),
		r.row("answered twice", n(func(s *tally.Summary) int { return s.Doubled })),
		r.row("out of order", n(func(s *tally.Summary) int { return s.Reordered })),
		r.row(fmt.Sprintf("late (after more than %v)", r.Late), n(func(s *tally.Summary) int { return s.Late })),
		r.row("errors of the app", n(func(s *tally.Summary) int { return s.Errors })),
	}
	if r.anySide(func(s *tally.Summary) bool { return s.Pushes.Got > 0 }) {
		s.table = append(s.table,
			r.row("sent by the app itself: received", func(s *tally.Summary) string { return fmt.Sprint(s.Pushes.Got) }),
			r.row("sent by the app itself: lost, doubled, out of order", func(s *tally.Summary) string {
				return fmt.Sprintf("%d, %d, %d", s.Pushes.Lost, s.Pushes.Doubled, s.Pushes.Reordered)
			}))
	}
	s.table = append(s.table,
		r.row("connections that ended", n(func(s *tally.Summary) int { return s.Breaks })),
		r.row("sessions adopted: with another app socket", func(s *tally.Summary) string { return by(s.Adopted, s.AdoptedBy) }),
		r.row("what the app knew of a client, gone", func(s *tally.Summary) string { return by(s.SessionsLost, s.Ends) }),
		r.row("retention: clients that kept it all along", func(s *tally.Summary) string { return Percent(s.Retention) }),
		r.row("time connected", func(s *tally.Summary) string { return Percent(s.Connected) }),
		r.row("away: mean, P50, P99, longest", func(s *tally.Summary) string { return away(s.Away) }),
		r.row("handshakes, and those that did not succeed", func(s *tally.Summary) string { return fmt.Sprintf("%d, %d", s.Handshakes, s.Refused) }),
	)
	return s
}

func (r *Run) anySide(f func(*tally.Summary) bool) bool {
	for i := range r.Sides {
		if f(&r.Sides[i]) {
			return true
		}
	}
	return false
}

// by is a count, and how often for which reason.
func by(n int, reasons map[string]int) string {
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(reasons)) {
		if reason != "" {
			parts = append(parts, fmt.Sprintf("%d × %s", reasons[reason], reason))
		}
	}
	if parts == nil {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d: %s", n, strings.Join(parts, ", "))
}

func away(l tally.Latency) string {
	if l.N == 0 {
		return "never"
	}
	return strings.Join([]string{tally.Millis(l.Mean), tally.Millis(l.P50), tally.Millis(l.P99), tally.Millis(l.Max)}, ", ")
}

func (r *Run) courseSection() section {
	s := section{title: "The course of the run", about: []string{"What was broken when is shaded; the numbers are those of the next table."}}
	var events []plot.Event
	for i := range r.Faults {
		f := &r.Faults[i]
		events = append(events, plot.Event{From: f.At.Seconds(), To: (f.At + f.For).Seconds(), Label: f.Text})
	}
	line := func(side int, label string, dashed bool, of func(*tally.Second) float64) plot.Line {
		l := plot.Line{Label: r.Sides[side].Side + label, Ours: r.Sides[side].Side == tally.Resilient.String(), Dashed: dashed}
		for i := range r.Series[side] {
			l.Values = append(l.Values, of(&r.Series[side][i]))
		}
		return l
	}
	up := plot.Chart{Title: "clients connected", Events: events}
	wait := plot.Chart{Title: "from the moment a message was due to its answer", Unit: "ms", Log: true, Events: events}
	lost := plot.Chart{Title: "messages lost, by the second in which they were due", Events: events}
	some := func(v float64) float64 {
		if v <= 0 {
			return math.NaN()
		}
		return v
	}
	for i := range r.Sides {
		up.Lines = append(up.Lines, line(i, "", false, func(s *tally.Second) float64 { return float64(s.Up) }))
		wait.Lines = append(wait.Lines,
			line(i, " P50", false, func(s *tally.Second) float64 { return some(s.P50) }),
			line(i, " P99", true, func(s *tally.Second) float64 { return some(s.P99) }))
		lost.Lines = append(lost.Lines, line(i, "", false, func(s *tally.Second) float64 { return float64(s.Lost) }))
	}
	s.plots = []picture{{"connected.svg", up.Title, up.SVG()}, {"latency.svg", wait.Title, wait.SVG()}, {"lost.svg", lost.Title, lost.SVG()}}
	return s
}

func (r *Run) faultsSection() section {
	s := section{title: "Chaos experiments", about: []string{"What each fault did until the next one came. Back: how long clients were away that were cut off meanwhile, P50 and longest. Wait: the longest from the moment a message was due to its answer."}}
	if len(r.Faults) == 0 {
		s.about = []string{"Nothing was broken on purpose."}
		return s
	}
	head := []string{"fault", "at", "connections hit"}
	for i := range r.Sides {
		side := r.Sides[i].Side
		head = append(head, side+": cut off", side+": lost", side+": back", side+": wait")
	}
	s.table = table.Table{head}
	for i := range r.Faults {
		f := &r.Faults[i]
		cells := []string{fmt.Sprintf("%d. %s", i+1, f.Text), clock(f.At), fmt.Sprint(f.Hit)}
		for k := range f.Effects {
			e := &f.Effects[k]
			back := "-"
			if e.Back.N > 0 {
				back = tally.Millis(e.Back.P50) + ", " + tally.Millis(e.Back.Max)
			}
			cells = append(cells, fmt.Sprint(e.Breaks), fmt.Sprint(e.Lost), back, tally.Millis(e.Worst))
		}
		s.table = append(s.table, cells)
		if f.Failure != "" {
			s.about = append(s.about, fmt.Sprintf("%d. %s could not be done: %s. It wrote: %s", i+1, f.Text, f.Failure, f.Output))
		}
	}
	return s
}

func clock(d time.Duration) string {
	s := int(d.Round(time.Second) / time.Second)
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

func (r *Run) baselineSection() section {
	s := section{title: "Baseline and throughput", about: []string{
		fmt.Sprintf("Times run from the moment a message was due to its answer, so that a client that had to wait is not counted as one that did not ask. Baseline: the first %s, before anything was broken.", r.Calm.Round(time.Second)),
	}}
	latency := func(of func(*tally.Summary) float64) func(*tally.Summary) string {
		return func(s *tally.Summary) string { return tally.Millis(of(s)) }
	}
	s.table = table.Table{
		r.row("", func(s *tally.Summary) string { return s.Side }),
		r.row("answers a second", func(s *tally.Summary) string { return stats.Number(s.Throughput) }),
		r.row("baseline P50", latency(func(s *tally.Summary) float64 { return s.Baseline.P50 })),
		r.row("baseline P99", latency(func(s *tally.Summary) float64 { return s.Baseline.P99 })),
		r.row("baseline P99.9", latency(func(s *tally.Summary) float64 { return s.Baseline.P999 })),
		r.row("whole run P50", latency(func(s *tally.Summary) float64 { return s.Whole.P50 })),
		r.row("whole run P99", latency(func(s *tally.Summary) float64 { return s.Whole.P99 })),
		r.row("whole run P99.9", latency(func(s *tally.Summary) float64 { return s.Whole.P999 })),
		r.row("whole run, longest", latency(func(s *tally.Summary) float64 { return s.Whole.Max })),
		r.row("the longest of each client, P50", latency(func(s *tally.Summary) float64 { return s.Longest.P50 })),
	}
	return s
}

func (r *Run) spansSection() section {
	s := section{title: "Bottlenecks", about: []string{"The slowest parts of the way during this run, as the metrics tell it that were named, and the traces that came. Not in it: how long sessions and connections last."}}
	s.table = table.Table{{"span", "by", "times", "mean", "deviation"}}
	for _, p := range r.Spans {
		s.table = append(s.table, []string{p.Name, p.From, fmt.Sprint(p.Count), tally.Millis(p.Mean), tally.Millis(p.Deviation)})
	}
	return s
}

func (r *Run) reasonsSection() section {
	s := section{title: "Why clients failed", about: []string{"Handshakes of new connections and sessions that did not succeed, and why sessions ended."}}
	s.table = table.Table{{"reason", "times"}}
	for _, text := range slices.Sorted(maps.Keys(r.Reasons)) {
		s.table = append(s.table, []string{text, fmt.Sprint(r.Reasons[text])})
	}
	return s
}

func (r *Run) environmentSection() section {
	s := section{title: "Environment", words: true, table: table.Table{{"", ""}}}
	for _, e := range r.Environment {
		s.table = append(s.table, []string{e[0], e[1]})
	}
	s.table = append(s.table,
		[]string{"target", r.Target}, []string{"profile", r.Profile}, []string{"seed", fmt.Sprint(r.Seed)},
		[]string{"began", r.Began.UTC().Format(time.RFC3339)}, []string{"length", r.End.Round(time.Second).String()},
		[]string{"command", r.Command})
	return s
}

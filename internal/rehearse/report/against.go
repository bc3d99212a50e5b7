package report

import (
	"fmt"

	"github.com/wsresilience/wsresilience/internal/lab/stats"
	"github.com/wsresilience/wsresilience/internal/lab/table"
	"github.com/wsresilience/wsresilience/internal/rehearse/tally"
)

// againstSection compares with a former run.
func (r *Run) againstSection(former *Run) section {
	s := section{title: "Against the former run", about: []string{
		fmt.Sprintf("%s, of %s: %s.", former.Title, former.Began.UTC().Format("2006-01-02 15:04 MST"), former.Verdict()),
	}}
	if former.Profile != r.Profile || former.Seed != r.Seed || len(former.Faults) != len(r.Faults) {
		s.about = append(s.about, "It had another profile, seed or plan: read the difference with that in mind.")
	}
	s.table = table.Table{{"", "then", "now"}}
	for i := range r.Sides {
		now := &r.Sides[i]
		for k := range former.Sides {
			then := &former.Sides[k]
			if then.Side != now.Side {
				continue
			}
			for _, row := range []struct {
				name string
				of   func(*tally.Summary) string
			}{
				{"lost", func(s *tally.Summary) string { return fmt.Sprintf("%d of %d", s.Lost, s.Judged) }},
				{"answered twice", func(s *tally.Summary) string { return fmt.Sprint(s.Doubled) }},
				{"retention", func(s *tally.Summary) string { return Percent(s.Retention) }},
				{"away, mean", func(s *tally.Summary) string { return tally.Millis(s.Away.Mean) }},
				{"answers a second", func(s *tally.Summary) string { return stats.Number(s.Throughput) }},
				{"baseline P99", func(s *tally.Summary) string { return tally.Millis(s.Baseline.P99) }},
				{"whole run P99", func(s *tally.Summary) string { return tally.Millis(s.Whole.P99) }},
			} {
				s.table = append(s.table, []string{now.Side + ": " + row.name, row.of(then), row.of(now)})
			}
		}
	}
	return s
}

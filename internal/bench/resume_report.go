package main

import (
	"fmt"

	"github.com/wsresilience/wsresilience/internal/lab/stats"
)

// reportResume writes both tables. Nothing in them is judged.
func reportResume(rep *report, m *resumed, o *options) {
	rep.section("Resume in place",
		fmt.Sprintf("%d of each, in turns; ms from the request to WELCOME, or to the answer 101 of a plain client.", o.resumes),
		"A fresh WebSocket and a new session include the handshake with the app.")
	t := table{{"what", "median", "p99", "slowest"}}
	for _, row := range m.rows {
		t = append(t, []string{row.name, fmt.Sprintf("%.2f", stats.Median(row.took)),
			fmt.Sprintf("%.2f", stats.Percentile(row.took, 99)), fmt.Sprintf("%.2f", stats.Percentile(row.took, 100))})
	}
	rep.table(t)

	rep.section("Messages through a tunnel",
		fmt.Sprintf("%d B echo, %d connections, one message in flight each; processor time per round trip, µs, medians of %d interleaved rounds.",
			o.size, o.connections, o.rounds),
		fmt.Sprintf("Alone: µs of a round trip on one connection while nothing else is under way, of %d.", aloneTrips))
	t = table{{"path", "owner", "passing on", "together", "ratio", "lowest", "highest", "alone", "p99"}}
	direct := m.paths[0].sum()
	for _, p := range m.paths {
		against := stats.Ratios(p.sum(), direct)
		t = append(t, []string{p.name, fmt.Sprintf("%.2f", stats.Median(p.owner)), fmt.Sprintf("%.2f", stats.Median(p.passing)),
			fmt.Sprintf("%.2f", stats.Median(p.sum())), fmt.Sprintf("%.2f", stats.Median(against)),
			fmt.Sprintf("%.2f", stats.Percentile(against, 0)), fmt.Sprintf("%.2f", stats.Percentile(against, 100)),
			fmt.Sprintf("%.0f", stats.Median(p.alone)), fmt.Sprintf("%.0f", stats.Percentile(p.alone, 99))})
	}
	rep.table(t)
}

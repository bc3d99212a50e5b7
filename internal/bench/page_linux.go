package main

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/wsresilience/wsresilience/internal/bench/measure"
	"github.com/wsresilience/wsresilience/internal/bench/rig"
	"github.com/wsresilience/wsresilience/internal/lab/plot"
	"github.com/wsresilience/wsresilience/internal/lab/stats"
)

// The files of a comparison.
const (
	pageFile = "README.md"
	plotFile = "cpu.svg"
)

// A page collects what was measured and is written at the end.
type page struct {
	head   strings.Builder
	body   strings.Builder
	goals  []goal
	panels []plot.Panel
	quick  bool
}

func newPage(r *rig.Rig, args []string, o *compareOptions) *page {
	pg := &page{quick: o.quick}
	cpuinfo, _ := os.ReadFile("/proc/cpuinfo")
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	facts := table{{"", ""},
		{"command", strings.TrimSpace("`go run ./internal/bench proxy "+strings.Join(args, " ")) + "`"},
		{"day", time.Now().UTC().Format(time.DateOnly)},
		{"processor", fmt.Sprintf("%s, %d usable", measure.ParseModel(cpuinfo), runtime.NumCPU())},
		{"system", runtime.GOOS + "/" + runtime.GOARCH + " " + strings.TrimSpace(string(kernel))},
		{"Go", runtime.Version()},
		{"nginx", version(r.Nginx, "-v")},
		{"HAProxy", version(r.Haproxy, "-v")},
		{"rounds", fmt.Sprint(o.rounds)},
	}
	pg.head.WriteString(facts.Markdown())
	return pg
}

// version is the first line that a program says of itself.
func version(program, flag string) string {
	out, err := exec.Command(program, flag).CombinedOutput()
	if err != nil {
		return "unknown"
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line)
}

func (pg *page) markdown() string {
	var b strings.Builder
	b.WriteString("# Beside other proxies\n\nWritten by `make bench-proxy`. Everything runs on one machine: the load, the app, and one proxy at a time between them. " +
		"Processor time is that of the proxy's processes alone. Ratios are to nginx in the same round, as it did better: with one worker or with one per processor.\n\n")
	if pg.quick {
		b.WriteString("This was a quick run: its numbers are not to be quoted.\n\n")
	}
	b.WriteString(pg.head.String())
	if len(pg.goals) > 0 {
		t := table{{"goal", "measured", "wanted", ""}}
		for i := range pg.goals {
			t = append(t, pg.goals[i].cells())
		}
		b.WriteString("\n## Goals\n\n" + t.Markdown())
	}
	if len(pg.panels) > 0 {
		b.WriteString("\n![Processor time per message beside nginx](" + plotFile + ")\n")
	}
	b.WriteString(pg.body.String())
	return b.String()
}

func (pg *page) plot() string { return plot.Bars(pg.panels) }

func (pg *page) section(title, about string, t table) {
	fmt.Fprintf(&pg.body, "\n## %s\n\n%s\n\n%s", title, about, t.Markdown())
}

func (pg *page) addWorkload(c *workload, scores []score) {
	ref := reference(scores)
	t := table{{"proxy", "µs per " + c.unit, "user", "system", "ratio to nginx", "lowest", "highest", "per second"}}
	pl := plot.Panel{Title: c.name + ": processor time, as a ratio to nginx", Mark: 1}
	for i := range scores {
		sc := &scores[i]
		perSecond := fmt.Sprintf("%.0f", stats.Median(sc.rate))
		if sc.rival == direct {
			t = append(t, []string{sc.rival, "", "", "", "", "", "", perSecond})
			continue
		}
		against := stats.Ratios(sc.micros, ref.micros)
		ratio, low, top := stats.Median(against), slices.Min(against), slices.Max(against)
		user := sc.split.user.Seconds() / max(1e-9, (sc.split.user+sc.split.system).Seconds())
		t = append(t, []string{sc.rival, fmt.Sprintf("%.2f", stats.Median(sc.micros)), fmt.Sprintf("%.0f %%", 100*user),
			fmt.Sprintf("%.0f %%", 100-100*user), fmt.Sprintf("%.2f", ratio), fmt.Sprintf("%.2f", low), fmt.Sprintf("%.2f", top), perSecond})
		pl.Bars = append(pl.Bars, plot.Bar{Label: sc.rival, Value: ratio, Low: low, Top: top, Ours: strings.HasPrefix(sc.rival, "sidecar")})
	}
	for _, limit := range workloadLimits {
		if sc := find(scores, limit.rival); limit.workload == c.name && sc != nil {
			ratio := stats.Median(stats.Ratios(sc.micros, ref.micros))
			pg.goals = append(pg.goals, newGoal("CPU, "+c.name+", "+limit.rival, ratio, limit.most, ""))
		}
	}
	pg.panels = append(pg.panels, pl)
	pg.section(strings.ToUpper(c.name[:1])+c.name[1:],
		fmt.Sprintf("%d of %s in each of %d rounds on %d connections. The last column shows what the load can do; it is no goal, since all share the processors.",
			c.n, c.unit, c.turns, c.conns), t)
}

func (pg *page) addIdle(rows []idleRow, n int, watch time.Duration) {
	t := table{{"proxy", "resident bytes per session", "of Go's heap", "CPU, % of one core"}}
	for _, row := range rows {
		heap := ""
		if row.heap != 0 {
			heap = fmt.Sprintf("%.0f", row.heap)
		}
		t = append(t, []string{row.rival, fmt.Sprintf("%.0f", row.resident), heap, fmt.Sprintf("%.2f", 100*row.cpu)})
		if row.rival == sidecarSession || row.rival == sidecarOutside {
			outside := ""
			if row.rival == sidecarOutside {
				outside = ", NATS outside"
			}
			pg.goals = append(pg.goals, newGoal("idle resilient session, resident memory"+outside, row.resident, idleLimit, " B"),
				newGoal(fmt.Sprintf("%d idle sessions, heartbeats every 15 s", n)+outside, 100*row.cpu, idleCPULimit, " %"))
		}
	}
	pg.section("Idle sessions", fmt.Sprintf("%d sessions; the growth of resident memory since the start, and the processor time in %v. "+
		"Of the sidecars the heartbeats are in it; the others have none.", n, watch), t)
}

func (pg *page) addStorm(rows []stormRow, n int) {
	t := table{{"proxy", "CPU, s", "elapsed, s"}}
	for _, row := range rows {
		t = append(t, []string{row.rival, fmt.Sprintf("%.2f", stats.Median(row.cpu)), fmt.Sprintf("%.2f", stats.Median(row.elapsed))})
		if row.rival == sidecarSession {
			pg.goals = append(pg.goals, newGoal(fmt.Sprintf("%d sessions resuming at once, CPU", n), stats.Median(row.cpu), resumeCPULimit, " s"))
		}
	}
	pg.section("Sessions that come back", fmt.Sprintf("%d sessions resume, %d at a time, and each is given the %d messages of %d B that it missed.",
		n, stormWidth, stormMissed, stormSize), t)
}

func (pg *page) addPace(rows []paceRow, n int) {
	t := table{{"proxy", "p50 added, µs", "p99 added, µs", "p99.9 added, µs"}}
	added := func(row *paceRow, k int) float64 {
		return stats.Median(stats.Differences(row.delays[k], rows[0].delays[k]))
	}
	nginx := [len(pacePermille)]float64{}
	for k := range nginx {
		nginx[k] = math.Inf(1)
	}
	for i := range rows {
		line := []string{rows[i].rival}
		for k := range pacePermille {
			if i == 0 {
				line = append(line, fmt.Sprintf("(%.0f in all)", stats.Median(rows[0].delays[k])))
				continue
			}
			line = append(line, fmt.Sprintf("%.1f", added(&rows[i], k)))
			if rows[i].rival == nginxAuto || rows[i].rival == nginxOne {
				nginx[k] = min(nginx[k], added(&rows[i], k))
			}
		}
		t = append(t, line)
	}
	for i := range rows {
		for k, name := range []string{"p50", "p99"} {
			if rows[i].rival == sidecarSession {
				pg.goals = append(pg.goals, newGoal("latency added at 1 connection, "+name+", resilient, less nginx's", added(&rows[i], k)-nginx[k], latencyLimit, " µs"))
			}
		}
	}
	pg.section("Latency", fmt.Sprintf("64 B on one connection, %d messages a second, sent when they are due whatever became of those before; %d in each round. "+
		"Counted from the moment a message was due. Medians over the rounds of the difference to the connection without a proxy.",
		int(time.Second/paceEvery), n), t)
}

func (pg *page) addLateness(rows []latenessRow, n, rate int) {
	t := table{{"proxy", "heartbeats", "late p50, ms", "p99, ms", "p99.9, ms", "GC cycles", "longest pause, ms", "before, ms", "message p50, µs", "p99.9, µs"}}
	for i := range rows {
		row := &rows[i]
		late := stats.Permille(row.late, 999)
		t = append(t, []string{row.rival, fmt.Sprint(row.beats), stats.Number(stats.Permille(row.late, 500)), stats.Number(stats.Permille(row.late, 990)), stats.Number(late),
			fmt.Sprint(row.gc.cycles), fmt.Sprintf("%.3f", 1e3*row.gc.longest), fmt.Sprintf("%.3f", 1e3*row.gc.opening), stats.Number(stats.Permille(row.delay, 500)), stats.Number(stats.Permille(row.delay, 999))})
		if row.rival == sidecarSession {
			pg.goals = append(pg.goals, newGoal("heartbeat lateness under load, p99.9", late, latenessLimit, " ms"),
				newGoal("longest GC pause under that load", 1e3*row.gc.longest, pauseLimit, " ms"),
				newGoal("longest GC pause while the sessions were opened", 1e3*row.gc.opening, pauseLimit, " ms"))
		}
	}
	pg.section("Heartbeats under load", fmt.Sprintf("%d sessions, over all of them %d messages a second there and as many back, a heartbeat every 15 s. "+
		"Lateness is how much longer than that an interval was at the client. Metrics are read five times a second, which leaves the garbage that the messages do not; "+
		"the longest pause before is from when all sessions were opened at once.", n, rate), t)
}

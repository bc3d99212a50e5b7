package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/wsresilience/wsresilience/internal/bench/load"
	"github.com/wsresilience/wsresilience/internal/bench/measure"
	"github.com/wsresilience/wsresilience/internal/bench/rig"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

const (
	// profiledConns and profiledTrips are the load of a profile.
	profiledConns = 64
	profiledTrips = 40_000

	// attachTime is what a tracer gets to attach.
	attachTime = 500 * time.Millisecond

	// profileLines of a profile are kept.
	profileLines = 25

	// allocLimit is nought, and room for what runs beside the messages.
	allocLimit = 0.01
)

// compareProfile counts allocations and, where strace and perf are installed,
// system calls and where the time goes. It says what it leaves out.
func compareProfile(r *rig.Rig, pg *page, o *compareOptions) error {
	n := profiledTrips
	if o.quick {
		n /= 8
	}
	up, upstream, err := r.StartRole("bare-app")
	if err != nil {
		return err
	}
	defer up.Kill()
	t := table{{"proxy", "allocations", "system calls"}}
	var hot strings.Builder
	for _, rv := range o.contestants() {
		fmt.Fprintln(os.Stderr, "bench: profile,", rv.name)
		row, err := profile(r, pg, &rv, upstream, n, &hot)
		if err != nil {
			return fmt.Errorf("profile, %s: %w", rv.name, err)
		}
		t = append(t, row)
	}
	pg.section("Per round trip", fmt.Sprintf("64 B on %d connections. Allocations are those that Go counts; the system calls are strace's, which slows everything down, so that more waits at each wake-up.",
		profiledConns), t)
	if hot.Len() > 0 {
		fmt.Fprintf(&pg.body, "\n## Where the time goes\n\nThe functions with the most samples of perf, in the same load.\n\n%s", hot.String())
	}
	return nil
}

func profile(r *rig.Rig, pg *page, rv *rival, upstream string, n int, hot *strings.Builder) ([]string, error) {
	p, err := rv.begin(r, upstream)
	if err != nil {
		return nil, err
	}
	defer p.end()
	s, err := load.DialLoop(p.addr, profiledConns, rv.offer)
	if err != nil {
		return nil, err
	}
	defer s.Cut()
	load := func() error { return s.Trips(n, make([]byte, 64)) }
	if err := load(); err != nil {
		return nil, err
	}
	row := []string{rv.name, "", "strace is not installed"}
	if p.admin != "" {
		per, err := p.allocations(load, n)
		if err != nil {
			return nil, err
		}
		row[1] = fmt.Sprintf("%.4f", per)
		if rv.name == sidecarSession {
			pg.goals = append(pg.goals, newGoal("allocations per round trip, "+rv.name, per, allocLimit, ""))
		}
	}
	if perf, err := exec.LookPath("perf"); err == nil && (rv.name == sidecarSession || rv.name == nginxOne) {
		text, err := sample(r, perf, p, load)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(hot, "%s:\n\n```\n%s\n```\n\n", rv.name, text)
	}
	if strace, err := exec.LookPath("strace"); err == nil {
		if row[2], err = trace(r, strace, p, load, n); err != nil {
			return nil, err
		}
	}
	return row, nil
}

// allocations of a load; what asking for them allocates is taken off.
func (p *instance) allocations(load func() error, n int) (float64, error) {
	const name = "go_memstats_mallocs_total"
	var at [3]float64
	for i := range at {
		if i == 2 {
			if err := load(); err != nil {
				return 0, err
			}
		}
		m, err := measure.Scrape(p.admin)
		if err != nil {
			return 0, err
		}
		at[i] = m[name]
	}
	return max(0, (at[2]-at[1])-(at[1]-at[0])) / float64(n), nil
}

// trace counts system calls.
func trace(r *rig.Rig, strace string, p *instance, load func() error, n int) (string, error) {
	pids, err := family(p.Pid())
	if err != nil {
		return "", err
	}
	out := filepath.Join(r.Dir, "strace.txt")
	args := []string{"-f", "-c", "-o", out}
	for _, pid := range pids {
		args = append(args, "-p", strconv.Itoa(pid))
	}
	if err := observe(r, exec.CommandContext(r.Ctx, strace, args...), load); err != nil {
		return "", err
	}
	text, err := os.ReadFile(out)
	if err != nil {
		return "", err
	}
	counts, err := measure.ParseStrace(text)
	return measure.PerMessage(counts, n), err
}

// sample asks perf where the time goes.
func sample(r *rig.Rig, perf string, p *instance, load func() error) (string, error) {
	pids, err := family(p.Pid())
	if err != nil {
		return "", err
	}
	var list []string
	for _, pid := range pids {
		list = append(list, strconv.Itoa(pid))
	}
	data := filepath.Join(r.Dir, "perf.data")
	if err := observe(r, exec.CommandContext(r.Ctx, perf, "record", "-q", "-F", "997", "-p", strings.Join(list, ","), "-o", data), load); err != nil {
		return "", err
	}
	report := exec.CommandContext(r.Ctx, perf, "report", "--stdio", "-q", "--percent-limit", "0.7", "--sort", "dso,symbol", "-i", data)
	text, err := report.Output()
	if err != nil {
		return "", fmt.Errorf("bench: perf report: %w", err)
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimRight(line, " \n"); line != "" && len(lines) < profileLines {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n"), nil
}

// observe runs a tracer while the load runs.
func observe(r *rig.Rig, tracer *exec.Cmd, load func() error) error {
	c, err := r.Start(filepath.Base(tracer.Path), tracer)
	if err != nil {
		return err
	}
	time.Sleep(attachTime)
	err = load()
	_ = c.Signal(syscall.SIGINT)
	if late := proc.Until(r.Ctx, proc.Grace, rig.ReadyPoll, c.Ended); late != nil {
		c.Kill()
		return errors.Join(err, c.Failure("did not end: "+late.Error()))
	}
	return err
}

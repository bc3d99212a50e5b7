package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/wsresilience/wsresilience/internal/bench/load"
	"github.com/wsresilience/wsresilience/internal/bench/measure"
	"github.com/wsresilience/wsresilience/internal/bench/rig"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
	"github.com/wsresilience/wsresilience/internal/lab/stats"
)

// warmShare of a round's messages is spent once, unmeasured, on each
// subject, so that heaps and pools have their size.
const warmShare = 10

// A cpuRow is a subject and its microseconds per round trip, by round.
type cpuRow struct {
	subject
	micros []float64
}

// measureCPU runs all subjects side by side and their turns interleaved.
func measureCPU(r *rig.Rig, o *options) ([]cpuRow, error) {
	echo, upstream, err := r.StartRole("echo")
	if err != nil {
		return nil, err
	}
	defer echo.Kill()
	var rows []cpuRow
	var children []*proc.Process
	var addrs []string
	defer func() {
		for _, c := range children {
			c.Kill()
		}
	}()
	for _, s := range subjects(r) {
		c, addr, err := s.begin(r, upstream)
		if err != nil {
			return nil, err
		}
		rows, children, addrs = append(rows, cpuRow{subject: s}), append(children, c), append(addrs, addr)
	}
	warm := *o
	warm.messages = max(o.messages/warmShare, o.connections)
	for round := -1; round < o.rounds; round++ {
		now := o
		if round < 0 {
			now = &warm
		}
		for i := range rows {
			used, err := turn(r.Ctx, children[i].Pid(), addrs[i], &rows[i].subject, now)
			if err != nil {
				return nil, children[i].Failure(fmt.Sprintf("%s, round %d: %v", rows[i].name, round+1, err))
			}
			if round >= 0 {
				rows[i].micros = append(rows[i].micros, perTrip(used, now.messages))
			}
		}
	}
	return rows, nil
}

// cheapest is the reference with the lowest median.
func cheapest(rows []cpuRow) *cpuRow {
	var best *cpuRow
	for i := range rows {
		if rows[i].reference && (best == nil || stats.Median(rows[i].micros) < stats.Median(best.micros)) {
			best = &rows[i]
		}
	}
	return best
}

// reportCPU writes the table and judges.
func reportCPU(rep *report, rows []cpuRow, o *options) {
	reference := cheapest(rows)
	rep.section("CPU per round trip",
		fmt.Sprintf("%d B echo, %d connections, one message in flight each, %d round trips in each of %d interleaved rounds.",
			o.size, o.connections, o.messages, o.rounds),
		"Processor time of the forwarding process alone; medians over the rounds; ratio to the cheaper goroutine forwarder of the same round.")
	t := table{{"forwarder", "µs", "ratio", "lowest", "highest", "allowed", ""}}
	for _, row := range rows {
		against := stats.Ratios(row.micros, reference.micros)
		ratio := stats.Median(against)
		line := []string{row.name, fmt.Sprintf("%.2f", stats.Median(row.micros)), fmt.Sprintf("%.2f", ratio),
			fmt.Sprintf("%.2f", slices.Min(against)), fmt.Sprintf("%.2f", slices.Max(against)), "", ""}
		if row.allowed > 0 {
			line[5] = fmt.Sprintf("%.2f", row.allowed)
			line[6] = rep.judge("CPU, "+row.name, ratio <= row.allowed)
		}
		t = append(t, line)
	}
	rep.table(t)
}

// warmTrips are made on each connection before anything is measured.
const warmTrips = 20

// A turn is one subject's part of a round: fresh connections, warmed up, and
// then a fixed number of round trips, of which the processor time that pid
// used is returned.
func turn(ctx context.Context, pid int, addr string, s *subject, o *options) (used time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, load.TurnLimit)
	defer cancel()
	f, err := load.DialAll(addr, o.connections, s.offer)
	if err != nil {
		return 0, err
	}
	defer context.AfterFunc(ctx, f.Cut)()
	payload := make([]byte, o.size)
	if err := f.Trips(warmTrips*o.connections, payload); err != nil {
		return 0, err
	}
	before, err := measure.CPUTime(pid)
	if err != nil {
		return 0, err
	}
	if err := f.Trips(o.messages, payload); err != nil {
		return 0, errors.Join(err, ctx.Err())
	}
	after, err := measure.CPUTime(pid)
	if err != nil {
		return 0, err
	}
	if err := f.Close(); err != nil {
		return 0, fmt.Errorf("bench: end of the turn: %w", err)
	}
	return after - before, nil
}

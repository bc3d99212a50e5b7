package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// settleFresh lets a process finish its start before it is weighed.
	settleFresh = 2 * time.Second

	// settleIdle is beyond the first heartbeat of every session (5 s), so
	// that what a heartbeat allocates is in the sum.
	settleIdle = 8 * time.Second

	// settleQuick caps both in a quick run.
	settleQuick = time.Second
)

func (r *rig) settle(d time.Duration) error {
	select {
	case <-time.After(min(d, r.patience)):
		return nil
	case <-r.ctx.Done():
		return r.ctx.Err()
	}
}

// A memoryRow is what a subject's process grew by, in bytes.
type memoryRow struct {
	name        string
	fresh, full int64
}

func (m *memoryRow) perSession(n int) float64 { return float64(m.full-m.fresh) / float64(n) }

// measureMemory weighs each subject in a fresh process, before and after its
// sessions came to rest.
func (r *rig) measureMemory(o *options) ([]memoryRow, error) {
	echo, upstream, err := r.startRole("echo")
	if err != nil {
		return nil, err
	}
	defer echo.stop()
	var rows []memoryRow
	for _, s := range r.subjects() {
		row, err := r.weigh(&s, upstream, o)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func (r *rig) weigh(s *subject, upstream string, o *options) (row memoryRow, err error) {
	c, addr, err := s.begin(r, upstream)
	if err != nil {
		return row, err
	}
	defer c.stop()
	row.name = s.name
	if err := r.settle(settleFresh); err != nil {
		return row, err
	}
	if row.fresh, err = resident(c.pid()); err != nil {
		return row, err
	}
	f, err := dialFleet(addr, o.sessions, s.resilient)
	if err != nil {
		return row, c.failure(fmt.Sprintf("%s: idle sessions: %v", s.name, err))
	}
	row.full, err = r.weighIdle(f, c.pid())
	if err != nil {
		return row, c.failure(fmt.Sprintf("%s: %v", s.name, err))
	}
	return row, nil
}

// weighIdle lets the fleet rest, and returns the resident memory of pid. All
// sessions must still be there.
func (r *rig) weighIdle(f fleet, pid int) (int64, error) {
	ctx, broke := context.WithCancelCause(context.Background())
	over := make(chan error, 1)
	go func() {
		over <- each(len(f), func(i int) error {
			err := f[i].rest()
			broke(fmt.Errorf("bench: idle session %d of %d: %w", i+1, len(f), err))
			return nil
		})
	}()
	err := r.settle(settleIdle)
	bytes, weighed := resident(pid)
	if err == nil {
		err = weighed
	}
	if err == nil {
		err = context.Cause(ctx)
	}
	f.cut()
	return bytes, errors.Join(err, <-over)
}

// reportMemory writes the table.
func reportMemory(rep *report, rows []memoryRow, o *options) {
	rep.section("Memory per idle session",
		fmt.Sprintf("%d sessions, one round trip each and then idle; growth of the process's resident memory.", o.sessions))
	t := table{{"forwarder", "KB per session", "fresh MB", "full MB"}}
	for _, m := range rows {
		t = append(t, []string{m.name, fmt.Sprintf("%.1f", m.perSession(o.sessions)/1e3), megabytes(m.fresh), megabytes(m.full)})
	}
	rep.table(t)
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f", float64(n)/1e6) }

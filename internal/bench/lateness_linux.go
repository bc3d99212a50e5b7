package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/wsresilience/wsresilience/internal/bench/load"
	"github.com/wsresilience/wsresilience/internal/bench/measure"
	"github.com/wsresilience/wsresilience/internal/bench/rig"
	"github.com/wsresilience/wsresilience/internal/lab/stats"
	"github.com/wsresilience/wsresilience/wire"
)

// A latenessRow is a driver under load with many sessions.
type latenessRow struct {
	rival string
	beats int
	late  []float64 // ms, of each interval between two heartbeats of a session
	delay []float64 // µs, of the messages meanwhile
	gc    collections
}

// collections are what the garbage collector did.
type collections struct {
	opening float64 // s, its longest pause before the load
	cycles  int     // under load
	longest float64 // s, of their pauses
}

// compareLateness watches the heartbeats of many sessions while messages go
// through them.
func compareLateness(r *rig.Rig, pg *page, o *compareOptions) error {
	n, rate, lasts := idleSessions, 10_000, 3*beatInterval+beatInterval/2
	if o.quick {
		n, rate, lasts = 1000, 2500, 2*beatInterval+beatInterval/3
	}
	var rows []latenessRow
	for _, rv := range o.contestants() {
		if !rv.offer.Resilient {
			continue
		}
		fmt.Fprintln(os.Stderr, "bench: lateness,", rv.name)
		row, err := lateness(r, &rv, n, rate, lasts)
		if err != nil {
			return fmt.Errorf("lateness, %s: %w", rv.name, err)
		}
		rows = append(rows, row)
	}
	pg.addLateness(rows, n, rate)
	return nil
}

func lateness(r *rig.Rig, rv *rival, n, rate int, lasts time.Duration) (row latenessRow, err error) {
	row.rival = rv.name
	c, _, err := rv.beforeApp(r, slowBeat...)
	if err != nil {
		return row, err
	}
	defer c.end()
	s, err := load.DialLoop(c.addr, n, wire.Offer{Resilient: true})
	if err != nil {
		return row, c.Failure(err.Error())
	}
	defer s.Cut()
	last := make(map[*load.Client]time.Time, n)
	for _, p := range s.Clients {
		p.OnBeat = func() {
			now := time.Now()
			if before, ok := last[p]; ok {
				row.late = append(row.late, stats.Millis(now.Sub(before)-beatInterval))
			}
			last[p] = now
			row.beats++
		}
	}
	m, err := measure.Scrape(c.admin)
	if err != nil {
		return row, err
	}
	row.gc.opening = m[`go_gc_duration_seconds{quantile="1"}`]
	watch := row.gc.watch(c.admin)
	p := pace{loop: s, every: time.Second / time.Duration(rate), size: 64, n: int(lasts.Seconds() * float64(rate))}
	err = p.run()
	if err := errors.Join(err, watch(), r.Ctx.Err()); err != nil {
		return row, c.Failure(err.Error())
	}
	if len(row.late) == 0 {
		return row, c.Failure("no session had two heartbeats")
	}
	row.delay = p.delays
	return row, nil
}

// watch follows the collections of a sidecar until its result is called. Since
// the load leaves no garbage, reading the metrics often has to.
func (g *collections) watch(admin string) (stop func() error) {
	const every = 200 * time.Millisecond
	done, over := make(chan struct{}), make(chan error, 1)
	go func() {
		var before map[string]float64
		for {
			m, err := measure.Scrape(admin)
			if err != nil {
				over <- err
				return
			}
			g.add(before, m)
			before = m
			select {
			case <-done:
				over <- nil
				return
			case <-time.After(every):
			}
		}
	}()
	return func() error {
		close(done)
		return <-over
	}
}

// add counts the collections between two readings; of several the pauses count
// as one.
func (g *collections) add(before, after map[string]float64) {
	const count, sum = "go_gc_duration_seconds_count", "go_gc_duration_seconds_sum"
	if before == nil || after[count] == before[count] {
		return
	}
	g.cycles += int(after[count] - before[count])
	g.longest = max(g.longest, after[sum]-before[sum])
}

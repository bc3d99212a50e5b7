package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/wsresilience/wsresilience/wire"
)

// A latenessRow is a driver under load with many sessions.
type latenessRow struct {
	rival string
	beats int
	late  []float64 // ms, of each interval between two heartbeats of a session
	delay []float64 // µs, of the messages meanwhile
	pause float64   // s, the longest of the garbage collector
}

// contendLateness watches the heartbeats of many sessions while messages go
// through them.
func (r *rig) contendLateness(pg *page, o *contestOptions) error {
	n, rate, lasts := idleSessions, 10_000, 3*beatInterval+beatInterval/2
	if o.quick {
		n, rate, lasts = 1000, 2500, 2*beatInterval+beatInterval/3
	}
	var rows []latenessRow
	for _, rv := range rivals() {
		if !rv.offer.Resilient {
			continue
		}
		fmt.Fprintln(os.Stderr, "bench: lateness,", rv.name)
		row, err := r.lateness(&rv, n, rate, lasts)
		if err != nil {
			return fmt.Errorf("lateness, %s: %w", rv.name, err)
		}
		rows = append(rows, row)
	}
	pg.addLateness(rows, n, rate)
	return nil
}

func (r *rig) lateness(rv *rival, n, rate int, lasts time.Duration) (row latenessRow, err error) {
	row.rival = rv.name
	up, upstream, err := r.startRole("app")
	if err != nil {
		return row, err
	}
	defer up.kill()
	c, err := rv.begin(r, upstream, slowBeat...)
	if err != nil {
		return row, err
	}
	defer c.end()
	s, err := gatherSwarm(c.addr, n, wire.Offer{Resilient: true})
	if err != nil {
		return row, c.failure(err.Error())
	}
	defer s.cut()
	last := make(map[*peer]time.Time, n)
	for _, p := range s.fleet {
		p.onBeat = func() {
			now := time.Now()
			if before, ok := last[p]; ok {
				row.late = append(row.late, millis(now.Sub(before)-beatInterval))
			}
			last[p] = now
			row.beats++
		}
	}
	p := pace{swarm: s, every: time.Second / time.Duration(rate), size: 64, n: int(lasts.Seconds() * float64(rate))}
	if err := errors.Join(p.run(), r.ctx.Err()); err != nil {
		return row, c.failure(err.Error())
	}
	if len(row.late) == 0 {
		return row, c.failure("no session had two heartbeats")
	}
	row.delay = p.delays
	m, err := scrape(c.admin)
	row.pause = m[`go_gc_duration_seconds{quantile="1"}`]
	return row, err
}

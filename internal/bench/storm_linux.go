package main

import (
	"fmt"
	"os"
	"time"

	"github.com/wsresilience/wsresilience/internal/bench/load"
	"github.com/wsresilience/wsresilience/internal/bench/rig"
	"github.com/wsresilience/wsresilience/wire"
)

const (
	// stormMissed messages of stormSize are what each session has missed.
	stormMissed = 4
	stormSize   = 256

	// stormWidth is how many come back at the same time: below the listener's
	// backlog, where a refused SYN would wait a second.
	stormWidth = 512
)

// A stormRow is a driver and what it took to have all sessions back.
type stormRow struct {
	rival   string
	cpu     []float64 // seconds
	elapsed []float64
}

// compareResume cuts all connections, lets the app send to those who are
// away, and has all of them come back.
func compareResume(r *rig.Rig, pg *page, o *compareOptions) error {
	n, rounds := 5000, min(3, o.rounds)
	if o.quick {
		n, rounds = 500, 1
	}
	var rows []stormRow
	for _, rv := range o.contestants() {
		if !rv.offer.Resilient {
			continue
		}
		row := stormRow{rival: rv.name}
		for range rounds {
			fmt.Fprintln(os.Stderr, "bench: resume,", rv.name)
			if err := storm(r, &rv, n, &row); err != nil {
				return fmt.Errorf("resume, %s: %w", rv.name, err)
			}
		}
		rows = append(rows, row)
	}
	pg.addStorm(rows, n)
	return nil
}

func storm(r *rig.Rig, rv *rival, n int, row *stormRow) error {
	p, upstream, err := rv.beforeApp(r)
	if err != nil {
		return err
	}
	defer p.end()
	f, err := load.DialAll(p.addr, n, rv.offer)
	if err != nil {
		return p.Failure(err.Error())
	}
	defer f.Cut()
	teller, err := load.DialAll(upstream, 1, wire.Offer{}) // straight to the app
	if err != nil {
		return err
	}
	s, err := load.NewLoop(teller)
	if err != nil {
		return err
	}
	defer s.Cut()
	f.Cut()
	if err := r.Settle(rig.SettleFresh); err != nil { // the sidecar notices
		return err
	}
	for range stormMissed {
		if err := s.Order(1, s.Clients, fmt.Sprint("fan ", stormSize)); err != nil {
			return err
		}
	}
	if err := r.Settle(rig.SettleFresh); err != nil { // the journal has them
		return err
	}
	return p.comeBack(f, row)
}

func (p *instance) comeBack(f load.Clients, row *stormRow) error {
	before, err := p.used()
	if err != nil {
		return err
	}
	began := time.Now()
	err = f.Each(stormWidth, func(c *load.Client) error { return catchUp(c, p.addr) })
	if err != nil {
		return p.Failure(err.Error())
	}
	row.elapsed = append(row.elapsed, time.Since(began).Seconds())
	after, err := p.used()
	row.cpu = append(row.cpu, after.since(before).total.Seconds())
	return err
}

// catchUp resumes and takes what was missed.
func catchUp(p *load.Client, addr string) error {
	if err := p.Resume(addr, wire.StatusResumed); err != nil {
		return err
	}
	for i := range stormMissed {
		got, err := p.Next()
		if err != nil {
			return fmt.Errorf("replay of message %d: %w", i+1, err)
		}
		if len(got) != stormSize {
			return fmt.Errorf("bench: replay of %d bytes, want %d", len(got), stormSize)
		}
	}
	return p.Ack()
}

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
	// rushMissed messages of rushSize are what each session has missed.
	rushMissed = 4
	rushSize   = 256

	// rushWidth is how many come back at the same time: below the listener's
	// backlog, where a refused SYN would wait a second.
	rushWidth = 512
)

// A rushRow is a driver and what it took to have all sessions back.
type rushRow struct {
	rival   string
	cpu     []float64 // seconds
	elapsed []float64
}

// contendResume cuts all connections, lets the app send to those who are
// away, and has all of them come back.
func contendResume(r *rig.Rig, pg *page, o *contestOptions) error {
	n, rounds := 5000, min(3, o.rounds)
	if o.quick {
		n, rounds = 500, 1
	}
	var rows []rushRow
	for _, rv := range rivals() {
		if !rv.offer.Resilient {
			continue
		}
		row := rushRow{rival: rv.name}
		for range rounds {
			fmt.Fprintln(os.Stderr, "bench: resume,", rv.name)
			if err := rush(r, &rv, n, &row); err != nil {
				return fmt.Errorf("resume, %s: %w", rv.name, err)
			}
		}
		rows = append(rows, row)
	}
	pg.addRush(rows, n)
	return nil
}

func rush(r *rig.Rig, rv *rival, n int, row *rushRow) error {
	up, upstream, err := r.StartRole("bare-app")
	if err != nil {
		return err
	}
	defer up.Kill()
	p, err := rv.begin(r, upstream)
	if err != nil {
		return err
	}
	defer p.end()
	f, err := load.DialFleet(p.addr, n, rv.offer)
	if err != nil {
		return p.Failure(err.Error())
	}
	defer f.Cut()
	teller, err := load.DialFleet(upstream, 1, wire.Offer{}) // straight to the app
	if err != nil {
		return err
	}
	s, err := load.NewSwarm(teller)
	if err != nil {
		return err
	}
	defer s.Cut()
	f.Cut()
	if err := r.Settle(rig.SettleFresh); err != nil { // the sidecar notices
		return err
	}
	for range rushMissed {
		if err := s.Order(1, s.Fleet, fmt.Sprint("fan ", rushSize)); err != nil {
			return err
		}
	}
	if err := r.Settle(rig.SettleFresh); err != nil { // the journal has them
		return err
	}
	return p.comeBack(f, row)
}

func (p *contestant) comeBack(f load.Fleet, row *rushRow) error {
	before, err := p.used()
	if err != nil {
		return err
	}
	began := time.Now()
	next := make(chan *load.Peer, len(f))
	for _, c := range f {
		next <- c
	}
	close(next)
	err = load.Each(rushWidth, func(int) error {
		for c := range next {
			if err := catchUp(c, p.addr); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return p.Failure(err.Error())
	}
	row.elapsed = append(row.elapsed, time.Since(began).Seconds())
	after, err := p.used()
	row.cpu = append(row.cpu, after.since(before).total.Seconds())
	return err
}

// catchUp resumes and takes what was missed.
func catchUp(p *load.Peer, addr string) error {
	if err := p.ComeBack(addr, wire.StatusResumed); err != nil {
		return err
	}
	for i := range rushMissed {
		got, err := p.Next()
		if err != nil {
			return fmt.Errorf("replay of message %d: %w", i+1, err)
		}
		if len(got) != rushSize {
			return fmt.Errorf("bench: replay of %d bytes, want %d", len(got), rushSize)
		}
	}
	return p.Ack()
}

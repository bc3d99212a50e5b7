package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wsresilience/wsresilience/wire"
)

const (
	// dialWidth is how many connections are opened at the same time: below
	// any listen backlog.
	dialWidth = 16

	// warmTrips are made on each connection before anything is measured.
	warmTrips = 20

	// turnLimit ends a turn that hangs. A turn takes seconds.
	turnLimit = 5 * time.Minute
)

// A fleet is many peers.
type fleet []*peer

// dialFleet opens n connections, each with one round trip behind it.
func dialFleet(addr string, n int, offer wire.Offer) (fleet, error) {
	return gather(n, func() (*peer, error) { return greetPeer(addr, offer) })
}

// greetPeer opens a connection and makes one round trip on it.
func greetPeer(addr string, offer wire.Offer) (*peer, error) {
	p, err := dialPeer(addr, offer)
	if err != nil {
		return nil, err
	}
	return p, p.roundTrip([]byte("hello"))
}

// gather makes a fleet of n, dialWidth at a time.
func gather(n int, join func() (*peer, error)) (fleet, error) {
	f := make(fleet, n)
	var next atomic.Int64
	err := each(dialWidth, func(int) error {
		for {
			i := int(next.Add(1)) - 1
			if i >= n {
				return nil
			}
			var err error
			if f[i], err = join(); err != nil {
				return err
			}
		}
	})
	if err != nil {
		f.cut()
		return nil, err
	}
	return f, nil
}

// trips makes a number of round trips, spread over the peers so that all of
// them end together.
func (f fleet) trips(total int, payload []byte) error {
	var tickets atomic.Int64
	return each(len(f), func(i int) error {
		for tickets.Add(1) <= int64(total) {
			if err := f[i].roundTrip(payload); err != nil {
				return err
			}
		}
		return nil
	})
}

// close ends all sessions.
func (f fleet) close() error {
	return each(len(f), func(i int) error { return f[i].close() })
}

// cut closes the connections and leaves sessions to the sidecar. Peers that
// were never dialled are nil.
func (f fleet) cut() {
	for _, p := range f {
		if p != nil {
			p.conn.Close()
		}
	}
}

// A turn is one subject's part of a round: fresh connections, warmed up, and
// then a fixed number of round trips, of which the processor time that pid
// used is returned.
func turn(ctx context.Context, pid int, addr string, s *subject, o *options) (used time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, turnLimit)
	defer cancel()
	f, err := dialFleet(addr, o.connections, s.offer)
	if err != nil {
		return 0, err
	}
	defer context.AfterFunc(ctx, f.cut)()
	payload := make([]byte, o.size)
	if err := f.trips(warmTrips*o.connections, payload); err != nil {
		return 0, err
	}
	before, err := cpuTime(pid)
	if err != nil {
		return 0, err
	}
	if err := f.trips(o.messages, payload); err != nil {
		return 0, errors.Join(err, ctx.Err())
	}
	after, err := cpuTime(pid)
	if err != nil {
		return 0, err
	}
	if err := f.close(); err != nil {
		return 0, fmt.Errorf("bench: end of the turn: %w", err)
	}
	return after - before, nil
}

// each runs n calls at the same time and joins their errors; the first is
// enough to read.
func each(n int, call func(i int) error) error {
	var wg sync.WaitGroup
	var once sync.Once
	var first error
	for i := range n {
		wg.Go(func() {
			if err := call(i); err != nil {
				once.Do(func() { first = err })
			}
		})
	}
	wg.Wait()
	return first
}

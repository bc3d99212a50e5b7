package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/wsresilience/wsresilience/internal/bench/load"
	"github.com/wsresilience/wsresilience/internal/bench/rig"
	"github.com/wsresilience/wsresilience/wire"
)

// opening is the workload of connections that are opened and closed, as far as
// the page needs it.
const opening = "connections opened and closed"

// openingRest is how long a proxy gets to be done with what it was left: the ends
// of sessions go to the journal when their clients have gone.
const openingRest = 500 * time.Millisecond

// An opener makes n connections and ends them, on a proxy that is running. It
// returns what the proxy used, and for how long connections were opened.
type opener func(p *instance, offer wire.Offer, n int) (usage, time.Duration, error)

// compareOpening has all rivals take turns. The rows of sessions that are resumed
// and adopted have no counterpart: they stand beside a connection of nginx that is
// opened and closed.
func compareOpening(r *rig.Rig, pg *page, o *compareOptions) error {
	c := workload{name: opening, unit: "connection", conns: 2000, turns: o.rounds}
	if o.quick {
		c.conns = 300
	}
	c.n = c.conns
	up, upstream, err := r.StartRole("bare-app")
	if err != nil {
		return err
	}
	defer up.Kill()
	type entrant struct {
		*instance
		offer wire.Offer
		open  opener
	}
	var entrants []entrant
	defer func() {
		for _, e := range entrants {
			e.end()
		}
	}()
	var scores []score
	enter := func(name string, p *instance, offer wire.Offer, open opener) {
		entrants, scores = append(entrants, entrant{p, offer, open}), append(scores, score{rival: name})
	}
	for _, rv := range o.contestants() {
		p, err := rv.begin(r, upstream)
		if err != nil {
			return err
		}
		enter(rv.name, p, rv.offer, openAndClose)
		if rv.sidecar && rv.offer.Resilient {
			enter(rv.name+", resumed", p, rv.offer, cutAndResume)
		}
	}
	for round := range c.turns + 1 {
		fmt.Fprintln(os.Stderr, "bench: opening, round", round)
		for i, e := range entrants {
			n := c.n
			if round == 0 {
				n /= 4 // it warms up
			}
			used, took, err := e.open(e.instance, e.offer, n)
			if err = errors.Join(err, r.Ctx.Err()); err != nil {
				return e.Failure(fmt.Sprintf("opening, %s: %v", scores[i].rival, err))
			}
			if round > 0 {
				scores[i].add(used, took, n)
			}
		}
	}
	adopted, err := compareAdopting(r, &c)
	if err != nil {
		return err
	}
	pg.addWorkload(&c, append(scores, *adopted))
	return nil
}

func openAndClose(p *instance, offer wire.Offer, n int) (u usage, took time.Duration, err error) {
	before, err := p.used()
	if err != nil {
		return u, 0, err
	}
	began := time.Now()
	f, err := load.Open(n, func() (*load.Client, error) { return load.Dial(p.addr, offer) })
	if err != nil {
		return u, 0, err
	}
	took = time.Since(began)
	s, err := load.NewLoop(f)
	if err == nil {
		err = s.Leave()
	}
	if err != nil {
		return u, 0, err
	}
	time.Sleep(openingRest)
	after, err := p.used()
	return after.since(before), took, err
}

// cutAndResume has sessions lose their connections and come back, which is what it
// measures.
func cutAndResume(p *instance, offer wire.Offer, n int) (u usage, took time.Duration, err error) {
	f, err := load.DialAll(p.addr, n, offer)
	if err != nil {
		return u, 0, err
	}
	time.Sleep(openingRest)
	before, err := p.used()
	if err != nil {
		return u, 0, err
	}
	f.Cut()
	time.Sleep(openingRest)
	began := time.Now()
	if err := resumeAll(f, p.addr, wire.StatusResumed); err != nil {
		return u, 0, err
	}
	took = time.Since(began)
	time.Sleep(openingRest)
	after, err := p.used()
	if err != nil {
		return u, 0, err
	}
	s, err := load.NewLoop(f)
	if err == nil {
		err = s.Leave()
	}
	return after.since(before), took, err
}

// resumeAll has all come back, as many at a time as are dialled.
func resumeAll(f load.Clients, addr string, want wire.Status) error {
	return f.Each(resumeWidth, func(c *load.Client) error { return c.Resume(addr, want) })
}

// resumeWidth is how many come back at the same time: as many as are dialled.
const resumeWidth = 16

// compareAdopting kills the owner of sessions, in front of a journal outside, and
// has their clients come to another sidecar, in each round with fresh ones.
func compareAdopting(r *rig.Rig, c *workload) (*score, error) {
	sc := &score{rival: sidecarSession + ", adopted, NATS outside"}
	for round := range c.turns {
		fmt.Fprintln(os.Stderr, "bench: adopting, round", round+1)
		used, took, err := adoptAll(r, c.n)
		if err != nil {
			return nil, fmt.Errorf("adopting: %w", err)
		}
		sc.add(used, took, c.n)
	}
	return sc, nil
}

func adoptAll(r *rig.Rig, n int) (u usage, took time.Duration, err error) {
	up, upstream, err := r.StartRole("bare-app")
	if err != nil {
		return u, 0, err
	}
	defer up.Kill()
	p, err := r.StartPods(2, 1, upstream)
	if err != nil {
		return u, 0, err
	}
	defer p.Kill()
	f, err := load.DialAll(p.Sidecars[0].Addr, n, wire.Offer{Resilient: true, Adopt: true})
	if err != nil {
		return u, 0, p.Failure(err)
	}
	defer f.Cut()
	time.Sleep(openingRest)
	p.Sidecars[0].Kill()
	heir := &instance{Process: p.Sidecars[1].Process}
	before, err := heir.used()
	if err != nil {
		return u, 0, err
	}
	began := time.Now()
	if err := resumeAll(f, p.Sidecars[1].Addr, wire.StatusAdopted); err != nil {
		return u, 0, p.Failure(err)
	}
	took = time.Since(began)
	time.Sleep(openingRest)
	after, err := heir.used()
	return after.since(before), took, err
}

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/wsresilience/wsresilience/internal/bench/load"
	"github.com/wsresilience/wsresilience/internal/bench/rig"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
	"github.com/wsresilience/wsresilience/internal/lab/stats"
)

// A workload is what all rivals take turns in.
type workload struct {
	name  string // of the row group, and for goals
	unit  string // what is counted
	conns int
	n     int  // units of a turn
	turns int  // rounds; 0: the run's
	unix  bool // the app is behind a Unix socket
	tls   bool // clients come by TLS; slow ones, since the load has no other
	slow  bool
	half  bool // the proxy gets half of each twentieth of a second

	// run makes n units on connections that are open and warm.
	run func(s *crowd, n int) error
}

// A score is what one rival needed in a workload, by round.
type score struct {
	rival  string
	micros []float64 // of processor time per unit
	split  usage     // of all rounds
	rate   []float64 // units per second
}

// workloads are those in which processor time per message counts.
func workloads(o *compareOptions) []workload {
	trips := func(size int) func(*crowd, int) error {
		payload := make([]byte, size)
		return func(s *crowd, n int) error { return s.trips(n, payload) }
	}
	fan := func(s *crowd, n int) error {
		for range n / len(s.loop.Clients) {
			if err := s.loop.Order(len(s.loop.Clients), s.loop.Clients[:1], "fan 256"); err != nil {
				return err
			}
		}
		return nil
	}
	all := []workload{
		{name: "echo 64 B, 1 connection", unit: "round trip", conns: 1, n: 12_000, run: trips(64)},
		{name: "echo 64 B, 64 connections", unit: "round trip", conns: 64, n: 60_000, run: trips(64)},
		{name: "echo 64 B, 512 connections", unit: "round trip", conns: 512, n: 60_000, run: trips(64)},
		{name: "echo 16 KiB, 64 connections", unit: "round trip", conns: 64, n: 20_000, run: trips(16 << 10)},
		{name: "flood 256 B, 16 connections", unit: "message", conns: 16, n: 800_000, run: func(s *crowd, n int) error {
			all := s.loop.Clients
			each := n / len(all)
			return s.loop.Order(each*len(all), all, fmt.Sprintf("flood %d 256", each))
		}},
		{name: "fan-out 256 B, 1,000 connections", unit: "message", conns: 1000, n: 60_000, run: fan},
		{name: "fan-out 256 B, 5,000 connections", unit: "message", conns: 5000, n: 100_000, turns: 3, run: fan},
		{name: "echo 64 B, 64 connections, app on a Unix socket", unit: "round trip", conns: 64, n: 60_000, unix: true, run: trips(64)},
		{name: "slow echo 64 B, 64 connections, TLS", unit: "round trip", conns: 64, n: 30_000, slow: true, tls: true, run: trips(64)},
		{name: "paced echo 64 B, 512 connections, 5,000 a second", unit: "round trip", conns: 512, n: 15_000, run: func(s *crowd, n int) error {
			p := pace{loop: s.loop, every: 200 * time.Microsecond, size: 64, n: n}
			return p.run()
		}},
		{name: "slow echo 64 B, 64 connections", unit: "round trip", conns: 64, n: 30_000, slow: true, run: trips(64)},
		{name: "slow echo 64 B, 512 connections", unit: "round trip", conns: 512, n: 30_000, slow: true, run: trips(64)},
		{name: "slow echo 64 B, 1,024 connections", unit: "round trip", conns: 1024, n: 30_000, slow: true, run: trips(64)},
		{name: "slow echo 64 B, 4,096 connections", unit: "round trip", conns: 4096, n: 40_000, turns: 3, slow: true, run: trips(64)},
		{name: "slow echo 64 B, 1,024 connections, half a processor", unit: "round trip", conns: 1024, n: 20_000, turns: 3, slow: true, half: true, run: trips(64)},
	}
	for i := range all {
		c := &all[i]
		if o.quick {
			c.n /= 6
		}
		if c.turns == 0 || c.turns > o.rounds {
			c.turns = o.rounds
		}
	}
	return all
}

// startApp starts the app of the workload.
func (c *workload) startApp(r *rig.Rig) (up *proc.Process, upstream string, err error) {
	if !c.unix {
		return r.StartRole("bare-app")
	}
	dir, err := r.Scratch("app")
	if err != nil {
		return nil, "", err
	}
	for _, d := range []string{r.Dir, dir} { // workers of nginx are another user
		if err := os.Chmod(d, 0o711); err != nil {
			return nil, "", err
		}
	}
	return r.StartRole("bare-app", filepath.Join(dir, "socket"))
}

// runWorkload has all rivals take turns, each on fresh connections. The first round
// is not counted. The load without a proxy is the last score; it has no processor
// time.
func runWorkload(r *rig.Rig, c *workload, list []rival) (scores []score, err error) {
	up, upstream, err := c.startApp(r)
	if err != nil {
		return nil, err
	}
	defer up.Kill()
	if c.tls {
		if r.TLS, err = r.NewTLS(); err != nil {
			return nil, err
		}
		defer func() { r.TLS = rig.TLS{} }()
	}
	if c.unix || c.tls {
		list = slices.DeleteFunc(slices.Clone(list), func(rv rival) bool { return !rv.versed })
	}
	var running []*instance
	defer func() {
		for _, p := range running {
			p.end()
		}
	}()
	for _, rv := range list {
		p, err := rv.begin(r, upstream)
		if err != nil {
			return nil, err
		}
		running, scores = append(running, p), append(scores, score{rival: rv.name})
	}
	scores = append(scores, score{rival: direct})
	for round := range c.turns + 1 {
		for i := range scores {
			addr, offer, p := upstream, list[0].offer, (*instance)(nil)
			if i < len(list) {
				addr, offer, p = running[i].addr, list[i].offer, running[i]
			}
			if c.tls && p != nil {
				addr = load.TLSPrefix + addr
			}
			s, err := c.gather(addr, offer)
			if err != nil {
				return nil, fmt.Errorf("%s, %s, round %d: %w", c.name, scores[i].rival, round, err)
			}
			n := c.n
			if round == 0 {
				n = max(c.n/warmShare, 2*c.conns)
			}
			got, took, err := p.turn(c, s, n)
			if err = errors.Join(err, r.Ctx.Err(), s.leave()); err != nil {
				return nil, fmt.Errorf("%s, %s: %w", c.name, scores[i].rival, err)
			}
			if round > 0 {
				scores[i].add(got, took, n)
			}
		}
	}
	return scores, nil
}

// direct is the load on the app itself, which shows what it could do.
const direct = "no proxy"

// turn runs the units and returns what the proxy used; without one, only the
// time.
func (p *instance) turn(c *workload, s *crowd, n int) (_ usage, _ time.Duration, err error) {
	if c.half && p != nil {
		var through func() error
		if through, err = p.halve(); err != nil {
			return usage{}, 0, err
		}
		defer func() { err = errors.Join(err, through()) }()
	}
	if err := c.run(s, max(n/20, c.conns)); err != nil { // every connection is warm
		return usage{}, 0, err
	}
	var before, after usage
	if p != nil {
		if before, err = p.used(); err != nil {
			return after, 0, err
		}
	}
	began := time.Now()
	if err := c.run(s, n); err != nil {
		return after, 0, err
	}
	took := time.Since(began)
	if p != nil {
		after, err = p.used()
	}
	return after.since(before), took, err
}

func (sc *score) add(u usage, took time.Duration, n int) {
	sc.micros = append(sc.micros, perTrip(u.total, n))
	sc.rate = append(sc.rate, float64(n)/took.Seconds())
	sc.split.user += u.user
	sc.split.system += u.system
}

// reference is nginx as it did better.
func reference(scores []score) *score {
	var best *score
	for i := range scores {
		sc := &scores[i]
		if (sc.rival == nginxAuto || sc.rival == nginxOne) && (best == nil || stats.Median(sc.micros) < stats.Median(best.micros)) {
			best = sc
		}
	}
	return best
}

func find(scores []score, rival string) *score {
	for i := range scores {
		if scores[i].rival == rival {
			return &scores[i]
		}
	}
	return nil
}

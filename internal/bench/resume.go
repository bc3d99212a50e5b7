package main

import (
	"fmt"
	"time"

	"github.com/wsresilience/wsresilience/internal/bench/load"
	"github.com/wsresilience/wsresilience/internal/bench/measure"
	"github.com/wsresilience/wsresilience/internal/bench/rig"
	"github.com/wsresilience/wsresilience/internal/lab/stats"
	"github.com/wsresilience/wsresilience/wire"
)

const (
	// resumePool is how many sessions take turns in being resumed, so that
	// the sidecar has noticed the end of a connection before the session's
	// turn comes again.
	resumePool = 32

	// pathShare of the first table's messages is enough beside a tunnel, which
	// costs a multiple of what is looked for there.
	pathShare = 10

	// aloneTrips are made on one connection, for the time of one message.
	aloneTrips = 3000
)

// A resumeRow is a way to a session, or the yardstick, and its times in ms.
type resumeRow struct {
	name string
	once func(i int) (time.Duration, error)
	took []float64
}

// A pathRow is what messages cost on the way to their owner.
type pathRow struct {
	name    string
	clients load.Clients
	owner   []float64 // µs of processor time per round trip, by round
	passing []float64 // of the sidecar that passes them on
	alone   []float64 // µs of a round trip with nothing else under way
}

func (p *pathRow) sum() []float64 {
	sum := make([]float64, len(p.owner))
	for i := range sum {
		sum[i] = p.owner[i] + p.passing[i]
	}
	return sum
}

// resumed is what measureResume found.
type resumed struct {
	rows  []resumeRow
	paths []pathRow
}

// measureResume has two sidecars: the sessions live on the first, and the
// second passes clients on to it.
func measureResume(r *rig.Rig, o *options) (*resumed, error) {
	echo, upstream, err := r.StartRole("echo")
	if err != nil {
		return nil, err
	}
	defer echo.Kill()
	p, err := r.StartPods(2, 1, upstream)
	if err != nil {
		return nil, err
	}
	defer p.Kill()
	m := new(resumed)
	if m.rows, err = timeResumes(p, o); err != nil {
		return nil, p.Failure(err)
	}
	if m.paths, err = weighPaths(p, o); err != nil {
		return nil, p.Failure(err)
	}
	return m, nil
}

// throughTunnel opens a session at the first sidecar and resumes it through
// the second.
func throughTunnel(p *rig.Pods) (*load.Client, error) {
	c, err := load.DialWarm(p.Sidecars[0].Addr, wire.Offer{Resilient: true})
	if err != nil {
		return nil, err
	}
	return c, c.Resume(p.Sidecars[1].Addr, wire.StatusResumed)
}

// timeResumes takes turns, so that all rows feel the same moments of the
// machine.
func timeResumes(p *rig.Pods, o *options) ([]resumeRow, error) {
	owner, other := p.Sidecars[0].Addr, p.Sidecars[1].Addr
	var pools [2]load.Clients
	for i := range pools {
		var err error
		if pools[i], err = load.DialAll(owner, resumePool, wire.Offer{Resilient: true}); err != nil {
			return nil, err
		}
		defer pools[i].Cut()
	}
	rows := []resumeRow{
		{name: "fresh WebSocket, plain client", once: func(int) (time.Duration, error) { return dialOnce(owner, wire.Offer{}) }},
		{name: "new session", once: func(int) (time.Duration, error) { return dialOnce(owner, wire.Offer{Resilient: true}) }},
		{name: "resume on the owner", once: func(i int) (time.Duration, error) { return resumeOnce(pools[0][i%resumePool], owner) }},
		{name: "resume through a tunnel", once: func(i int) (time.Duration, error) { return resumeOnce(pools[1][i%resumePool], other) }},
	}
	for i := range o.resumes {
		for k := range rows {
			took, err := rows[k].once(i)
			if err != nil {
				return nil, fmt.Errorf("bench: %s, %d: %w", rows[k].name, i+1, err)
			}
			rows[k].took = append(rows[k].took, stats.Millis(took))
		}
	}
	return rows, nil
}

// dialOnce opens what it closes again.
func dialOnce(addr string, offer wire.Offer) (time.Duration, error) {
	p, err := load.Dial(addr, offer)
	if err != nil {
		return 0, err
	}
	return p.Greeted, p.Close()
}

// resumeOnce makes sure by a round trip that it is the session.
func resumeOnce(p *load.Client, addr string) (time.Duration, error) {
	if err := p.Resume(addr, wire.StatusResumed); err != nil {
		return 0, err
	}
	return p.Greeted, p.RoundTrip([]byte("still here"))
}

// weighPaths sends the same load to the owner directly and through a tunnel.
func weighPaths(p *rig.Pods, o *options) ([]pathRow, error) {
	paths := []pathRow{{name: "directly"}, {name: "through a tunnel"}}
	for i, join := range []func() (*load.Client, error){
		func() (*load.Client, error) { return load.DialWarm(p.Sidecars[0].Addr, wire.Offer{Resilient: true}) },
		func() (*load.Client, error) { return throughTunnel(p) },
	} {
		var err error
		if paths[i].clients, err = load.Open(o.connections, join); err != nil {
			return nil, err
		}
		defer paths[i].clients.Cut()
	}
	payload := make([]byte, o.size)
	for round := -1; round < o.rounds; round++ {
		for i := range paths {
			if err := weighRound(p, &paths[i], max(o.messages/pathShare, o.connections), payload, round >= 0); err != nil {
				return nil, fmt.Errorf("bench: messages %s: %w", paths[i].name, err)
			}
		}
	}
	for i := range paths {
		if err := paths[i].timeAlone(payload); err != nil {
			return nil, err
		}
	}
	return paths, nil
}

// weighRound makes round trips, and notes what they cost if they count.
func weighRound(p *rig.Pods, path *pathRow, trips int, payload []byte, counts bool) error {
	var before, after [2]time.Duration
	var err error
	for i := range before {
		if before[i], err = measure.CPUTime(p.Sidecars[i].Pid()); err != nil {
			return err
		}
	}
	if err := path.clients.Trips(trips, payload); err != nil {
		return err
	}
	for i := range after {
		if after[i], err = measure.CPUTime(p.Sidecars[i].Pid()); err != nil {
			return err
		}
	}
	if counts {
		path.owner = append(path.owner, perTrip(after[0]-before[0], trips))
		path.passing = append(path.passing, perTrip(after[1]-before[1], trips))
	}
	return nil
}

// timeAlone uses the first of the clients.
func (p *pathRow) timeAlone(payload []byte) error {
	for range aloneTrips {
		began := time.Now()
		if err := p.clients[0].RoundTrip(payload); err != nil {
			return fmt.Errorf("bench: one connection %s: %w", p.name, err)
		}
		p.alone = append(p.alone, 1e3*stats.Millis(time.Since(began)))
	}
	return nil
}

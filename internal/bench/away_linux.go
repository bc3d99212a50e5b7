package main

import (
	"fmt"
	"os"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/bench/load"
	"github.com/wsresilience/wsresilience/internal/bench/rig"
	"github.com/wsresilience/wsresilience/internal/lab/stats"
	"github.com/wsresilience/wsresilience/wire"
)

const (
	// awaySessions are told a message of awaySize each awayEvery, as a feed does.
	awaySessions = 2000
	awayEvery    = 500 * time.Millisecond
	awaySize     = 64

	// awayLimit is what they may cost while their clients are away, in % of a core.
	awayLimit = 5
)

// An awayRow is what sessions cost while their clients are there, or away.
type awayRow struct {
	rival string
	cpu   []float64 // % of a core, by round
	n     int       // messages of a round, over all sessions
}

// compareAway weighs feeds whose readers are away: after a tunnel or a deploy most
// of them are. What they missed is there when they come back.
func compareAway(r *rig.Rig, pg *page, o *compareOptions) error {
	n, lasts, rounds := awaySessions, 15*time.Second, min(3, o.rounds)
	if o.quick {
		n, lasts, rounds = 300, 3*time.Second, 1
	}
	ns, err := r.StartNATS(1)
	if err != nil {
		return err
	}
	defer ns.Close()
	list := append(o.contestants(), outsideRival(ns))
	var rows []awayRow
	for _, rv := range list {
		if !rv.offer.Resilient {
			continue
		}
		for _, away := range []bool{false, true} {
			row := awayRow{rival: rv.name}
			if away {
				row.rival += awaySuffix
			}
			for round := range rounds {
				fmt.Fprintf(os.Stderr, "bench: %s, round %d\n", row.rival, round+1)
				if err := row.measure(r, &rv, n, lasts, away); err != nil {
					return fmt.Errorf("away, %s: %w", row.rival, err)
				}
			}
			rows = append(rows, row)
		}
	}
	pg.addAway(rows, n)
	return nil
}

const awaySuffix = ", clients away"

func (row *awayRow) measure(r *rig.Rig, rv *rival, n int, lasts time.Duration, away bool) error {
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
	var readers *load.Loop
	if away {
		f.Cut()
	} else if readers, err = load.NewLoop(f); err != nil {
		return err
	}
	if err := rest(readers, rig.SettleFresh); err != nil { // what the opening left to do is over
		return err
	}
	teller, err := load.Dial(upstream, wire.Offer{}) // straight to the app
	if err != nil {
		return err
	}
	defer load.Clients{teller}.Cut()
	before, err := p.used()
	if err != nil {
		return err
	}
	said, began := 0, time.Now()
	for ; time.Since(began) < lasts; said++ {
		if err := teller.Say(ws.OpText, fmt.Appendf(nil, "fan %d", awaySize)); err != nil {
			return err
		}
		if err := rest(readers, awayEvery-time.Since(began)%awayEvery); err != nil {
			return err
		}
	}
	took := time.Since(began)
	after, err := p.used()
	if err != nil {
		return err
	}
	row.cpu = append(row.cpu, 100*after.since(before).total.Seconds()/took.Seconds())
	row.n = said * n
	if away {
		return bringBack(p, f, said)
	}
	return nil
}

// rest lets a time pass; the clients of a loop acknowledge meanwhile.
func rest(s *load.Loop, d time.Duration) error {
	if s == nil {
		time.Sleep(d)
		return nil
	}
	s.Take = func(*load.Client, []byte) error { return nil }
	return s.Rest(d)
}

// bringBack wants all that was said.
func bringBack(p *instance, f load.Clients, said int) error {
	return f.Each(resumeWidth, func(c *load.Client) error {
		if err := c.Resume(p.addr, wire.StatusResumed); err != nil {
			return p.Failure(err.Error())
		}
		for i := range said {
			if got, err := c.Next(); err != nil || len(got) != awaySize {
				return fmt.Errorf("message %d of %d that were missed: %d bytes, %w", i+1, said, len(got), err)
			}
		}
		return nil
	})
}

func (pg *page) addAway(rows []awayRow, n int) {
	t := table{{"proxy", "CPU, % of one core", "µs per message"}}
	for _, row := range rows {
		cpu := stats.Median(row.cpu)
		perSecond := float64(n) / awayEvery.Seconds()
		t = append(t, []string{row.rival, fmt.Sprintf("%.1f", cpu), fmt.Sprintf("%.1f", cpu/100*1e6/perSecond)})
		if row.rival == sidecarSession+awaySuffix {
			pg.goals = append(pg.goals, newGoal(fmt.Sprintf("%d sessions whose clients are away, %v between messages", n, awayEvery), cpu, awayLimit, " %"))
		}
	}
	pg.section("Clients that are away", fmt.Sprintf("%d sessions, each told %d B every %v. All that was said is there when the clients are back.", n, awaySize, awayEvery), t)
}

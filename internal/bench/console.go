package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/internal/bench/load"
	"github.com/wsresilience/wsresilience/internal/bench/rig"
	"github.com/wsresilience/wsresilience/internal/lab"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
	"github.com/wsresilience/wsresilience/internal/lab/stats"
	"github.com/wsresilience/wsresilience/wire"
)

const (
	// lookers ask for the list of sessions as often as they are answered, which is
	// more than as many pages do, that ask every two seconds.
	lookers = 8

	// consoleTalkers of the sessions say something every consolePace, and the others
	// rest.
	consoleTalkers = 64
	consolePace    = 20 * time.Millisecond

	// consoleRound is how long each half of a round takes, and quickRound where it is
	// only tried.
	consoleRound = 5 * time.Second
	quickRound   = 300 * time.Millisecond

	// consoleFiles is what a session takes of the sidecar's limit, which it inherits:
	// two sockets; and spareFiles what everything else does.
	consoleFiles = 2
	spareFiles   = 1000
)

// watched is what messages took, in µs, while nobody looked at the console and while
// some did, round by round.
type watched struct {
	alone, polled consoleRounds
	answers       []float64 // ms that a list took
}

type consoleRounds struct{ p50, p99 []float64 }

// measureConsole lets some of many sessions talk, in rounds without and with lookers,
// so that both feel the same moments of the machine.
func measureConsole(r *rig.Rig, o *options) (m watched, err error) {
	if err := lab.RaiseFileLimit(uint64(consoleFiles*o.watched + spareFiles)); err != nil {
		return m, err
	}
	echo, upstream, err := r.StartRole("echo")
	if err != nil {
		return m, err
	}
	defer echo.Kill()
	dir, err := r.Scratch("data")
	if err != nil {
		return m, err
	}
	s, err := r.StartSidecar(upstream, dir, rig.TokenKey(), "WSR_LOG_LEVEL=warn")
	if err != nil {
		return m, err
	}
	defer rig.Stop(s.Process)
	all, err := load.DialAll(s.Addr, o.watched, wire.Offer{Resilient: true})
	if err != nil {
		return m, s.Failure(err.Error())
	}
	defer all.Cut()
	talkers, others := all[:min(consoleTalkers, len(all))], all[min(consoleTalkers, len(all)):]
	for _, c := range others {
		go func() { _ = c.Rest() }() // until it is cut
	}
	for range o.rounds {
		for _, looks := range []bool{false, true} {
			if err := m.round(r.Ctx, s, talkers, o.half(), looks); err != nil {
				return m, s.Failure(err.Error())
			}
		}
	}
	return m, nil
}

// half is how long half a round takes.
func (o *options) half() time.Duration {
	if o.quick {
		return quickRound
	}
	return consoleRound
}

// round is one half of a round.
func (m *watched) round(ctx context.Context, s *lab.Sidecar, talkers load.Clients, half time.Duration, looks bool) error {
	ctx, cancel := context.WithTimeout(ctx, half)
	defer cancel()
	var watching sync.WaitGroup
	var mu sync.Mutex
	var answers, took []float64
	if looks {
		for range lookers {
			watching.Go(func() {
				for ctx.Err() == nil {
					began := time.Now()
					if look(ctx, s.Admin) == nil {
						mu.Lock()
						answers = append(answers, stats.Millis(time.Since(began)))
						mu.Unlock()
					}
				}
			})
		}
	}
	err := load.Each(len(talkers), func(i int) error {
		due := time.Now().Add(consolePace * time.Duration(i) / time.Duration(len(talkers)))
		var own []float64
		for ; proc.Sleep(ctx, time.Until(due)) == nil; due = due.Add(consolePace) {
			if err := talkers[i].RoundTrip(make([]byte, 64)); err != nil {
				return err
			}
			own = append(own, 1e3*stats.Millis(time.Since(due)))
		}
		mu.Lock()
		defer mu.Unlock()
		took = append(took, own...)
		return nil
	})
	watching.Wait()
	if err != nil {
		return err
	}
	to := &m.alone
	if looks {
		to = &m.polled
		m.answers = append(m.answers, answers...)
	}
	to.p50, to.p99 = append(to.p50, stats.Median(took)), append(to.p99, stats.Percentile(took, 99))
	return nil
}

// look asks for a list of sessions, as the page does.
func look(ctx context.Context, admin string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/sessions?sort=held", http.NoBody)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("bench: /sessions: %s", answer.Status)
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}

// reportConsole writes the table. Nothing in it is judged.
func reportConsole(rep *report, m *watched, o *options) {
	rep.section("Messages while the console is read",
		fmt.Sprintf("%d sessions, %d of which say 64 B every %v to an app that echoes; µs from when a message was due to its echo, medians of %d interleaved rounds of %v.",
			o.watched, min(consoleTalkers, o.watched), consolePace, o.rounds, o.half()),
		fmt.Sprintf("%d readers ask for the list of sessions as often as they are answered.", lookers))
	t := table{{"", "p50", "p99"}}
	for _, row := range []struct {
		name string
		of   consoleRounds
	}{{"nobody reads", m.alone}, {"some do", m.polled}} {
		t = append(t, []string{row.name, stats.Number(stats.Median(row.of.p50)), stats.Number(stats.Median(row.of.p99))})
	}
	ratio := func(a, b []float64) string {
		r := stats.Ratios(a, b)
		return fmt.Sprintf("%s (%s to %s)", stats.Number(stats.Median(r)), stats.Number(stats.Percentile(r, 0)), stats.Number(stats.Percentile(r, 100)))
	}
	t = append(t, []string{"ratio", ratio(m.polled.p50, m.alone.p50), ratio(m.polled.p99, m.alone.p99)})
	rep.table(t)
	if len(m.answers) > 0 {
		rep.note(fmt.Sprintf("%d lists were answered, the median in %s ms", len(m.answers), stats.Number(stats.Median(m.answers))))
	} else {
		fmt.Fprintln(os.Stderr, "bench: no list of sessions was answered")
	}
}

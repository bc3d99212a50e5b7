package main

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/bench/load"
	"github.com/wsresilience/wsresilience/internal/bench/rig"
	"github.com/wsresilience/wsresilience/internal/lab/stats"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

// allowedAdoption is the median of what an adoption may take beyond the
// look-up of the same session.
const allowedAdoption = 20.0 // ms

// adoptWidth is how many clients come at the same time in the second row of a
// journal: a crowd, for which two processors are the limit and not the
// journal.
const adoptWidth = 32

// An adoptRow is how sessions of a killed sidecar came back on another one.
type adoptRow struct {
	servers  int // nats-servers, and copies of the journal
	width    int // clients at the same time
	lookups  []float64
	adopted  []float64 // ms from the request to WELCOME, in the order of lookups
	duration time.Duration
}

func measureAdoption(r *rig.Rig, o *options) ([]adoptRow, error) {
	echo, upstream, err := r.StartRole("echo")
	if err != nil {
		return nil, err
	}
	defer echo.Kill()
	rows, err := adoptFrom(r, 1, upstream, o)
	if err != nil || o.cluster == 1 {
		return rows, err
	}
	more, err := adoptFrom(r, o.cluster, upstream, o)
	return append(rows, more...), err
}

// adoptFrom fills the journal, kills the sidecar that has the sessions, and
// has their clients come to the other one: first each after the one before.
func adoptFrom(r *rig.Rig, servers int, upstream string, o *options) ([]adoptRow, error) {
	p, err := r.StartPods(2, servers, upstream)
	if err != nil {
		return nil, err
	}
	defer p.Kill()
	if err := fillJournal(r.Ctx, p.Journal, o.logged); err != nil {
		return nil, err
	}
	f, err := load.Open(2*o.resumes, func() (*load.Client, error) { return speak(p.Sidecars[0].Addr) })
	if err != nil {
		return nil, p.Failure(err)
	}
	defer f.Cut()
	if err := awaitJournaled(p, r, f); err != nil {
		return nil, err
	}
	p.Sidecars[0].Kill()
	rows := []adoptRow{{servers: servers, width: 1}, {servers: servers, width: adoptWidth}}
	for i := range rows {
		if err := adopt(p, r, &rows[i], f[i*o.resumes:(i+1)*o.resumes]); err != nil {
			return nil, p.Failure(err)
		}
	}
	return rows, nil
}

// speak opens a session and leaves its echo unread, so that the journal gets
// it and an adoption has to bring it back.
func speak(addr string) (*load.Client, error) {
	p, err := load.Dial(addr, wire.Offer{Resilient: true, Adopt: true})
	if err != nil {
		return nil, err
	}
	p.Sent++
	return p, p.Write(ws.OpBinary, []byte("hello"))
}

// adopt brings clients back, row.width at a time.
func adopt(p *rig.Pods, r *rig.Rig, row *adoptRow, f load.Clients) error {
	row.lookups, row.adopted = make([]float64, len(f)), make([]float64, len(f))
	var next atomic.Int64
	began := time.Now()
	err := load.Each(min(row.width, len(f)), func(int) error {
		for {
			i := int(next.Add(1)) - 1
			if i >= len(f) {
				return nil
			}
			var err error
			if row.lookups[i], row.adopted[i], err = adoptOne(p, r, f[i], i%2 == 0); err != nil {
				return fmt.Errorf("bench: adoption %d: %w", i+1, err)
			}
		}
	})
	row.duration = time.Since(began)
	return err
}

// adoptOne times the look-up alone and the adoption, in ms. Which of them is
// first takes turns: what the second reads, the server has just read.
func adoptOne(p *rig.Pods, r *rig.Rig, c *load.Client, lookFirst bool) (lookup, adopted float64, err error) {
	look := func() error {
		began := time.Now()
		_, err := p.Journal.Load(r.Ctx, store.ID(c.Welcome.Session))
		lookup = stats.Millis(time.Since(began))
		return err
	}
	if lookFirst {
		if err := look(); err != nil {
			return 0, 0, err
		}
	}
	if err := c.Resume(p.Sidecars[1].Addr, wire.StatusAdopted); err != nil {
		return 0, 0, err
	}
	adopted = stats.Millis(c.Greeted)
	if w := c.Welcome; w.Reason != wire.AdoptOwnerLost {
		return 0, 0, fmt.Errorf("adopted because of %v, want %v", w.Reason, wire.AdoptOwnerLost)
	}
	if got, err := c.Next(); err != nil || string(got) != "hello" {
		return 0, 0, fmt.Errorf("replay of the unread message: %q, %w", got, err)
	}
	if lookFirst {
		return lookup, adopted, nil
	}
	return lookup, adopted, look()
}

// reportAdoption writes the table and judges.
func reportAdoption(rep *report, rows []adoptRow, o *options) {
	rep.section("Adoption after kill -9 of the owner",
		fmt.Sprintf("%d other sessions in the journal; %d sessions adopted per row, each with a message to be replayed.", o.logged, o.resumes),
		"Look-up: the session read from the journal by this program, just before or after. Adoption: from the request to WELCOME.",
		"Times in ms. Beyond: median of adoption less look-up, session by session.")
	t := table{{"journal, clients at a time", "look-up", "p99", "adoption", "p99", "slowest", "beyond", "allowed", "per second", ""}}
	for _, row := range rows {
		name := fmt.Sprintf("%d nats-server, %d", row.servers, row.width)
		if row.servers > 1 {
			name = fmt.Sprintf("%d nats-servers, %d", row.servers, row.width)
		}
		beyond := stats.Median(stats.Differences(row.adopted, row.lookups))
		line := []string{name,
			fmt.Sprintf("%.2f", stats.Median(row.lookups)), fmt.Sprintf("%.2f", stats.Percentile(row.lookups, 99)),
			fmt.Sprintf("%.2f", stats.Median(row.adopted)), fmt.Sprintf("%.2f", stats.Percentile(row.adopted, 99)),
			fmt.Sprintf("%.2f", stats.Percentile(row.adopted, 100)), fmt.Sprintf("%.2f", beyond), "",
			fmt.Sprintf("%.0f", float64(len(row.adopted))/row.duration.Seconds()), ""}
		if row.width == 1 {
			line[7] = fmt.Sprintf("%.0f", allowedAdoption)
			line[9] = rep.judge("adoption, "+name, beyond < allowedAdoption)
		}
		t = append(t, line)
	}
	rep.table(t)
}

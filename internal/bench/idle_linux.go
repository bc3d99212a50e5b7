package main

import (
	"fmt"
	"os"
	"time"

	"github.com/wsresilience/wsresilience/internal/bench/load"
	"github.com/wsresilience/wsresilience/internal/bench/measure"
	"github.com/wsresilience/wsresilience/internal/bench/rig"
	"github.com/wsresilience/wsresilience/internal/lab"
	"github.com/wsresilience/wsresilience/wire"
)

// slowBeat sets heartbeats to one interval, whatever the link.
var slowBeat = []string{"WSR_HEARTBEAT_MIN=15s", "WSR_HEARTBEAT_BASE=15s", "WSR_HEARTBEAT_MAX=15s"}

// beatInterval is the interval in slowBeat.
const beatInterval = 15 * time.Second

// An idleRow is a rival with nothing to do but its heartbeats.
type idleRow struct {
	rival    string
	resident float64 // bytes per session
	heap     float64 // of those, Go's; 0: unknown
	cpu      float64 // of one core
}

// compareIdle weighs one rival after the other, each with an app of its own,
// since the ports of one would not be enough.
func compareIdle(r *rig.Rig, pg *page, o *compareOptions) error {
	n, watch := idleSessions, beatInterval
	if o.quick {
		n = 1000
	}
	ns, err := r.StartNATS(1)
	if err != nil {
		return err
	}
	defer ns.Close()
	var rows []idleRow
	for _, rv := range append(o.contestants(), outsideRival(ns)) {
		fmt.Fprintln(os.Stderr, "bench: idle,", rv.name)
		row, err := idle(r, &rv, n, watch)
		if err != nil {
			return fmt.Errorf("idle, %s: %w", rv.name, err)
		}
		rows = append(rows, row)
	}
	pg.addIdle(rows, n, watch)
	return nil
}

// outsideRival is the sidecar with its journal in servers outside.
func outsideRival(ns *lab.NATS) rival {
	return rival{name: sidecarOutside, sidecar: true, offer: wire.Offer{Resilient: true},
		begin: func(r *rig.Rig, upstream string, env ...string) (*instance, error) {
			return beginDriver("auto", "")(r, upstream, append(env, ns.Settings()...)...)
		}}
}

func idle(r *rig.Rig, rv *rival, n int, watch time.Duration) (row idleRow, err error) {
	row.rival = rv.name
	p, _, err := rv.beforeApp(r, slowBeat...)
	if err != nil {
		return row, err
	}
	defer p.end()
	if err := r.Settle(rig.SettleFresh); err != nil {
		return row, err
	}
	fresh, heapFresh, err := p.weigh()
	if err != nil {
		return row, err
	}
	s, err := load.DialLoop(p.addr, n, rv.offer)
	if err != nil {
		return row, p.Failure(err.Error())
	}
	defer s.Cut()
	if err := s.Rest(rig.SettleIdle); err != nil { // what the opening left to do is over
		return row, err
	}
	before, err := p.used()
	if err != nil {
		return row, err
	}
	if err := s.Rest(watch); err != nil {
		return row, err
	}
	after, err := p.used()
	if err != nil {
		return row, err
	}
	full, heapFull, err := p.weigh()
	row.cpu = after.since(before).total.Seconds() / watch.Seconds()
	row.resident = float64(full-fresh) / float64(n)
	row.heap = (heapFull - heapFresh) / float64(n)
	return row, err
}

// weigh returns the resident memory and, of a sidecar, the heap in use.
func (p *instance) weigh() (bytes int64, heap float64, err error) {
	if bytes, err = p.weight(); err != nil || p.admin == "" {
		return bytes, 0, err
	}
	m, err := measure.Scrape(p.admin)
	return bytes, m["go_memstats_heap_inuse_bytes"], err
}

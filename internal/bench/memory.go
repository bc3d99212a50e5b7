package main

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/internal/bench/load"
	"github.com/wsresilience/wsresilience/internal/bench/measure"
	"github.com/wsresilience/wsresilience/internal/bench/rig"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
	"github.com/wsresilience/wsresilience/wire"
)

// A memoryRow is what a process grew by, in bytes.
type memoryRow struct {
	name        string
	fresh, full int64
}

func (m *memoryRow) perSession(n int) float64 { return float64(m.full-m.fresh) / float64(n) }

// A weighing is a fresh process and those who rest on it.
type weighing struct {
	memoryRow
	process *proc.Process
	join    func() (*load.Client, error)

	clients load.Clients
	resting sync.WaitGroup
	mu      sync.Mutex
	broke   error // why the first one could not rest
}

// measureMemory weighs each process before and after its sessions came to
// rest. All of them rest at the same time, but come one after the other.
func measureMemory(r *rig.Rig, o *options) ([]memoryRow, error) {
	echo, upstream, err := r.StartRole("echo")
	if err != nil {
		return nil, err
	}
	defer echo.Kill()
	list, stop, err := weighings(r, upstream)
	defer stop()
	if err != nil {
		return nil, err
	}
	if err := weighAll(r, list, func(w *weighing) *int64 { return &w.fresh }, rig.SettleFresh); err != nil {
		return nil, err
	}
	for _, w := range list {
		if err := w.fill(o.sessions); err != nil {
			return nil, w.process.Failure(fmt.Sprintf("%s: idle sessions: %v", w.name, err))
		}
	}
	err = weighAll(r, list, func(w *weighing) *int64 { return &w.full }, rig.SettleIdle)
	var rows []memoryRow
	for _, w := range list {
		err = errors.Join(err, w.clear())
		rows = append(rows, w.memoryRow)
	}
	return rows, err
}

// weighings starts a process for each row; stop ends them, whatever err is.
func weighings(r *rig.Rig, upstream string) (list []*weighing, stop func(), err error) {
	stop = func() {
		for _, w := range list {
			w.process.Kill()
		}
	}
	for _, s := range restingSubjects(r) {
		c, addr, err := s.begin(r, upstream)
		if err != nil {
			return list, stop, err
		}
		list = append(list, &weighing{memoryRow: memoryRow{name: s.name}, process: c,
			join: func() (*load.Client, error) { return load.DialWarm(addr, s.offer) }})
	}
	if r.Sidecar == "" {
		return list, stop, nil
	}
	p, err := r.StartPods(2, 1, upstream)
	if err != nil {
		return list, stop, err
	}
	list = append(list, &weighing{memoryRow: memoryRow{name: "sidecar, tunnels to another one"}, process: p.Sidecars[1].Process,
		join: func() (*load.Client, error) { return throughTunnel(p) }})
	others := stop
	return list, func() { p.Kill(); others() }, nil
}

// restingSubjects are those of the other tables, and clients whose handshake
// the sidecar keeps for an app that restarts: those that say that they
// restore what a fresh app socket must know.
func restingSubjects(r *rig.Rig) []subject {
	list := subjects(r)
	if r.Sidecar == "" {
		return list
	}
	adopt := wire.Offer{Resilient: true, Adopt: true}
	return append(list,
		subject{name: "sidecar, resilient with wsr.adopt", offer: adopt, begin: beginSidecar()},
		subject{name: "sidecar, likewise, WSR_UPSTREAM_RETRY=0s", offer: adopt, begin: beginSidecar("WSR_UPSTREAM_RETRY=0s")})
}

// weighAll lets everything rest, and then fills a field of each.
func weighAll(r *rig.Rig, list []*weighing, to func(*weighing) *int64, rest time.Duration) error {
	if err := r.Settle(rest); err != nil {
		return err
	}
	for _, w := range list {
		bytes, err := measure.Resident(w.process.Pid())
		if err == nil {
			err = w.disturbed()
		}
		if err != nil {
			return w.process.Failure(fmt.Sprintf("%s: %v", w.name, err))
		}
		*to(w) = bytes
	}
	return nil
}

// fill brings n sessions, which rest from the moment that all are there. Until
// then they acknowledge nothing, so that what the journal takes of a message
// is in the sum.
func (w *weighing) fill(n int) (err error) {
	if w.clients, err = load.Open(n, w.join); err != nil {
		return err
	}
	for _, p := range w.clients {
		w.resting.Go(func() { w.disturb(p.Rest()) })
	}
	return nil
}

func (w *weighing) disturb(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broke == nil {
		w.broke = err
	}
}

// disturbed tells why a session does not rest any more, or nil.
func (w *weighing) disturbed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.broke
}

// clear ends the rest. All sessions must still have been there.
func (w *weighing) clear() error {
	err := w.disturbed()
	w.clients.Cut()
	w.resting.Wait()
	return err
}

// reportMemory writes the table.
func reportMemory(rep *report, rows []memoryRow, o *options) {
	rep.section("Memory per idle session",
		fmt.Sprintf("%d sessions, one round trip each and then idle; growth of the process's resident memory.", o.sessions),
		"With wsr.adopt, a sidecar keeps the client's request for an app that restarts. A tunnel is weighed where it passes through.")
	t := table{{"forwarder", "KB per session", "fresh MB", "full MB"}}
	for _, m := range rows {
		t = append(t, []string{m.name, fmt.Sprintf("%.1f", m.perSession(o.sessions)/1e3), megabytes(m.fresh), megabytes(m.full)})
	}
	rep.table(t)
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f", float64(n)/1e6) }

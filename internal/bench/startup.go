package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/wsresilience/wsresilience/internal/bench/load"
	"github.com/wsresilience/wsresilience/internal/bench/measure"
	"github.com/wsresilience/wsresilience/internal/bench/rig"
	"github.com/wsresilience/wsresilience/internal/lab/stats"
	"github.com/wsresilience/wsresilience/wire"
)

// What a start may take and what an idle sidecar may weigh.
const (
	allowedStart    = 300 * time.Millisecond
	allowedEmbedded = 40_000_000
	allowedExternal = 25_000_000
)

const (
	// starts are the samples of each start-up time.
	starts = 5

	// usedSessions are left behind, with unacknowledged messages, in the
	// data folder that counts as used.
	usedSessions = 200
)

// A startup is what measureStartup found.
type startup struct {
	empty, used        []float64 // ms from exec to ready
	embedded, external int64     // bytes resident when idle
}

func measureStartup(r *rig.Rig, o *options) (m startup, err error) {
	echo, upstream, err := r.StartRole("echo")
	if err != nil {
		return m, err
	}
	defer echo.Kill()
	for range starts {
		dir, err := r.Scratch("data")
		if err != nil {
			return m, err
		}
		if err := timeStart(r, &m.empty, upstream, dir, rig.TokenKey()); err != nil {
			return m, err
		}
	}
	if err := timeUsed(r, &m, upstream, o); err != nil {
		return m, err
	}
	if m.embedded, err = weighFresh(r, upstream); err != nil {
		return m, err
	}
	m.external, err = weighExternal(r, upstream)
	return m, err
}

func timeStart(r *rig.Rig, to *[]float64, upstream, dir, key string) error {
	s, err := r.StartSidecar(upstream, dir, key)
	if err != nil {
		return err
	}
	rig.Stop(s.Process)
	*to = append(*to, float64(s.Took.Microseconds())/1e3)
	return nil
}

// timeUsed starts on a journal that holds detached sessions: their clients
// are cut off before they acknowledge anything.
func timeUsed(r *rig.Rig, m *startup, upstream string, o *options) error {
	dir, err := r.Scratch("data")
	if err != nil {
		return err
	}
	key := rig.TokenKey()
	s, err := r.StartSidecar(upstream, dir, key)
	if err != nil {
		return err
	}
	f, err := load.DialAll(s.Addr, min(usedSessions, o.sessions), wire.Offer{Resilient: true})
	if err == nil {
		f.Cut()
		err = r.Settle(rig.SettleFresh) // beyond WSR_PERSIST_AFTER
	}
	rig.Stop(s.Process)
	if err != nil {
		return s.Failure(fmt.Sprintf("sessions for a used journal: %v", err))
	}
	for range starts {
		if err := timeStart(r, &m.used, upstream, dir, key); err != nil {
			return err
		}
	}
	return nil
}

// weighFresh returns the resident memory of a sidecar without clients.
func weighFresh(r *rig.Rig, upstream string, more ...string) (int64, error) {
	dir, err := r.Scratch("data")
	if err != nil {
		return 0, err
	}
	s, err := r.StartSidecar(upstream, dir, rig.TokenKey(), more...)
	if err != nil {
		return 0, err
	}
	defer rig.Stop(s.Process)
	if err := r.Settle(rig.SettleFresh); err != nil {
		return 0, err
	}
	return measure.Resident(s.Pid())
}

// weighExternal does so with a NATS server outside, in this process.
func weighExternal(r *rig.Rig, upstream string) (int64, error) {
	ns, err := r.StartNATS(1)
	if err != nil {
		return 0, err
	}
	defer ns.Close()
	return weighFresh(r, upstream, ns.Settings()...)
}

// reportStartup writes the table and judges: times by their median, with the
// slowest beside it.
func reportStartup(rep *report, m *startup) {
	rep.section("Start-up and idle sidecar",
		fmt.Sprintf("From exec to /readyz 200, asked every %v: median of %d and the slowest. Memory: resident, no session, MB of 10^6 bytes.", rig.ReadyPoll, starts))
	t := table{{"what", "median", "slowest", "allowed", ""}}
	for _, s := range []struct {
		name   string
		millis []float64
	}{{"ready, journal empty", m.empty}, {"ready, journal used", m.used}} {
		mid := stats.Median(s.millis)
		t = append(t, []string{s.name, fmt.Sprintf("%.0f ms", mid), fmt.Sprintf("%.0f ms", slices.Max(s.millis)),
			fmt.Sprintf("%d ms", allowedStart.Milliseconds()), rep.judge(s.name, mid < float64(allowedStart.Milliseconds()))})
	}
	for _, s := range []struct {
		name           string
		bytes, allowed int64
	}{{"idle, NATS embedded", m.embedded, allowedEmbedded}, {"idle, NATS external", m.external, allowedExternal}} {
		t = append(t, []string{s.name, megabytes(s.bytes) + " MB", "", megabytes(s.allowed) + " MB", rep.judge(s.name, s.bytes < s.allowed)})
	}
	rep.table(t)
}

package main

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/wsresilience/wsresilience/internal/bench/load"
	"github.com/wsresilience/wsresilience/internal/bench/rig"
	"github.com/wsresilience/wsresilience/wire"
)

const (
	// persistDefault is that of WSR_PERSIST_AFTER. On a machine that stalls for
	// so long, acknowledgements are late, and that is what is counted then.
	persistDefault = 50 * time.Millisecond

	// persistLong is beyond any stall: nothing at all is to be written.
	persistLong = 2 * time.Second

	// durableClients are few enough for two processors to keep their
	// acknowledgements punctual.
	durableClients = 32

	// floodFlight is how many messages each has in flight in the flood.
	floodFlight = 16

	// talkTime of each kind of traffic, in a run that is not quick. It is far
	// below the first refresh of a session (some 2 min), which would be a
	// write.
	talkTime = 3 * time.Second

	// recordPause is beyond persistDefault and an append, and recordLimit is
	// when a record that is due counts as missing. With persistLong, what was
	// left unacknowledged would show in the next row.
	recordPause = 500 * time.Millisecond
	recordLimit = 10 * time.Second
)

// A phase is a part of the sessions' life and what it wrote.
type phase struct {
	name     string
	persist  time.Duration // WSR_PERSIST_AFTER
	messages int64         // data messages to the clients
	late     int64         // of these, acknowledged after persist, or nearly
	due      int64         // records that the phase has to cause
	frames   int64         // messages that the sidecar says it wrote
	appends  int64         // records likewise
	stored   int64         // messages that JetStream says it stored for the journal
	leases   int64         // and for the leases, at its own pace
}

// sound reports whether nothing was written but what is due: a record for each
// of those, and at most one for each message that was late.
func (p *phase) sound() bool {
	return p.frames <= p.late && p.appends <= p.due+p.late &&
		p.stored >= p.due && p.stored <= p.due+p.late
}

// measureDurability opens sessions, has them talk in two ways, and closes
// them, with an eye on what JetStream stores.
func measureDurability(r *rig.Rig) ([]phase, error) {
	echo, upstream, err := r.StartRole("echo")
	if err != nil {
		return nil, err
	}
	defer echo.Kill()
	rows, err := durable(r, upstream, persistDefault)
	if err != nil {
		return nil, err
	}
	more, err := durable(r, upstream, persistLong)
	return append(rows, more...), err
}

func durable(r *rig.Rig, upstream string, persist time.Duration) ([]phase, error) {
	p, err := r.StartPods(1, 1, upstream, "WSR_PERSIST_AFTER="+persist.String())
	if err != nil {
		return nil, err
	}
	defer p.Kill()
	l, err := openLedger(p)
	if err != nil {
		return nil, err
	}
	defer l.close()
	rows, err := l.follow(r, p.Sidecars[0].Addr, persist)
	if err != nil {
		return nil, p.Failure(err)
	}
	return rows, nil
}

// follow accounts for the whole life of some sessions at addr.
func (l *ledger) follow(r *rig.Rig, addr string, persist time.Duration) ([]phase, error) {
	var f load.Clients
	defer func() { f.Cut() }()
	rows := []phase{
		{name: "opened", due: durableClients}, {name: "echo, 1 in flight"},
		{name: fmt.Sprintf("flood, %d in flight", floodFlight)}, {name: "closed", due: durableClients},
	}
	for i, do := range []func(*phase) error{
		func(*phase) (err error) {
			f, err = load.Open(durableClients, func() (*load.Client, error) { return load.Dial(addr, wire.Offer{Resilient: true}) })
			return err
		},
		func(ph *phase) error { return ph.exchange(r, f, 1) },
		func(ph *phase) error { return ph.exchange(r, f, floodFlight) },
		func(*phase) error { return f.Close() },
	} {
		rows[i].persist = persist
		if err := l.account(r, &rows[i], do); err != nil {
			return nil, fmt.Errorf("bench: durability, %s: %w", rows[i].name, err)
		}
	}
	return rows, nil
}

// exchange keeps flight messages of each peer on their way, for a while.
func (p *phase) exchange(r *rig.Rig, f load.Clients, flight int) error {
	end := time.Now().Add(min(talkTime, r.Patience))
	payload := make([]byte, 64)
	return load.Each(len(f), func(i int) error {
		w := load.AckMeter{Client: f[i], Limit: p.persist}
		for first := true; first || time.Now().Before(end); first = false {
			if err := w.Burst(payload, flight); err != nil {
				return err
			}
		}
		if err := w.Confirm(); err != nil {
			return err
		}
		atomic.AddInt64(&p.messages, w.Messages)
		atomic.AddInt64(&p.late, w.Late)
		return nil
	})
}

// account notes what a phase writes.
func (l *ledger) account(r *rig.Rig, ph *phase, do func(*phase) error) error {
	before, err := l.read(r.Ctx)
	if err != nil {
		return err
	}
	if err := do(ph); err != nil {
		return err
	}
	for began := time.Now(); ; {
		if err := r.Settle(recordPause); err != nil {
			return err
		}
		now, err := l.read(r.Ctx)
		if err != nil {
			return err
		}
		ph.frames, ph.appends = now.frames-before.frames, now.appends-before.appends
		ph.stored, ph.leases = now.stored-before.stored, now.leases-before.leases
		if ph.stored >= ph.due || time.Since(began) > recordLimit {
			return nil
		}
	}
}

// reportDurability writes the table and judges.
func reportDurability(rep *report, rows []phase) {
	rep.section("Writes to the journal",
		fmt.Sprintf("%d sessions whose clients acknowledge within %v. Due: the claim of a new session, the end of an old one.",
			durableClients, load.AckDelay),
		"Late: acknowledged after WSR_PERSIST_AFTER, as far as the client can tell; only those may be written. Stored: by JetStream, in the journal's streams; leases apart.")
	t := table{{"sessions", "WSR_PERSIST_AFTER", "messages", "late", "due", "records", "messages in them", "stored", "leases", ""}}
	for _, p := range rows {
		line := []string{p.name, p.persist.String()}
		for _, n := range [...]int64{p.messages, p.late, p.due, p.appends, p.frames, p.stored, p.leases} {
			line = append(line, fmt.Sprint(n))
		}
		t = append(t, append(line, rep.judge(fmt.Sprintf("journal, %s, %v", p.name, p.persist), p.sound())))
	}
	rep.table(t)
}

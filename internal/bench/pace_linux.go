package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"

	"github.com/wsresilience/wsresilience/internal/bench/load"
	"github.com/wsresilience/wsresilience/internal/bench/rig"
	"github.com/wsresilience/wsresilience/internal/lab/stats"
	"github.com/wsresilience/wsresilience/wire"
)

// A pace sends messages at moments that are fixed before it begins. A message
// that is late, for whatever reason, counts from the moment at which it was
// due: what is slow cannot hide by slowing the load down.
type pace struct {
	loop  *load.Loop
	every time.Duration
	size  int // payload, at least 8: it carries the moment it was due
	n     int

	began   int64 // of the monotonic clock, in ns
	due     int
	back    int
	delays  []float64 // µs
	payload []byte
}

// clockID is the clock of the timer and of the stamps.
const clockID = unix.CLOCK_MONOTONIC

func monotonic() (int64, error) {
	var t unix.Timespec
	err := unix.ClockGettime(clockID, &t)
	return t.Nano(), err
}

// run sends all messages, in turns over the connections, and waits for all.
func (p *pace) run() error {
	p.payload = make([]byte, p.size)
	timer, err := unix.TimerfdCreate(clockID, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(timer) }()
	if err := p.loop.Poll.Add(timer, load.TimerKey); err != nil {
		return err
	}
	now, err := monotonic()
	if err != nil {
		return err
	}
	p.began = now + int64(time.Millisecond)
	every := unix.NsecToTimespec(p.every.Nanoseconds())
	setting := unix.ItimerSpec{Interval: every, Value: unix.NsecToTimespec(p.began)}
	if err := unix.TimerfdSettime(timer, unix.TFD_TIMER_ABSTIME, &setting, nil); err != nil {
		return err
	}
	p.loop.Take, p.loop.Tick = p.take, func() error { return p.send(timer) }
	defer func() { p.loop.Take, p.loop.Tick = nil, nil }()
	return p.loop.Until(func() bool { return p.back == p.n })
}

// send sends what is due by now.
func (p *pace) send(timer int) error {
	var ticks [8]byte
	if _, err := unix.Read(timer, ticks[:]); err != nil && !errors.Is(err, unix.EAGAIN) {
		return err
	}
	for k := binary.NativeEndian.Uint64(ticks[:]); k > 0 && p.due < p.n; k-- {
		binary.LittleEndian.PutUint64(p.payload, uint64(p.began+int64(p.due)*p.every.Nanoseconds()))
		to := p.loop.Clients[p.due%len(p.loop.Clients)]
		p.due++
		if err := to.Say(ws.OpBinary, p.payload); err != nil {
			return err
		}
	}
	return nil
}

func (p *pace) take(_ *load.Client, got []byte) error {
	now, err := monotonic()
	if err != nil {
		return err
	}
	if len(got) != p.size {
		return fmt.Errorf("bench: echo of %d bytes, sent %d", len(got), p.size)
	}
	p.back++
	p.delays = append(p.delays, float64(now-int64(binary.LittleEndian.Uint64(got)))/1e3)
	return nil
}

// A paceRow is a rival and its delays in µs at each of pacePermille, by round.
type paceRow struct {
	rival  string
	delays [len(pacePermille)][]float64
}

var pacePermille = [...]int{500, 990, 999}

// paceEvery is 2,000 messages a second: far below what any rival can do.
const paceEvery = 500 * time.Microsecond

// compareLatency interleaves the rivals and a direct connection.
func compareLatency(r *rig.Rig, pg *page, o *compareOptions) error {
	n := 10_000
	if o.quick {
		n = 2000
	}
	up, upstream, err := r.StartRole("bare-app")
	if err != nil {
		return err
	}
	defer up.Kill()
	list := o.contestants()
	rows := []paceRow{{rival: direct}}
	running := []*instance{nil}
	defer func() {
		for _, p := range running[1:] {
			p.end()
		}
	}()
	for _, rv := range list {
		p, err := rv.begin(r, upstream)
		if err != nil {
			return err
		}
		running, rows = append(running, p), append(rows, paceRow{rival: rv.name})
	}
	for round := range o.rounds + 1 {
		fmt.Fprintln(os.Stderr, "bench: latency, round", round)
		for i := range rows {
			addr, offer := upstream, wire.Offer{}
			if i > 0 {
				addr, offer = running[i].addr, list[i-1].offer
			}
			delays, err := runPace(r, addr, offer, n)
			if err != nil {
				return fmt.Errorf("latency, %s: %w", rows[i].rival, err)
			}
			for k, permille := range pacePermille {
				if round > 0 { // the first warms up
					rows[i].delays[k] = append(rows[i].delays[k], stats.Permille(delays, permille))
				}
			}
		}
	}
	pg.addPace(rows, n)
	return nil
}

func runPace(r *rig.Rig, addr string, offer wire.Offer, n int) ([]float64, error) {
	s, err := load.DialLoop(addr, 1, offer)
	if err != nil {
		return nil, err
	}
	p := pace{loop: s, every: paceEvery, size: 64, n: n}
	err = p.run()
	return p.delays, errors.Join(err, r.Ctx.Err(), s.Leave())
}

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/lab"
	"github.com/wsresilience/wsresilience/internal/lab/ledger"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
	"github.com/wsresilience/wsresilience/wire"
)

const (
	// raceEvery is how often the app speaks in a race.
	raceEvery = 20 * time.Millisecond

	// raceSettle is how long a race may take; it is less than the heartbeats
	// take to close a connection that does not answer them.
	raceSettle = 2500 * time.Millisecond

	// raceKeys is where the sessions of races begin.
	raceKeys = 1 << 20

	// before and early are what the client says before the race, and what
	// each connection says in it.
	before, early = 3, 3
)

// A raceSpec says how a race is held: so many connections with the same token.
type raceSpec struct {
	conns  int
	pinned bool // to one pod, which is not asked to be the owner
	dead   bool // the owner is killed first
}

func (h raceSpec) String() string {
	where := "on all pods"
	if h.pinned {
		where = "on one pod"
	}
	if h.dead {
		where = "on the two pods that are left"
	}
	return fmt.Sprintf("%d connections %s", h.conns, where)
}

// race has a living owner: every message must come once.
func race(ctx context.Context, s *testbed) error {
	for i, n := range []int{2, 10, 100, 2, 10, 100} {
		if err := s.runRace(ctx, raceKeys+uint32(i), raceSpec{conns: n, pinned: i < 3}); err != nil {
			return err
		}
	}
	return nil
}

// raceAdopt is for a session whose owner has just died.
func raceAdopt(ctx context.Context, s *testbed) error {
	for i, n := range []int{2, 10, 100} {
		if err := s.runRace(ctx, raceKeys+uint32(i), raceSpec{conns: n, dead: true}); err != nil {
			return err
		}
	}
	return nil
}

// runRace opens a session, has connections race for it, and judges.
func (s *testbed) runRace(ctx context.Context, key uint32, h raceSpec) error {
	pods := s.present()
	owner := pods[0]
	s.endpoints.Pin(owner.Addr)
	defer s.endpoints.Pin("")
	first, err := s.raw(ctx, key, wire.Offer{Resilient: true, Adopt: true})
	if err != nil {
		return err
	}
	defer first.Close()
	w, err := first.Welcome(ctx)
	if err != nil {
		return fmt.Errorf("chaos: %v: %w", h, err)
	}
	if err := errors.Join(first.Send(1, before), proc.Sleep(ctx, 10*raceEvery)); err != nil {
		return err
	}
	had, _, _ := first.Heard()
	if h.dead {
		s.kill(owner)
		defer func() { _ = owner.StartSidecar(ctx) }()
	}
	if s.endpoints.Pin(""); h.pinned {
		s.endpoints.Pin(pods[1].Addr)
	}
	if h.dead {
		s.endpoints.Set(owner.Addr, false)
	}
	conns, err := s.dialTogether(ctx, key, h.conns, wire.Offer{Resilient: true, Adopt: true, Resume: &wire.Resume{
		Token: w.Token, Received: uint32(len(had)), Next: before + 1,
	}})
	if err != nil {
		return err
	}
	defer func() {
		for _, r := range conns {
			r.Close()
		}
	}()
	for _, r := range conns {
		if w, err := r.Welcome(ctx); err == nil && w.Status == wire.StatusAdopted {
			_ = r.Control(wire.AppendRestored(nil)) // another one may have superseded it
		}
	}
	if err := proc.Sleep(ctx, raceSettle); err != nil {
		return err
	}
	return s.judgeRace(ctx, key, h, had, conns)
}

// raw opens a connection by the balancer.
func (s *testbed) raw(ctx context.Context, key uint32, offer wire.Offer) (*lab.Raw, error) {
	tcp, err := net.Dial("tcp", s.balancer.Addr(int(key)))
	if err != nil {
		return nil, err
	}
	return lab.DialRaw(ctx, tcp, key, raceEvery, offer), nil
}

// dialTogether lets all connections offer the same at the same instant, and each send
// the same early messages.
func (s *testbed) dialTogether(ctx context.Context, key uint32, n int, offer wire.Offer) ([]*lab.Raw, error) {
	start := make(chan struct{})
	conns := make([]*lab.Raw, n)
	var wg sync.WaitGroup
	for i := range n {
		tcp, err := net.Dial("tcp", s.balancer.Addr(i))
		if err != nil {
			close(start)
			return nil, err
		}
		wg.Go(func() {
			<-start
			conns[i] = lab.DialRaw(ctx, tcp, key, raceEvery, offer)
			if conns[i].Connected() {
				_ = conns[i].Send(before+1, before+early) // it may have lost already
			}
		})
	}
	close(start)
	wg.Wait()
	return conns, nil
}

// judgeRace lets the winner go on, ends the session, and counts.
func (s *testbed) judgeRace(ctx context.Context, key uint32, h raceSpec, had []ledger.Tag, conns []*lab.Raw) error {
	verdicts := map[string]int{}
	var winner *lab.Raw
	alive := 0
	for _, r := range conns {
		tags, lives, verdict := r.Heard()
		verdicts[verdict]++
		if lives {
			alive++
			winner = r
		}
		if why := continues(had, tags); why != "" {
			s.fault("%v: a connection got %s", h, why)
		}
	}
	var list []string
	for _, v := range slices.Sorted(maps.Keys(verdicts)) {
		list = append(list, fmt.Sprintf("%d %s", verdicts[v], v))
	}
	s.note("%v: %s", h, strings.Join(list, ", "))
	if alive != 1 {
		s.fault("%v: %d connections are left, want 1", h, alive)
		return nil
	}
	last := uint32(before + early + 1)
	err := errors.Join(winner.Send(last, last), proc.Sleep(ctx, 5*raceEvery), winner.Control(wire.AppendClose(nil, ws.StatusNormalClosure, "")), proc.Sleep(ctx, time.Second))
	if err != nil {
		s.fault("%v: the winner cannot go on: %v", h, err)
	}
	tags, _, _ := winner.Heard()
	if len(tags) == 0 {
		s.fault("%v: the winner got nothing", h)
	}
	b, err := s.book(key, last)
	if err != nil {
		return err
	}
	sockets := b.Known()
	if sockets == 0 {
		return fmt.Errorf("chaos: %v: no app has seen the session", h)
	}
	_, in := b.Counts(ledger.Rules{Final: true})
	s.extra.Add(in)
	if sockets > 1 && !h.dead {
		s.fault("%v: %d app sockets, want 1", h, sockets)
	}
	if h.dead {
		s.note("%v: %d app sockets", h, sockets)
	}
	return nil
}

// book is the account of the apps of one session, whose client sent so many
// messages.
func (s *testbed) book(key, sent uint32) (*ledger.Book, error) {
	records, err := s.appRecords()
	b := new(ledger.Book)
	b.Accept(sent)
	for _, r := range records {
		if r.Key == key {
			b.Take(r)
		}
	}
	return b, err
}

// continues says what is wrong with the messages of a connection that resumed
// behind had, or "".
func continues(had, tags []ledger.Tag) string {
	var b ledger.Book
	for _, t := range slices.Concat(had, tags) {
		b.Heard(t)
	}
	out, _ := b.Counts(ledger.Rules{})
	switch {
	case out.Lost > 0:
		return fmt.Sprintf("%d messages too few", out.Lost)
	case out.Doubled+out.Reordered > 0:
		return fmt.Sprintf("%d messages twice or out of order", out.Doubled+out.Reordered)
	}
	return ""
}

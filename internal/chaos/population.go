package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wsresilience/wsresilience/client"
)

// crowd is how many sessions are opened or closed at once.
const crowd = 32

// A size is how many sessions a scenario has, and how much they say.
type size struct {
	sessions int
	rate     float64
	fast     int
	fastRate float64
}

// A population is all sessions of a stage.
type population struct {
	all    []*person
	say    func(string, ...any)
	ended  atomic.Int32 // sessions, before their time
	came   atomic.Int64 // when the last message came to anybody, Unix ns
	window atomic.Int32 // counts the faults, see person.turn
}

func interval(rate float64) time.Duration { return time.Duration(float64(time.Second) / rate) }

// openAttempts is how often a first connection is tried: nobody promises it,
// and what is looked at comes later.
const openAttempts = 5

// populate opens all sessions, and then lets them talk.
func (s *stage) populate(ctx context.Context, sz size) (*population, error) {
	pop := &population{say: s.say}
	for i := range sz.sessions {
		p := &person{people: pop, key: uint32(i), every: interval(sz.rate), fast: i < sz.fast}
		if p.fast {
			p.every = interval(sz.fastRate)
		}
		pop.all = append(pop.all, p)
	}
	errs := make([]error, len(pop.all))
	pop.each(func(i int, p *person) {
		for range openAttempts {
			if errs[i] = p.open(ctx, s.balancer); errs[i] == nil || wait(ctx, time.Second) != nil {
				return
			}
		}
	})
	for i, err := range errs {
		if err != nil {
			return pop, fmt.Errorf("chaos: session %d: %w", i, err)
		}
	}
	for _, p := range pop.all {
		p.tasks.Go(func() { p.write(interval(sz.rate)) })
	}
	return pop, nil
}

// each calls f for all, a crowd at a time.
func (pop *population) each(f func(int, *person)) {
	var wg sync.WaitGroup
	gate := make(chan struct{}, crowd)
	for i, p := range pop.all {
		gate <- struct{}{}
		wg.Go(func() {
			f(i, p)
			<-gate
		})
	}
	wg.Wait()
}

// fewFirst is how many sessions that end are told of when they do.
const fewFirst = 5

func (pop *population) over(key uint32, err error) {
	if pop.ended.Add(1) <= fewFirst {
		pop.say("session %d is over: %v", key, err)
	}
}

// fault begins the account of a new fault.
func (pop *population) fault() { pop.window.Add(1) }

// connected counts the sessions that have a connection, and those that are
// over.
func (pop *population) connected() (up, over int) {
	for _, p := range pop.all {
		switch p.conn.State() {
		case client.StateConnected:
			up++
		case client.StateClosed:
			over++
		}
	}
	return up, over
}

// settleLimit bounds the wait for the last session to resume. The client
// backs off for at most half a minute.
const settleLimit = 90 * time.Second

// settled waits until every living session has a connection.
func (pop *population) settled(ctx context.Context, s *stage) error {
	err := s.until(ctx, settleLimit, "all sessions have resumed", func() bool {
		up, over := pop.connected()
		return up+over == len(pop.all)
	})
	if err != nil {
		up, over := pop.connected()
		return fmt.Errorf("%w: %d are connected and %d over, of %d", err, up, over, len(pop.all))
	}
	return nil
}

// lastWords bounds how long the last message of a session may take.
const lastWords = 30 * time.Second

// stop ends the writing with a message that the app must have got.
func (pop *population) stop(ctx context.Context) {
	for _, p := range pop.all {
		close(p.stop)
	}
	pop.each(func(_ int, p *person) {
		ctx, cancel := context.WithTimeout(ctx, lastWords)
		defer cancel()
		if err := p.say(ctx, p.conn.WriteAcked); err != nil && p.conn.State() != client.StateClosed {
			fmt.Fprintf(os.Stderr, "chaos: session %d: the last message: %v\n", p.key, err)
		}
	})
}

// silent tells that nothing came to anybody for a while.
func (pop *population) silent() bool {
	return time.Since(time.Unix(0, pop.came.Load())) > quiet
}

// close ends all sessions in good order.
func (pop *population) close() {
	pop.each(func(_ int, p *person) { _ = p.conn.Close(1000, "") })
}

// abandon ends what is left and waits until nobody runs.
func (pop *population) abandon() {
	pop.each(func(_ int, p *person) {
		if p.conn == nil {
			return
		}
		select {
		case <-p.stop:
		default:
			close(p.stop)
		}
		_ = p.conn.CloseNow()
		p.tasks.Wait()
	})
}

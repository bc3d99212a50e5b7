package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/client"
)

// A person is one session and what becomes of it.
type person struct {
	people *population
	key    uint32
	every  time.Duration // between the app's messages
	fast   bool
	conn   *client.Conn
	tasks  sync.WaitGroup
	stop   chan struct{} // ends the writing

	mu      sync.Mutex
	out     outbound
	bad     int       // messages that are none
	last    time.Time // the last message came
	gap     time.Duration
	gaps    []time.Duration // the longest of each fault that this session felt
	window  int             // the fault that gap belongs to
	felt    bool
	sent    uint32 // messages that Write took
	broken  time.Time
	resumes []time.Duration // from the loss of a connection to WELCOME
	moves   int             // resumes without a loss
	resumed int
	adopted map[string]int
	ended   error // before its time
}

// open dials and starts what a person does.
func (p *person) open(ctx context.Context, b *balancer) error {
	var d net.Dialer
	addr := b.addr(int(p.key))
	url := fmt.Sprintf("ws://%s/?k=%d&every=%d", addr, p.key, p.every.Microseconds())
	conn, _, err := client.Dial(ctx, url, &client.Options{Adopt: true, NetDial: d.DialContext})
	if err != nil {
		return err
	}
	if !conn.Resilient() {
		_ = conn.CloseNow()
		return errors.New("chaos: no sidecar answers")
	}
	p.conn, p.stop, p.adopted = conn, make(chan struct{}), map[string]int{}
	p.tasks.Go(p.read)
	p.tasks.Go(p.watch)
	return nil
}

func (p *person) read() {
	for {
		_, b, err := p.conn.Read(context.Background())
		now := time.Now()
		p.mu.Lock()
		if err != nil {
			p.over(err)
			p.mu.Unlock()
			return
		}
		p.arrive(now, b)
		p.mu.Unlock()
	}
}

// arrive takes a message. The caller holds mu.
func (p *person) arrive(now time.Time, b []byte) {
	if t, ok := parseTag(b); ok {
		p.out.take(t)
	} else {
		p.bad++
	}
	p.turn()
	if !p.last.IsZero() {
		p.gap = max(p.gap, now.Sub(p.last))
	}
	p.last = now
	p.people.came.Store(now.UnixNano())
}

// turn closes the account of a fault when the next one has begun. The caller
// holds mu.
func (p *person) turn() {
	if window := int(p.people.window.Load()); window != p.window {
		if p.felt && p.fast {
			p.gaps = append(p.gaps, p.gap)
		}
		p.window, p.gap, p.felt = window, 0, false
	}
}

// over notes how the session ended. The caller holds mu.
func (p *person) over(err error) {
	if !errors.Is(err, net.ErrClosed) {
		p.ended = err
		p.people.over(p.key, err)
	}
}

// watch follows the events.
func (p *person) watch() {
	for e := range p.conn.Events() {
		now := time.Now()
		p.mu.Lock()
		p.event(now, e)
		p.mu.Unlock()
	}
}

func (p *person) event(now time.Time, e client.Event) {
	switch e.Kind {
	case client.EventState:
		if e.State == client.StateReconnecting {
			p.broken = now
		}
	case client.EventResumed:
		p.resumed++
		p.back(now)
	case client.EventAdopted:
		p.adopted[e.Reason]++
		p.back(now)
	}
}

func (p *person) back(now time.Time) {
	p.turn()
	p.felt = true
	if p.broken.IsZero() {
		p.moves++
		return
	}
	p.resumes = append(p.resumes, now.Sub(p.broken))
	p.broken = time.Time{}
}

// write sends numbered messages until it is stopped.
func (p *person) write(every time.Duration) {
	wait := time.NewTimer(rand.N(every))
	defer wait.Stop()
	for {
		select {
		case <-wait.C:
		case <-p.stop:
			return
		}
		wait.Reset(every)
		if p.say(context.Background(), p.conn.Write) != nil {
			return
		}
	}
}

// say sends the next message. Only one goroutine at a time may.
func (p *person) say(ctx context.Context, write func(context.Context, client.MessageType, []byte) error) error {
	p.mu.Lock()
	t := tag{p.key, p.sent + 1}
	p.mu.Unlock()
	if err := write(ctx, client.MessageText, t.append(nil)); err != nil {
		return err
	}
	p.mu.Lock()
	p.sent++
	p.mu.Unlock()
	return nil
}

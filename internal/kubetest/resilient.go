package main

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/client"
)

// A resilient member speaks wsr.v1. It has one session for all its life; when
// that ends, it has failed.
type resilient struct {
	c *crowd

	mu             sync.Mutex
	sent, received int // numbers of the newest message and of the newest echo
	since, heard   int // where they stood at restart
	lost, doubled  int
	last           time.Time
	gap            time.Duration
	failed         bool
}

func newResilient(c *crowd) *resilient { return &resilient{c: c} }

func (r *resilient) restart() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.since, r.heard, r.lost, r.doubled, r.gap, r.last = r.sent, r.received, 0, 0, 0, time.Time{}
}

func (r *resilient) add(t *tally) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &t.Resilient
	s.Clients++
	s.Sent += r.sent - r.since
	s.Received += r.received - r.heard - r.lost
	s.Lost += r.lost
	s.Doubled += r.doubled
	s.LongestGap = append(s.LongestGap, float64(r.gap)/float64(time.Millisecond))
}

func (r *resilient) settled() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed || r.sent == r.received
}

// live dials until it has a session, and lives with that.
func (r *resilient) live(ctx context.Context) {
	for ctx.Err() == nil {
		conn, _, err := client.Dial(ctx, r.c.url, &client.Options{Adopt: true})
		if err == nil && !conn.Resilient() {
			err = errBare
			_ = conn.CloseNow() // it is of no use
		}
		if err != nil {
			time.Sleep(pace)
			continue
		}
		go r.listen(conn)
		go r.talk(ctx, conn)
		r.fail(r.read(ctx, conn))
		return
	}
}

func (r *resilient) listen(conn *client.Conn) {
	for e := range conn.Events() {
		if e.Kind != client.EventState {
			r.c.note(func() { r.c.other.Events[eventName(e)]++ })
		}
	}
}

func eventName(e client.Event) string {
	if e.Reason == "" {
		return e.Kind.String()
	}
	return e.Kind.String() + " " + e.Reason
}

func (r *resilient) talk(ctx context.Context, conn *client.Conn) {
	for ticker := time.NewTicker(pace); ctx.Err() == nil; <-ticker.C {
		if !r.c.talking() {
			continue
		}
		r.mu.Lock()
		r.sent++
		text := strconv.Itoa(r.sent)
		r.mu.Unlock()
		if err := conn.Write(ctx, client.MessageText, []byte(text)); err != nil {
			return // read says it too
		}
	}
}

func (r *resilient) read(ctx context.Context, conn *client.Conn) error {
	for {
		_, p, err := conn.Read(ctx)
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(string(p))
		if err != nil {
			return err
		}
		r.hear(n, time.Now())
	}
}

// hear counts the echo of message n.
func (r *resilient) hear(n int, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n <= r.received {
		r.doubled++
		return
	}
	r.lost += n - r.received - 1
	r.received = n
	if !r.last.IsZero() {
		r.gap = max(r.gap, now.Sub(r.last))
	}
	r.last = now
}

func (r *resilient) fail(err error) {
	r.mu.Lock()
	r.failed = true
	r.mu.Unlock()
	r.c.note(func() { r.c.other.Failed = append(r.c.other.Failed, err.Error()) })
}

package main

import (
	"context"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/internal/lab"
	"github.com/wsresilience/wsresilience/internal/lab/ledger"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

// A resilientClient speaks wsr.v1. It has one session for all its life; when
// that ends, it has failed.
type resilientClient struct {
	c *clients

	mu     sync.Mutex
	round  uint32 // of all clients: the stream of the messages that count
	book   *ledger.Book
	last   time.Time
	gap    time.Duration
	failed bool
}

func newResilient(c *clients) *resilientClient { return &resilientClient{c: c, book: new(ledger.Book)} }

func (r *resilientClient) restart() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.round++
	r.book, r.gap, r.last = new(ledger.Book), 0, time.Time{}
}

func (r *resilientClient) add(t *tally) {
	r.mu.Lock()
	defer r.mu.Unlock()
	echoes, _ := r.book.Counts(ledger.Rules{})
	s := &t.Resilient
	s.Clients++
	s.Sent += int(r.book.Sent())
	s.Received += echoes.Got
	s.Lost += echoes.Lost
	s.Doubled += echoes.Doubled
	s.Reordered += echoes.Reordered
	s.Foreign += r.book.Foreign
	s.LongestGap = append(s.LongestGap, float64(r.gap)/float64(time.Millisecond))
}

func (r *resilientClient) settled() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	echoes, _ := r.book.Counts(ledger.Rules{})
	return r.failed || echoes.Sent == int(r.book.Sent()) // the newest is there
}

// live dials until it has a session, and lives with that.
func (r *resilientClient) live(ctx context.Context) {
	for ctx.Err() == nil {
		conn, err := lab.Dial(ctx, r.c.url, &client.Options{Adopt: true}, lab.On{Message: r.hear, Event: r.event, Over: r.fail})
		if err != nil {
			_ = proc.Sleep(ctx, pace)
			continue
		}
		conn.SendEvery(pace, func() error { return r.say(ctx, conn) })
		conn.Wait()
		return
	}
}

func (r *resilientClient) event(_ time.Time, e client.Event) {
	if e.Kind != client.EventState {
		r.c.note(func() { r.c.other.Events[eventName(e)]++ })
	}
}

func eventName(e client.Event) string {
	if e.Reason == "" {
		return e.Kind.String()
	}
	return e.Kind.String() + " " + e.Reason
}

// say sends the next message while the clients talk.
func (r *resilientClient) say(ctx context.Context, conn *lab.Client) error {
	if !r.c.talking() {
		return nil
	}
	r.mu.Lock()
	book := r.book
	t := ledger.Tag{Stream: r.round, N: book.Next()}
	book.Accept(t.N) // the client keeps it from now on
	r.mu.Unlock()
	return conn.Write(ctx, client.MessageText, t.Append(nil))
}

// hear counts an echo.
func (r *resilientClient) hear(now time.Time, p []byte) {
	t, ok := ledger.ParseTag(p)
	r.mu.Lock()
	defer r.mu.Unlock()
	if !ok || t.Stream != r.round {
		r.book.Foreign++
		return
	}
	r.book.Heard(t)
	if !r.last.IsZero() {
		r.gap = max(r.gap, now.Sub(r.last))
	}
	r.last = now
}

func (r *resilientClient) fail(err error) {
	r.mu.Lock()
	r.failed = true
	r.mu.Unlock()
	r.c.note(func() { r.c.other.Failed = append(r.c.other.Failed, err.Error()) })
}

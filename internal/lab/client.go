package lab

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

// ErrNoSidecar is what Dial returns if the app itself answers.
var ErrNoSidecar = errors.New("lab: no sidecar answers")

// On is told what happens to a client, by one goroutine for messages and one
// for events. Any of them may be nil.
type On struct {
	Message func(now time.Time, p []byte)
	Event   func(now time.Time, e client.Event)
	Over    func(err error) // the session has ended; net.ErrClosed if by this side
}

// A Client is one simulated client with a session. What it sends and hears is
// counted by those that On names.
type Client struct {
	*client.Conn
	on    On
	tasks sync.WaitGroup
	once  sync.Once
	quiet chan struct{} // ends SendEvery
}

// Dial opens a session and follows it until it ends.
func Dial(ctx context.Context, url string, o *client.Options, on On) (*Client, error) {
	conn, _, err := client.Dial(ctx, url, o) //nolint:bodyclose // need not be closed, it says
	if err != nil {
		return nil, err
	}
	if !conn.Resilient() {
		_ = conn.CloseNow()
		return nil, ErrNoSidecar
	}
	c := &Client{Conn: conn, on: on, quiet: make(chan struct{})}
	c.tasks.Go(c.read)
	c.tasks.Go(c.watch)
	return c, nil
}

func (c *Client) read() {
	for {
		_, p, err := c.Read(context.Background())
		switch {
		case err != nil:
			if c.on.Over != nil {
				c.on.Over(err)
			}
			return
		case c.on.Message != nil:
			c.on.Message(time.Now(), p)
		}
	}
}

func (c *Client) watch() {
	for e := range c.Events() {
		if c.on.Event != nil {
			c.on.Event(time.Now(), e)
		}
	}
}

// SendEvery calls send at a steady rate, from a random moment on so that clients are
// not in step, until it fails or StopSending is called.
func (c *Client) SendEvery(every time.Duration, send func() error) {
	c.tasks.Go(func() {
		next := time.NewTimer(rand.N(every))
		defer next.Stop()
		for {
			select {
			case <-next.C:
			case <-c.quiet:
				return
			}
			next.Reset(every)
			if send() != nil {
				return
			}
		}
	})
}

// StopSending ends what SendEvery does.
func (c *Client) StopSending() { c.once.Do(func() { close(c.quiet) }) }

// Abandon ends the connection without a close frame, and returns when nothing of the
// client runs.
func (c *Client) Abandon() {
	c.StopSending()
	_ = c.CloseNow()
	c.tasks.Wait()
}

// Wait returns when nothing of the client runs.
func (c *Client) Wait() { c.tasks.Wait() }

// Each calls f with 0 to n-1, so many at a time, and returns when all have.
func Each(n, atOnce int, f func(i int)) {
	var wg sync.WaitGroup
	gate := make(chan struct{}, atOnce)
	for i := range n {
		gate <- struct{}{}
		wg.Go(func() {
			f(i)
			<-gate
		})
	}
	wg.Wait()
}

// Pace calls beat at a rate per second until ctx ends. A beat that takes longer
// holds up the next ones, as it would in any program.
func Pace(ctx context.Context, rate int, beat func()) {
	ticker := time.NewTicker(time.Second / time.Duration(rate))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			beat()
		}
	}
}

// Await returns when reached is true, or ctx ends.
func Await(ctx context.Context, pace time.Duration, reached func() bool) {
	for ctx.Err() == nil && !reached() {
		_ = proc.Sleep(ctx, pace)
	}
}

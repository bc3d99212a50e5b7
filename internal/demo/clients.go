package demo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/internal/backoff"
	"github.com/wsresilience/wsresilience/internal/lab"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

// dialTimeout is how long both clients give a handshake. It is longer than any
// silence of the demo's network, and short enough for one who watches when a
// connection is cut while it is being made.
const dialTimeout = 2 * time.Second

// How the plain client behaves, which is as well as such clients do.
const (
	// plainPatience is how long it stands a connection without a message
	// before it dials again: what is half open would never end by itself.
	plainPatience = 2 * time.Second

	// plainQueue is how many messages it keeps while it knows that it is not
	// connected: more than gather before it is.
	plainQueue = 16 << 10

	plainBackoffBase = 250 * time.Millisecond
	plainBackoffMax  = 5 * time.Second
)

// resumeBackoffMax is the longest wait between two attempts to resume: nobody
// wants to watch one of half a minute.
const resumeBackoffMax = 2 * time.Second

// plainClient is an ordinary WebSocket client that connects again after a
// break, with backoff, and sends then what it could not send before. It
// cannot know which of the messages that it did send have arrived.
type plainClient struct {
	url   string
	tally *tally
	queue chan []byte
	http  *http.Client
}

func newPlainClient(url string, t *tally) *plainClient {
	return &plainClient{
		url: url, tally: t, queue: make(chan []byte, plainQueue),
		http: &http.Client{Transport: &http.Transport{}}, // of its own, and without the environment's proxies
	}
}

// run lasts until ctx ends, and sends no new messages once producer does.
func (p *plainClient) run(ctx, producer context.Context) {
	defer p.http.CloseIdleConnections()
	var sender sync.WaitGroup
	defer sender.Wait()
	sender.Go(func() { p.tally.produce(producer, plain, p.enqueue) })
	wait := backoff.New(backoff.Policy{Base: plainBackoffBase, Max: plainBackoffMax}, rand.Float64)
	for ctx.Err() == nil {
		if c, err := p.dial(ctx); err == nil {
			wait.Reset()
			p.tally.connected(plain)
			p.live(ctx, c)
			p.tally.disconnected(plain)
		}
		pause, _ := wait.Next()
		_ = proc.Sleep(ctx, pause)
	}
}

// enqueue takes a message, or drops it when far too many wait.
func (p *plainClient) enqueue(msg []byte) {
	select {
	case p.queue <- msg:
	default:
	}
}

func (p *plainClient) dial(ctx context.Context) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	c, _, err := websocket.Dial(ctx, p.url, &websocket.DialOptions{HTTPClient: p.http}) //nolint:bodyclose // need not be closed, it says
	return c, err
}

// live is one connection up to its end.
func (p *plainClient) live(ctx context.Context, c *websocket.Conn) {
	defer func() { _ = c.CloseNow() }()
	var writer sync.WaitGroup
	defer writer.Wait()
	writing, stop := context.WithCancel(ctx)
	defer stop()
	writer.Go(func() { p.write(writing, c) })
	for {
		reading, cancel := context.WithTimeout(ctx, plainPatience)
		_, msg, err := c.Read(reading)
		cancel()
		if err != nil {
			return
		}
		p.tally.hear(plain, msg)
	}
}

func (p *plainClient) write(ctx context.Context, c *websocket.Conn) {
	for {
		select {
		case <-ctx.Done():
			return
		case msg := <-p.queue:
			if c.Write(ctx, websocket.MessageText, msg) != nil {
				return
			}
		}
	}
}

// resilientClient is the same with package client, which needs no queue, no
// backoff and no watch over the connection around it.
type resilientClient struct {
	*lab.Client
	tally *tally
	ended chan error // once: why the session ended, nil if this side closed it
}

func newResilientClient(ctx context.Context, url string, t *tally) (*resilientClient, error) {
	r := &resilientClient{tally: t, ended: make(chan error, 1)}
	var err error
	r.Client, err = lab.Dial(ctx, url, &client.Options{
		HandshakeTimeout: dialTimeout,
		Adopt:            true, // event handles EventAdopted, and there is nothing to restore
		Backoff:          client.Backoff{Max: resumeBackoffMax},
	}, lab.On{
		Message: func(_ time.Time, msg []byte) { t.hear(resilient, msg) },
		Event:   r.event,
		Over:    r.over,
	})
	if err == nil {
		t.connected(resilient)
	}
	return r, err
}

// produce sends messages until ctx ends.
func (r *resilientClient) produce(ctx context.Context) {
	r.tally.produce(ctx, resilient, func(msg []byte) {
		// Not bound to ctx: a number that was given out must be sent. Write
		// fails when the session is over, which r.over is told.
		_ = r.Write(context.Background(), client.MessageText, msg)
	})
}

func (r *resilientClient) over(err error) {
	if errors.Is(err, net.ErrClosed) {
		r.ended <- nil
		return
	}
	r.ended <- fmt.Errorf("the resilient client's session ended: %w", err)
}

// event follows what becomes of the connection, until the session is over.
func (r *resilientClient) event(_ time.Time, e client.Event) {
	switch {
	case e.Kind == client.EventState && e.State == client.StateReconnecting:
		r.tally.disconnected(resilient)
	case e.Kind == client.EventResumed:
		r.tally.connected(resilient)
	case e.Kind == client.EventAdopted:
		r.tally.adopted(e.Reason)
	case e.Kind == client.EventGoAway:
		r.tally.say("resilient: asked to move")
	case e.Kind == client.EventReset:
		r.tally.say("resilient: the session is lost: %s", e.Reason)
	}
}

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
		sleep(ctx, pause)
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
	tally *tally
	conn  *client.Conn
}

func newResilientClient(ctx context.Context, url string, t *tally) (*resilientClient, error) {
	c, _, err := client.Dial(ctx, url, &client.Options{
		HandshakeTimeout: dialTimeout,
		Adopt:            true, // watch handles EventAdopted, and there is nothing to restore
		Backoff:          client.Backoff{Max: resumeBackoffMax},
	}) //nolint:bodyclose // as above
	if err != nil {
		return nil, err
	}
	if !c.Resilient() {
		_ = c.CloseNow()
		return nil, errors.New("the sidecar offered the resilient client no session")
	}
	t.connected(resilient)
	return &resilientClient{t, c}, nil
}

// run lasts until the session is over, and sends no new messages once
// producer ends. The error says why, and is nil if this side closed it.
func (r *resilientClient) run(producer context.Context) error {
	var others sync.WaitGroup
	defer others.Wait()
	producer, stop := context.WithCancel(producer)
	defer stop()
	others.Go(func() {
		r.tally.produce(producer, resilient, func(msg []byte) {
			// Not bound to producer: a number that was given out must be sent.
			// Write fails when the session is over, and that is Read's news.
			_ = r.conn.Write(context.Background(), client.MessageText, msg)
		})
	})
	others.Go(r.watch)
	for {
		_, msg, err := r.conn.Read(context.Background())
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the resilient client's session ended: %w", err)
		}
		r.tally.hear(resilient, msg)
	}
}

// watch follows what becomes of the connection, until the session is over.
func (r *resilientClient) watch() {
	for e := range r.conn.Events() {
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
}

// sleep returns after d, or when ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// Package reconnect is a client without a session, as people write one.
package reconnect

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/wsresilience/wsresilience/internal/backoff"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

// A Spec says how a client behaves.
type Spec struct {
	Dial     time.Duration // what a handshake may take
	Patience time.Duration // without a message until it dials again: what is half open would never end by itself
	Backoff  backoff.Policy
	Random   func() float64 // for the backoff; nil: by chance. Never called concurrently
	Queue    int            // messages that it keeps while it is not connected; more are dropped
	Binary   bool           // its messages are

	// Handshake is called before each dial and says what is dialled and how; nil:
	// New's URL, without more.
	Handshake func(ctx context.Context) (url string, o *websocket.DialOptions, err error)

	// First returns what each new connection is told before anything else; nil:
	// nothing.
	First func() [][]byte

	// What happens is told by one goroutine.
	Failed       func(err error) // a handshake did; may be nil
	Connected    func()
	Message      func(p []byte)
	Disconnected func(err error)
}

// A Client is an ordinary WebSocket that connects again after a break, with
// backoff, and sends then what it could not send before. It cannot know which of
// the messages that it did send have arrived.
type Client struct {
	url   string
	spec  Spec
	queue chan message
	http  *http.Client
}

type message struct {
	payload []byte
	written func() // may be nil
}

// New makes a client that is not connected yet.
func New(url string, spec Spec) *Client {
	if spec.Random == nil {
		spec.Random = rand.Float64
	}
	return &Client{
		url: url, spec: spec, queue: make(chan message, spec.Queue),
		http: &http.Client{Transport: &http.Transport{}}, // of its own, and without the environment's proxies
	}
}

// Run connects again and again until ctx ends.
func (c *Client) Run(ctx context.Context) {
	defer c.http.CloseIdleConnections()
	wait := backoff.New(c.spec.Backoff, c.spec.Random)
	for ctx.Err() == nil {
		conn, err := c.dial(ctx)
		switch {
		case err == nil:
			wait.Reset()
			c.spec.Connected()
			c.spec.Disconnected(c.live(ctx, conn))
		case c.spec.Failed != nil:
			c.spec.Failed(err)
		}
		pause, _ := wait.Next()
		_ = proc.Sleep(ctx, pause)
	}
}

// Send takes a message, or drops it when too many wait.
func (c *Client) Send(msg []byte) { c.SendThen(msg, nil) }

// SendThen is Send, and calls written once the message was written to a
// connection, which says nothing of its arrival.
func (c *Client) SendThen(msg []byte, written func()) {
	select {
	case c.queue <- message{msg, written}:
	default:
	}
}

func (c *Client) dial(ctx context.Context) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.spec.Dial)
	defer cancel()
	url, o := c.url, &websocket.DialOptions{}
	if c.spec.Handshake != nil {
		var err error
		if url, o, err = c.spec.Handshake(ctx); err != nil {
			return nil, err
		}
	}
	if o.HTTPClient == nil {
		o.HTTPClient = c.http
	}
	conn, _, err := websocket.Dial(ctx, url, o) //nolint:bodyclose // need not be closed, it says
	return conn, err
}

// live is one connection up to its end, which it returns.
func (c *Client) live(ctx context.Context, conn *websocket.Conn) error {
	defer func() { _ = conn.CloseNow() }()
	var writer sync.WaitGroup
	defer writer.Wait()
	writing, stop := context.WithCancel(ctx)
	defer stop()
	writer.Go(func() { c.write(writing, conn) })
	for {
		reading, cancel := context.WithTimeout(ctx, c.spec.Patience)
		_, msg, err := conn.Read(reading)
		cancel()
		if err != nil {
			return err
		}
		c.spec.Message(msg)
	}
}

func (c *Client) write(ctx context.Context, conn *websocket.Conn) {
	typ := websocket.MessageText
	if c.spec.Binary {
		typ = websocket.MessageBinary
	}
	if c.spec.First != nil {
		for _, p := range c.spec.First() {
			if conn.Write(ctx, typ, p) != nil {
				return
			}
		}
	}
	for {
		select {
		case <-ctx.Done():
			return
		case msg := <-c.queue:
			if conn.Write(ctx, typ, msg.payload) != nil {
				return
			}
			if msg.written != nil {
				msg.written()
			}
		}
	}
}

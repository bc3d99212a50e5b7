package lab

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

// A PlainSpec says how a plain client behaves.
type PlainSpec struct {
	Dial     time.Duration // what a handshake may take
	Patience time.Duration // without a message until it dials again: what is half open would never end by itself
	Backoff  backoff.Policy
	Queue    int // messages that it keeps while it is not connected; more are dropped

	// What happens is told by one goroutine.
	Connected    func()
	Message      func(p []byte)
	Disconnected func(err error)
}

// A Plain is a simulated client without a session: an ordinary WebSocket that
// connects again after a break, with backoff, and sends then what it could not
// send before. It cannot know which of the messages that it did send have
// arrived.
type Plain struct {
	url   string
	spec  PlainSpec
	queue chan []byte
	http  *http.Client
}

// NewPlain makes a client that is not connected yet.
func NewPlain(url string, spec PlainSpec) *Plain {
	return &Plain{
		url: url, spec: spec, queue: make(chan []byte, spec.Queue),
		http: &http.Client{Transport: &http.Transport{}}, // of its own, and without the environment's proxies
	}
}

// Run connects again and again until ctx ends.
func (p *Plain) Run(ctx context.Context) {
	defer p.http.CloseIdleConnections()
	wait := backoff.New(p.spec.Backoff, rand.Float64)
	for ctx.Err() == nil {
		if c, err := p.dial(ctx); err == nil {
			wait.Reset()
			p.spec.Connected()
			p.spec.Disconnected(p.live(ctx, c))
		}
		pause, _ := wait.Next()
		_ = proc.Sleep(ctx, pause)
	}
}

// Send takes a message, or drops it when too many wait.
func (p *Plain) Send(msg []byte) {
	select {
	case p.queue <- msg:
	default:
	}
}

func (p *Plain) dial(ctx context.Context) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, p.spec.Dial)
	defer cancel()
	c, _, err := websocket.Dial(ctx, p.url, &websocket.DialOptions{HTTPClient: p.http}) //nolint:bodyclose // need not be closed, it says
	return c, err
}

// live is one connection up to its end, which it returns.
func (p *Plain) live(ctx context.Context, c *websocket.Conn) error {
	defer func() { _ = c.CloseNow() }()
	var writer sync.WaitGroup
	defer writer.Wait()
	writing, stop := context.WithCancel(ctx)
	defer stop()
	writer.Go(func() { p.write(writing, c) })
	for {
		reading, cancel := context.WithTimeout(ctx, p.spec.Patience)
		_, msg, err := c.Read(reading)
		cancel()
		if err != nil {
			return err
		}
		p.spec.Message(msg)
	}
}

func (p *Plain) write(ctx context.Context, c *websocket.Conn) {
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

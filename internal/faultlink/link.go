// Package faultlink is a TCP link between clients and one address, whose
// network can be broken on purpose: reset, closed, silent, half open, slow,
// cut at an exact byte, or down. Tests and the demo put it between
// real parties.
//
// TCP either delivers a byte in its order or not at all, and so does a Link:
// no fault here loses bytes from the middle of a stream that goes on.
package faultlink

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

// A Dialer makes the connection to the target of one that was accepted.
type Dialer func(context.Context) (*net.TCPConn, error)

// A Link accepts on one address and passes each connection on to another.
// All methods are safe for concurrent use.
type Link struct {
	// Immutable.
	addr   string
	listen func() (net.Listener, error)
	dial   Dialer
	ctx    context.Context // ends with Close
	cancel context.CancelFunc

	// Guarded by mu.
	mu       sync.Mutex
	random   func() float64
	listener net.Listener // nil while down
	conns    map[*Conn]struct{}
	silent   bool
	shape    shape
	pending  [2]pendingCut // by Direction
	closed   bool

	goroutines sync.WaitGroup
}

// New listens on listen and passes connections on to target; both are
// "host:port", and port 0 of listen takes a free one. random returns numbers
// in [0, 1) for the jitter; it is never called concurrently.
func New(listen, target string, random func() float64) (*Link, error) {
	return Listen(listen, func(ctx context.Context) (*net.TCPConn, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", target)
		if err != nil {
			return nil, err
		}
		return c.(*net.TCPConn), nil
	}, random)
}

// Listen is New with a target for each connection: a balancer. A connection
// for which dial fails is reset.
func Listen(listen string, dial Dialer, random func() float64) (*Link, error) {
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, fmt.Errorf("faultlink: listen %s: %w", listen, err)
	}
	again := func() (net.Listener, error) { return net.Listen("tcp", ln.Addr().String()) }
	return On(ln, again, dial, random), nil
}

// On is Listen on a listener of TCP that is there already, such as one in another
// network namespace. The link closes it; after Down, again makes another one.
func On(ln net.Listener, again func() (net.Listener, error), dial Dialer, random func() float64) *Link {
	ctx, cancel := context.WithCancel(context.Background())
	l := &Link{
		addr: ln.Addr().String(), listen: again, dial: dial, ctx: ctx, cancel: cancel,
		random: random, conns: make(map[*Conn]struct{}),
	}
	l.acceptLocked(ln)
	return l
}

// Addr is where clients connect; it stays the same while the link is down.
func (l *Link) Addr() string { return l.addr }

// acceptLocked serves a listener. The caller holds mu, or is New.
func (l *Link) acceptLocked(ln net.Listener) {
	l.listener = ln
	l.goroutines.Go(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			l.serve(client.(*net.TCPConn))
		}
	})
}

// serve starts a connection, unless the link went down in between.
func (l *Link) serve(client *net.TCPConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.listener == nil {
		reset(client)
		return
	}
	c := newConn(l, client)
	if l.silent {
		c.gate.close()
	}
	l.conns[c] = struct{}{}
	l.goroutines.Go(c.run)
}

// Conns returns the live connections, in no order. One that was cut is not
// among them, though one of its ends may not know yet.
func (l *Link) Conns() []*Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	live := make([]*Conn, 0, len(l.conns))
	for c := range l.conns {
		if !c.isCut() {
			live = append(live, c)
		}
	}
	return live
}

// Cut kills every live connection. New ones are accepted.
func (l *Link) Cut(kind Kind) {
	for _, c := range l.Conns() {
		c.Cut(kind)
	}
}

// CutAfter lets n more bytes pass in a direction, counted over all
// connections, and then kills the connection that carried the last of them:
// exactly n bytes reach the other end, if it has room for them. With 0 the
// next byte is not delivered. It works once; another call for the direction
// replaces it.
func (l *Link) CutAfter(d Direction, n int64, kind Kind) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending[d] = pendingCut{set: true, left: n, kind: kind}
}

// Silence stops every byte and every end of stream in both directions, of
// live connections and new ones, and closes nothing: a write still succeeds
// until the sender's buffers are full. What was under way in a write call may
// arrive. Heal lets it all go on where it stood.
func (l *Link) Silence() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.silent = true
	for c := range l.conns {
		c.Silence()
	}
}

// Heal ends the silence of all connections.
func (l *Link) Heal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.silent = false
	for c := range l.conns {
		c.Heal()
	}
}

// SetLatency delays what is read from now on by latency in each direction,
// give or take a random part of jitter. Bytes keep their order.
func (l *Link) SetLatency(latency, jitter time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shape.latency, l.shape.jitter = latency, jitter
}

// Down(true) refuses new connections; live ones go on. Down(false) accepts
// again at the same address, and fails if it was taken meanwhile.
func (l *Link) Down(down bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || down == (l.listener == nil) {
		return nil
	}
	if down {
		err := l.listener.Close()
		l.listener = nil
		return err
	}
	ln, err := l.listen()
	if err != nil {
		return fmt.Errorf("faultlink: listen %s again: %w", l.addr, err)
	}
	l.acceptLocked(ln)
	return nil
}

// Close resets what is left of every connection and returns when no
// goroutine of the link is.
func (l *Link) Close() {
	_ = l.Down(true)
	l.mu.Lock()
	l.closed = true
	l.cancel()
	for c := range l.conns {
		c.end()
	}
	l.mu.Unlock()
	l.goroutines.Wait()
}

// take asks the pending cut of a direction, see pendingCut.take.
func (l *Link) take(d Direction, want int) (n int, kind Kind, hit bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := &l.pending[d]
	n, hit = t.take(want)
	return n, t.kind, hit
}

// delay draws the way of a chunk that comes now.
func (l *Link) delay() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shape.jitter == 0 {
		return l.shape.latency
	}
	return l.shape.delay(l.random())
}

func (l *Link) forget(c *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
}

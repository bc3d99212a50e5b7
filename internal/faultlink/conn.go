package faultlink

import (
	"context"
	"net"
	"sync"
)

// A Conn is one connection over a link. Its methods are safe for concurrent
// use.
type Conn struct {
	// Immutable.
	link   *Link
	client *net.TCPConn
	gate   gate
	alive  context.Context // ends when no byte passes any more
	kill   context.CancelFunc

	// Guarded by mu.
	mu     sync.Mutex
	target *net.TCPConn // nil until dialled
	over   bool         // cut, or ended by itself
	kind   Kind         // how, if it was cut
}

func newConn(l *Link, client *net.TCPConn) *Conn {
	c := &Conn{link: l, client: client}
	c.alive, c.kill = context.WithCancel(l.ctx)
	return c
}

// Target returns the address of the target, nil while it is being reached.
func (c *Conn) Target() net.Addr {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.target == nil {
		return nil
	}
	return c.target.RemoteAddr()
}

// Client returns the address that the client connected from.
func (c *Conn) Client() net.Addr { return c.client.RemoteAddr() }

// Silence is Link.Silence for this connection.
func (c *Conn) Silence() { c.gate.close() }

// Heal is Link.Heal for this connection.
func (c *Conn) Heal() { c.gate.open() }

// Cut kills the connection, at once and with whatever waits in the link. A
// connection dies once: later cuts do nothing. While the target is still
// being reached, what concerns the target waits for it, and the client
// notices no more than the kind says.
func (c *Conn) Cut(kind Kind) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	c.over, c.kind = true, kind
	if c.target != nil || kind == RST {
		c.applyLocked()
	}
}

// applyLocked does what Cut decided. The caller holds mu.
func (c *Conn) applyLocked() {
	c.kill()
	switch c.kind {
	case Mute: // nothing passes any more, and that is all
	case FIN:
		_ = c.client.CloseWrite()
		_ = c.target.CloseWrite()
	case DropTarget:
		reset(c.target)
	case DropClient:
		reset(c.client)
	default:
		reset(c.client)
		if c.target != nil {
			reset(c.target)
		}
	}
}

func (c *Conn) isCut() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.over
}

// end resets both sockets, also those that a cut left half open.
func (c *Conn) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	c.kill()
	reset(c.client)
	if c.target != nil {
		reset(c.target)
	}
}

// run owns the connection from its accept to its last byte.
func (c *Conn) run() {
	defer c.link.forget(c)
	defer c.end()
	// A silent network answers no connection attempt. The kernel has
	// answered the client's for us, so at least the target hears nothing.
	if !c.gate.wait(c.alive.Done()) || !c.reach() {
		return
	}
	var pumps sync.WaitGroup
	pumps.Go(func() { c.pump(Inbound, c.client, c.target) })
	pumps.Go(func() { c.pump(Outbound, c.target, c.client) })
	pumps.Wait()
}

// reach connects to the target and does to it what was cut meanwhile; only
// Close gives the attempt up, since a socket given up ends with FIN.
func (c *Conn) reach() bool {
	target, err := c.link.dial(c.link.ctx)
	if err != nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.target = target
	if c.over {
		c.applyLocked()
	}
	return true
}

// reset closes a socket with RST: nothing that it holds is sent.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}

package client

import (
	"net"
	"time"
)

// partingWait is how long a connection that is over may take to write its
// last bytes.
const partingWait = time.Second

// link is a leg's socket, with one goroutine that reads and one that writes.
type link struct {
	leg  *leg
	conn net.Conn
	wake chan struct{} // of one: there may be something to write
}

// start runs a connection that the machine has attached. early are bytes that
// came with the answer to the handshake.
func (c *Conn) start(g *leg, conn net.Conn, early []byte) {
	l := &link{leg: g, conn: conn, wake: make(chan struct{}, 1)}
	g.buf.preload(early)
	c.links = append(c.links, l)
	c.tasks.Go(func() { c.readFrom(l) })
	c.tasks.Go(func() { c.writeTo(l) })
}

func (l *link) rouse() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// bury lets the writer finish: a write under way must not hold it for long.
func (l *link) bury(now time.Time) {
	if len(l.leg.parting) > 0 {
		now = now.Add(partingWait)
	}
	_ = l.conn.SetWriteDeadline(now) // one that cannot be set is a broken one
	l.rouse()
}

func (c *Conn) readFrom(l *link) {
	var n int
	var err error
	for c.feed(l, n, err) {
		n, err = l.conn.Read(l.leg.buf.space())
	}
}

// feed gives the machine what was read, and waits while the queue is full. It
// tells whether to read on.
func (c *Conn) feed(l *link, n int, err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	g := l.leg
	now := time.Now()
	if g.dead == nil {
		if n > 0 {
			c.m.received(now, g, n)
		} else {
			c.m.receive(now, g)
		}
		c.settle(now)
	}
	for g.dead == nil && c.m.full() {
		room := c.room.wait()
		c.mu.Unlock()
		<-room
		c.mu.Lock()
		if g.dead == nil {
			now = time.Now()
			c.m.received(now, g, 0)
			c.settle(now)
		}
	}
	if err != nil && g.dead == nil {
		now = time.Now()
		c.m.broken(now, g, err.Error())
		c.settle(now)
	}
	return g.dead == nil
}

func (c *Conn) writeTo(l *link) {
	defer l.conn.Close()
	var b []byte
	for {
		var dead bool
		if b, dead = c.fill(l, b[:0]); len(b) == 0 {
			if dead {
				break
			}
			if cap(b) > readSize {
				b = nil // an idle connection holds no burst
			}
			<-l.wake
			continue
		}
		if _, err := l.conn.Write(b); err != nil {
			c.mu.Lock()
			defer c.mu.Unlock()
			now := time.Now()
			c.m.broken(now, l.leg, err.Error())
			c.settle(now)
			return
		}
	}
	if p := l.leg.parting; len(p) > 0 {
		_, _ = l.conn.Write(p) // nobody waits for it
	}
}

func (c *Conn) fill(l *link, b []byte) (_ []byte, dead bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	b = c.m.fill(now, l.leg, b)
	c.settle(now)
	return b, l.leg.dead != nil
}

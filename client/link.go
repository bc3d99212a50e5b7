package client

import (
	"net"
	"time"
)

// maxFinalWrite is how long a connection that has ended may take to write its
// last bytes.
const maxFinalWrite = time.Second

// link is a connection's socket, with one goroutine that reads and one that
// writes.
type link struct {
	conn   *connection
	socket net.Conn
	wake   chan struct{} // of one: there may be something to write
}

// start runs a connection that the machine has attached. early are bytes that
// came with the response to the handshake.
func (c *Conn) start(conn *connection, socket net.Conn, early []byte) {
	l := &link{conn: conn, socket: socket, wake: make(chan struct{}, 1)}
	conn.input.preload(early)
	c.links = append(c.links, l)
	c.tasks.Go(func() { c.readFrom(l) })
	c.tasks.Go(func() { c.writeTo(l) })
}

func (l *link) wakeWriter() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// closeAfterWrite lets the writer write the last bytes and close the socket. A
// write under way must not block it for long.
func (l *link) closeAfterWrite(now time.Time) {
	if len(l.conn.finalBytes) > 0 {
		now = now.Add(maxFinalWrite)
	}
	if err := l.socket.SetWriteDeadline(now); err != nil {
		// It is broken, or one of Options.NetDial that has no deadlines.
		time.AfterFunc(maxFinalWrite, func() { _ = l.socket.Close() })
	}
	l.wakeWriter()
}

func (c *Conn) readFrom(l *link) {
	var n int
	var err error
	for c.feed(l, n, err) {
		n, err = l.socket.Read(l.conn.input.space())
	}
}

// feed gives the machine the n bytes that were read, and waits while the queue
// is full. It reports whether to read on.
func (c *Conn) feed(l *link, n int, err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	conn := l.conn
	now := time.Now()
	if conn.closed == nil {
		if n > 0 {
			c.m.received(now, conn, n)
		} else {
			c.m.receive(now, conn)
		}
		c.perform(now)
	}
	for conn.closed == nil && c.m.full() {
		room := c.room.wait()
		c.mu.Unlock()
		<-room
		c.mu.Lock()
		if conn.closed == nil {
			now = time.Now()
			c.m.received(now, conn, 0)
			c.perform(now)
		}
	}
	if err != nil && conn.closed == nil {
		now = time.Now()
		c.m.broken(now, conn, err)
		c.perform(now)
	}
	return conn.closed == nil
}

func (c *Conn) writeTo(l *link) {
	defer l.socket.Close()
	var b []byte
	for {
		var dead bool
		if b, dead = c.fill(l, b[:0]); len(b) == 0 {
			if dead {
				break
			}
			if cap(b) > readSize {
				b = nil // an idle connection keeps no large buffer
			}
			<-l.wake
			continue
		}
		if _, err := l.socket.Write(b); err != nil {
			c.mu.Lock()
			defer c.mu.Unlock()
			now := time.Now()
			c.m.broken(now, l.conn, err)
			c.perform(now)
			return
		}
	}
	if p := l.conn.finalBytes; len(p) > 0 {
		_, _ = l.socket.Write(p) // the connection is over either way
	}
}

func (c *Conn) fill(l *link, b []byte) (_ []byte, dead bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	b = c.m.fill(now, l.conn, b)
	c.perform(now)
	return b, l.conn.closed != nil
}

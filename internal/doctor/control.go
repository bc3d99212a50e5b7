package doctor

import (
	"io"
	"net"
	"sync"
	"time"
)

// A control is a connection of this program to itself, on loopback. What a byte on
// it takes is what this machine adds to any round trip at that moment: it may have
// too much to do.
type control struct {
	near, far net.Conn
	over      sync.WaitGroup

	mu    sync.Mutex
	sent  []time.Time
	worst time.Duration
}

// newControl makes one, or nil where there is no loopback.
func newControl() *control {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil
	}
	defer l.Close()
	c := &control{}
	if c.near, err = net.DialTimeout("tcp", l.Addr().String(), time.Second); err != nil {
		return nil
	}
	if c.far, err = l.Accept(); err != nil {
		c.near.Close()
		return nil
	}
	c.over.Go(func() { _, _ = io.Copy(c.far, c.far) })
	c.over.Go(c.read)
	return c
}

// probe sends a byte.
func (c *control) probe() {
	if c == nil {
		return
	}
	c.mu.Lock()
	c.sent = append(c.sent, time.Now())
	c.mu.Unlock()
	_, _ = c.near.Write([]byte{0}) // what does not come back counts as late
}

func (c *control) read() {
	b := make([]byte, 1)
	for {
		if _, err := io.ReadFull(c.near, b); err != nil {
			return
		}
		c.mu.Lock()
		c.worst = max(c.worst, time.Since(c.sent[0]))
		c.sent = c.sent[1:]
		c.mu.Unlock()
	}
}

// late is the longest that a byte took, or takes, since the last time.
func (c *control) late() time.Duration {
	if c == nil {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	worst := c.worst
	if len(c.sent) > 0 {
		worst = max(worst, time.Since(c.sent[0]))
	}
	c.worst = 0
	return worst
}

func (c *control) close() {
	if c != nil {
		c.near.Close()
		c.far.Close()
		c.over.Wait()
	}
}

package faultlink

import (
	"io"
	"net"
	"sync"
	"time"
)

// A chunk is what one read gave, or how the stream ended.
type chunk struct {
	bytes []byte
	end   error     // io.EOF, or why reading failed; bytes is empty then
	due   time.Time // when it has travelled its way
}

// pump passes one direction on until it ends or the connection is cut, and
// returns when src has nothing more to say: after a cut, what src still
// writes is swallowed, so that a half-open end does not feel it.
func (c *Conn) pump(d Direction, src, dst *net.TCPConn) {
	queue := make(chan chunk, queueChunks)
	var writer sync.WaitGroup
	writer.Go(func() { c.write(d, queue, dst) })
	c.read(queue, src)
	close(queue)
	writer.Wait()
}

// read fills the queue. The instants at which chunks are due never go
// backwards, so jitter keeps the order.
func (c *Conn) read(queue chan<- chunk, src *net.TCPConn) {
	buf := make([]byte, chunkBytes)
	var last time.Time
	for {
		n, err := src.Read(buf)
		if due := time.Now().Add(c.link.delay()); due.After(last) {
			last = due
		}
		if n > 0 {
			c.enqueue(queue, chunk{bytes: append([]byte(nil), buf[:n]...), due: last})
		}
		if err != nil {
			c.enqueue(queue, chunk{end: err, due: last})
			return
		}
	}
}

func (c *Conn) enqueue(queue chan<- chunk, k chunk) {
	select {
	case queue <- k:
	case <-c.alive.Done():
	}
}

// write empties the queue into dst. An end of stream is passed on as one, a
// broken source as a reset.
func (c *Conn) write(d Direction, queue <-chan chunk, dst *net.TCPConn) {
	for k := range queue {
		if !c.sleep(time.Until(k.due)) || !c.gate.wait(c.alive.Done()) {
			return
		}
		switch {
		case k.end == io.EOF:
			_ = dst.CloseWrite()
		case k.end != nil:
			c.Cut(RST)
		case !c.writeBytes(d, k.bytes, dst):
			return
		}
	}
}

// writeBytes writes a chunk and reports whether to go on.
func (c *Conn) writeBytes(d Direction, b []byte, dst *net.TCPConn) bool {
	n, kind, hit := c.link.take(d, len(b))
	_, err := dst.Write(b[:n])
	if !hit && err != nil {
		hit, kind = true, RST
	}
	if hit {
		c.Cut(kind)
	}
	return !hit
}

// sleep returns false if the connection was cut meanwhile.
func (c *Conn) sleep(d time.Duration) bool {
	if d <= 0 {
		return c.alive.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.alive.Done():
		return false
	}
}

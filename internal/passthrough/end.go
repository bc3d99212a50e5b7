package passthrough

import (
	"errors"
	"io"
	"time"

	"github.com/wsresilience/wsresilience/internal/transport"
)

// finish ends both connections: after the client's end, which the app learns,
// or when there is nothing more to say.
func (c *client) finish(err error) {
	var read readError
	switch {
	case errors.As(err, &read) && errors.Is(read.error, io.EOF):
		if c.shutApp() == verdictSwitched { // the app may answer all the same
			c.taken = true
			close(c.parked)
			return
		}
	case errors.As(err, &read):
		c.abortApp()
		transport.Abort(c.conn)
	case errors.Is(err, errRefused):
		c.linger()
	case errors.Is(err, errDrained):
		c.drained()
	}
	close(c.parked)
	c.handshake(false)
	c.closeApp()
	if c.ended != nil {
		<-c.ended
	}
	c.conn.Close()
	c.in.release()
	c.h.forget(c)
}

// drained waits for the end of a connection on which no other request is taken:
// the app's, or the client's.
func (c *client) drained() {
	c.mu.Lock()
	ending := c.ending
	if !ending {
		c.begun, c.since = false, time.Now()
		c.armLocked()
	}
	c.mu.Unlock()
	if ending {
		c.linger()
		return
	}
	c.discard()
}

// linger tells the client that nothing more comes, and reads what it still sends
// until it has seen that.
func (c *client) linger() {
	_ = transport.CloseWrite(c.conn)
	_ = c.conn.SetReadDeadline(time.Now().Add(lingerTime))
	c.discard()
}

// discard reads until the client has ended it, or the deadline.
func (c *client) discard() {
	if c.in.b == nil {
		c.in.b = restBuffers.get()
	}
	for {
		if _, err := c.conn.Read(c.in.b); err != nil {
			return
		}
	}
}

// shutApp tells the app that the client sends no more, and waits for what it says
// to a request that is under way.
func (c *client) shutApp() verdict {
	c.mu.Lock()
	app, pending := c.app, c.pending
	c.mu.Unlock()
	if app == nil || !pending {
		return verdictLast
	}
	_ = transport.CloseWrite(app)
	select {
	case v := <-c.verdicts:
		return v
	case <-c.ended:
		return verdictLast
	}
}

func (c *client) closeApp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.app != nil {
		c.app.Close()
	}
}

func (c *client) abortApp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.app != nil {
		transport.Abort(c.app)
	}
}

// close ends the connection from outside.
func (c *client) close() {
	c.closeApp()
	c.conn.Close()
}

// idle reports whether no request is under way, and none has begun.
func (c *client) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.pending && !c.sending && !c.begun
}

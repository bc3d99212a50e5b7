package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/wsresilience/wsresilience/wire"
)

// The first attempts to resume give up connecting after minConnectWait: a lost
// SYN is sent again after one second, and then after two and four, when the
// network may have been back for long. It grows where connections need longer,
// up to the time for the whole handshake.
const (
	minConnectWait    = 2 * time.Second
	connectWaitFactor = 1.25
)

// dialling is the attempt to resume that is under way.
type dialling struct {
	offer  offer
	cancel context.CancelFunc // nil: there is none
	wait   time.Duration      // for a connection; grows
}

// startDial starts the attempt that the machine wants, and ends one that it has
// given up.
func (c *Conn) startDial(now time.Time) {
	d := &c.dialling
	if d.cancel != nil && !c.m.underWay(&d.offer) {
		d.cancel()
		d.cancel = nil
	}
	o, ok := c.m.wantDial(now)
	if !ok {
		return
	}
	ctx, cancel := context.WithCancel(c.ctx)
	d.offer, d.cancel, d.wait = o, cancel, max(d.wait, minConnectWait)
	wait := d.wait
	if c.handshakeTimeout() < 0 {
		wait = 0
	}
	c.tasks.Go(func() {
		defer cancel()
		c.redial(ctx, o, wait)
	})
}

// redial makes one attempt to resume.
func (c *Conn) redial(ctx context.Context, o offer, wait time.Duration) {
	u, resp, err := c.ours(ctx, &o, wait)
	bare := refusesSubprotocols(err)
	if bare && c.wouldBeLast() {
		// An app behind a sidecar may refuse so as well, for a moment.
		if bare = c.acceptsOthers(ctx, &o, wait); bare {
			u, resp, err = c.ours(ctx, &o, wait)
			bare = refusesSubprotocols(err)
		}
	}
	if err == nil && u.protocol != wire.Subprotocol {
		_ = u.conn.Close()
		bare, err = true, fmt.Errorf("client: dial %s: no sidecar answers", c.url.Host)
	}
	done := func() {}
	if err == nil {
		var problem error
		if done, problem = c.sent(&o); problem != nil {
			_ = u.conn.Close()
			err, done = problem, func() {}
		}
	}
	defer done()
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	switch {
	case !c.m.underWay(&o):
		if err == nil {
			_ = u.conn.Close()
		}
	case err == nil:
		c.start(c.m.attach(now, o), u.conn, u.early)
		c.perform(now)
	default:
		c.log.Info("client: resume failed", slog.Any("error", err))
		c.attemptFailed(now, bare, resp, err)
		c.perform(now)
	}
}

// wouldBeLast reports whether one more answer without a sidecar ends the session.
func (c *Conn) wouldBeLast() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.m.dial.bare+1 >= maxBare
}

// acceptsOthers reports whether the server accepts a handshake without our
// subprotocols.
func (c *Conn) acceptsOthers(ctx context.Context, o *offer, wait time.Duration) bool {
	u, _, err := c.handshake(ctx, wire.Offer{App: o.App}, wait)
	if err == nil {
		_ = u.conn.Close()
	}
	return err == nil
}

// attemptFailed handles an attempt that failed; bare reports whether a server
// without a sidecar answered it, and resp is what came, if anything did.
func (c *Conn) attemptFailed(now time.Time, bare bool, resp *http.Response, err error) {
	if bare {
		c.m.answeredBare()
	} else if _, ok := errors.AsType[*RefusedError](err); ok {
		c.m.dial.bare = 0
	}
	c.m.dialFailed(now)
	if resp != nil {
		c.m.retryAfter(retryAfter(resp, now))
	}
	d := &c.dialling
	if !errors.Is(err, errConnecting) {
		d.wait = 0
		return
	}
	d.wait = time.Duration(float64(d.wait) * connectWaitFactor)
	if most := c.handshakeTimeout(); most > 0 {
		d.wait = min(d.wait, most)
	}
}

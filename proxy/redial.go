package proxy

import (
	"context"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/backoff"
	"github.com/wsresilience/wsresilience/session"
)

// redialMost is the longest pause between attempts to reach an app that
// restarts. An app that is back should not wait for its clients.
const redialMost = 2 * time.Second

// appSettled is how long a new app socket must have lived for its end to be an
// accident. One that ends sooner ends for a reason: the app stumbles, or
// somebody else took the client's place there, and took it from us.
const appSettled = 10 * time.Second

// relapse counts app sockets that ended soon after they were made.
type relapse struct {
	back  time.Time // when the newest was made
	count int
	since time.Time // of the first
}

// note takes the end of an app socket.
func (r *relapse) note(now time.Time) {
	if r.back.IsZero() || now.Sub(r.back) >= appSettled {
		r.count = 0
		return
	}
	if r.count++; r.count == 1 {
		r.since = now
	}
}

// awayRelapses is how often it is tried while nobody is there to miss the app.
const awayRelapses = 3

// hopeless tells whether to leave it.
func (r *relapse) hopeless(now time.Time, attached bool, patience time.Duration) bool {
	return r.count > 0 && now.Sub(r.since) >= patience || !attached && r.count >= awayRelapses
}

// An againHandshake is a client's handshake, kept so that it can be made once
// more with the app while the client is held. It never leaves this process.
type againHandshake struct {
	request *http.Request
	offer   appHandshake
	relapse relapse
}

// keepHandshake keeps the handshake of a session that may get another app
// socket.
func (c *conduit) keepHandshake(h *arrival, hs appHandshake, start session.Start) {
	if c.srv.cfg.AppRetry <= 0 || !start.AppReplaceable && !start.AppReplaceableIfRestored {
		return
	}
	hs.Scheme = h.scheme()
	r := h.r
	c.again = &againHandshake{
		request: &http.Request{
			Method: r.Method, RequestURI: r.RequestURI, URL: r.URL, Host: r.Host,
			Header: r.Header.Clone(), RemoteAddr: r.RemoteAddr,
		},
		offer: hs,
	}
}

// redial looks for the app until it is back, or for Config.AppRetry. The
// caller holds the lock and settles.
func (c *conduit) redial() {
	now := time.Now()
	m, ok := c.m.(*session.Session)
	if c.again != nil {
		c.again.relapse.note(now)
	}
	if !ok || c.again == nil || c.again.relapse.hopeless(now, m.Attached(), c.srv.cfg.AppRetry) {
		c.observe(event.Event{Kind: event.AppRestarted, Restart: event.RestartGaveUp})
		c.giveUp(now)
		return
	}
	series := backoff.New(backoff.Policy{Max: redialMost}, rand.Float64)
	var pause time.Duration
	for range c.again.relapse.count {
		pause, _ = series.Next()
	}
	c.srv.work.Go(func() {
		began := time.Now()
		ctx, cancel := context.WithTimeout(c.srv.life, c.srv.cfg.AppRetry)
		defer cancel()
		app := c.await(ctx, pause, &series)
		now := c.enter()
		defer c.leave()
		outcome := event.RestartOK
		if app == nil || !c.takeApp(now, app) {
			outcome = event.RestartGaveUp
			c.giveUp(now)
			c.settle(now)
		}
		c.observe(event.Event{Kind: event.AppRestarted, Restart: outcome, Took: time.Since(began)})
	})
}

// await returns the app's fresh socket, or nil if there is none to be had.
func (c *conduit) await(ctx context.Context, pause time.Duration, series *backoff.Backoff) *appConn {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		if !c.waitsForApp() {
			return nil
		}
		began := time.Now()
		app, resp, err := c.srv.upstream.upgrade(ctx, c.again.request, c.again.offer)
		switch {
		case err == nil && resp == nil:
			c.dialled(event.AppOK, began)
			return app
		case err != nil:
			c.dialled(event.AppFailed, began)
		default:
			resp.Body.Close()
			c.dialled(event.AppRefused, began)
			if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden {
				return nil // its credentials are out of date: the client has to come itself
			}
		}
		pause, _ = series.Next()
	}
}

func (c *conduit) waitsForApp() bool {
	c.enter()
	defer c.leave()
	m, ok := c.m.(*session.Session)
	return ok && m.AppLost()
}

// takeApp gives the session its new socket. An app that compresses otherwise
// than before is not what the client was answered for.
func (c *conduit) takeApp(now time.Time, app *appConn) bool {
	m, ok := c.m.(*session.Session)
	same := (app.Deflate == nil) == (c.deflate == nil)
	if !ok || !same || !m.AppBack(now, app.Subprotocol, app.Deflate != nil) {
		app.Conn.Close()
		return false
	}
	c.again.relapse.back = now
	c.app = c.newLeg(app.Conn)
	c.settle(now)
	if c.app != nil {
		c.app.t.Start(app.Early)
	}
	return true
}

// giveUp tells the session that there is no other socket. The caller holds the
// lock and settles.
func (c *conduit) giveUp(now time.Time) {
	if m, ok := c.m.(*session.Session); ok {
		m.AppGivenUp(now)
	}
}

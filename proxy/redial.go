package proxy

import (
	"context"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/redial"
	"github.com/wsresilience/wsresilience/internal/upgrade"
	"github.com/wsresilience/wsresilience/session"
)

// A savedHandshake is a client's handshake, kept so that it can be made once
// more with the app while the client is held. It never leaves this process.
type savedHandshake struct {
	request *http.Request
	offer   upgrade.Offer
	history redial.History
}

// keepHandshake keeps the handshake of a session that may get another app
// socket.
func (c *sessionDriver) keepHandshake(h *request, hs upgrade.Offer, start session.Start) {
	if c.srv.cfg.AppRetry <= 0 || !start.AppReplaceable && !start.AppReplaceableIfRestored {
		return
	}
	hs.Scheme = h.scheme
	r := h.r
	c.saved = &savedHandshake{
		request: &http.Request{
			Method: r.Method, RequestURI: r.RequestURI, URL: r.URL, Host: r.Host,
			Header: r.Header.Clone(), RemoteAddr: r.RemoteAddr,
		},
		offer: hs,
	}
}

// redial looks for the app until it is back, or for Config.AppRetry. The
// caller holds the lock and settles.
func (c *sessionDriver) redial() {
	began := time.Now()
	var search redial.Search
	m, ok := c.m.(*session.Session)
	if ok = ok && c.saved != nil; ok {
		search, ok = c.saved.history.Lost(began, m.Attached(), c.srv.cfg.AppRetry, rand.Float64)
	}
	if !ok {
		c.observe(event.Event{Kind: event.AppRestarted, Restart: event.RestartGaveUp})
		c.giveUp(began)
		return
	}
	c.srv.work.Go(func() {
		app := c.await(&search)
		now := c.enter()
		defer c.leave()
		outcome := event.RestartOK
		if app == nil || !c.takeApp(now, app) {
			outcome = event.RestartGaveUp
			c.giveUp(now)
			c.settle(now)
		}
		c.observe(event.Event{Kind: event.AppRestarted, Restart: outcome, Took: now.Sub(began)})
	})
}

// await returns the app's fresh socket, or nil if there is none to be had.
func (c *sessionDriver) await(search *redial.Search) *upgrade.AppConn {
	ctx, cancel := context.WithDeadline(c.srv.life, search.End)
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Until(search.Due)):
		}
		if !c.waitsForApp() {
			return nil
		}
		began := time.Now()
		app, resp, err := c.srv.upstream.Dial(ctx, c.saved.request, c.saved.offer)
		denied := false
		switch {
		case err == nil && resp == nil:
			c.dialled(event.AppOK, began)
			return app
		case err != nil:
			c.dialled(event.AppFailed, began)
		default:
			resp.Body.Close()
			c.dialled(event.AppRefused, began)
			denied = resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden
		}
		if !search.Failed(time.Now(), denied) {
			return nil
		}
	}
}

func (c *sessionDriver) waitsForApp() bool {
	c.enter()
	defer c.leave()
	m, ok := c.m.(*session.Session)
	return ok && m.AppLost()
}

// takeApp gives the session its new socket. An app that compresses otherwise
// than before is not what the client was answered for.
func (c *sessionDriver) takeApp(now time.Time, app *upgrade.AppConn) bool {
	m, ok := c.m.(*session.Session)
	same := (app.Deflate == nil) == (c.deflate == nil)
	if !ok || !same || !m.AppBack(now, app.Subprotocol, app.Deflate != nil) {
		app.Conn.Close()
		return false
	}
	c.saved.history.Made(now)
	c.app = c.newLeg(app.Conn)
	c.settle(now)
	if c.app != nil {
		c.app.t.Start(app.Early)
	}
	return true
}

// giveUp tells the session that there is no other socket. The caller holds the
// lock and settles.
func (c *sessionDriver) giveUp(now time.Time) {
	if m, ok := c.m.(*session.Session); ok {
		m.AppGivenUp(now)
	}
}

package proxy

import (
	"context"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/wsresilience/wsresilience/internal/backoff"
	"github.com/wsresilience/wsresilience/session"
)

// redialPolicy is the pause between attempts to reach an app that restarts.
// It is short: an app that is back should not wait for its clients.
var redialPolicy = backoff.Policy{Max: 2 * time.Second}

// An againHandshake is a client's handshake, kept so that it can be made once
// more with the app while the client is held. It never leaves this process.
type againHandshake struct {
	request *http.Request
	offer   appHandshake
}

// keepHandshake keeps the handshake of a session that may get another app
// socket.
func (c *conduit) keepHandshake(h *arrival, hs appHandshake, start session.Start) {
	if c.srv.cfg.AppRetry <= 0 || !start.GoesOn && !start.GoesOnCovered {
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

// redial looks for the app until it is back, or for Config.AppRetry.
func (c *conduit) redial() {
	if c.again == nil {
		now := c.enter()
		defer c.leave()
		c.giveUp(now)
		return
	}
	c.srv.work.Go(func() {
		began := time.Now()
		ctx, cancel := context.WithTimeout(c.srv.life, c.srv.cfg.AppRetry)
		defer cancel()
		app := c.await(ctx)
		now := c.enter()
		defer c.leave()
		outcome := "ok"
		if app == nil || !c.takeApp(now, app) {
			outcome = "gave_up"
			c.giveUp(now)
		}
		c.srv.observer.AppRestarted(outcome, time.Since(began))
	})
}

// await returns the app's fresh socket, or nil if there is none to be had.
func (c *conduit) await(ctx context.Context) *appConn {
	series := backoff.New(redialPolicy, rand.Float64)
	for {
		began := time.Now()
		app, resp, err := c.srv.upstream.upgrade(ctx, c.again.request, c.again.offer)
		switch {
		case err == nil && resp == nil:
			c.srv.observer.Dialled("ok", time.Since(began))
			return app
		case err != nil:
			c.srv.observer.Dialled("failed", time.Since(began))
		default:
			resp.Body.Close()
			c.srv.observer.Dialled("refused", time.Since(began))
			if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden {
				return nil // its credentials are out of date: the client has to come itself
			}
		}
		pause, _ := series.Next()
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		if !c.waitsForApp() {
			return nil
		}
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
	c.app = c.newLeg(app.Conn)
	c.settle(now)
	if c.app != nil {
		c.app.t.Start(app.Early)
	}
	return true
}

func (c *conduit) giveUp(now time.Time) {
	if m, ok := c.m.(*session.Session); ok {
		m.AppGivenUp(now)
		c.settle(now)
	}
}

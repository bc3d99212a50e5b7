package proxy

import (
	"context"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/reauth"
	"github.com/wsresilience/wsresilience/internal/redial"
	"github.com/wsresilience/wsresilience/internal/upgrade"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/wire"
)

// A savedHandshake is a client's handshake, kept so that it can be made once
// more with the app while the client is held. It never leaves this process.
type savedHandshake struct {
	request *http.Request
	offer   upgrade.Offer
	history redial.History
	denied  bool          // the app did not accept it
	renewed bool          // the client's new one gave the session its present socket
	cost    int64         // against the memory budget
	changed chan struct{} // the client came, or the session is over; nil: nobody searches
	watch   reauth.Watch  // whether the app still allows the client its session
}

// keepHandshake keeps the handshake of a session that may get another app
// socket, or about whose client the app is asked now and then.
func (c *sessionDriver) keepHandshake(h *request, hs upgrade.Offer, start session.Start) {
	replaceable := c.srv.cfg.AppRetry > 0 && (start.AppReplaceable || start.AppReplaceableIfRestored)
	if !replaceable && c.srv.reauth.Every == 0 {
		return
	}
	hs.Scheme = h.scheme
	c.saved = &savedHandshake{offer: hs}
	c.saveRequest(h.r)
	c.authorizedLocked(time.Now()) // nobody else has the driver yet
}

// saveRequest keeps a request, which counts against the memory budget: cookies may
// be large, and a session waits for its client for minutes.
func (c *sessionDriver) saveRequest(r *http.Request) {
	cost := requestCost
	for name, values := range r.Header {
		for _, v := range values {
			cost += fieldCost + int64(len(name)+len(v))
		}
	}
	cost += int64(len(r.RequestURI) + len(r.Host))
	cost += cost / 8 // of memory that the allocator rounds up
	m := c.srv.pool.Memory()
	if m.Charge(cost - c.saved.cost); c.over { // it came too late
		m.Charge(-cost)
		cost = 0
	}
	c.saved.request, c.saved.cost = copyRequest(r), cost
}

// What a request costs beside its text: by itself, and for each field.
const (
	requestCost = int64(1 << 10)
	fieldCost   = int64(96)
)

// releaseHandshake gives back what the kept handshake counts.
func (c *sessionDriver) releaseHandshake() {
	if c.saved != nil {
		c.srv.pool.Memory().Charge(-c.saved.cost)
		c.saved.cost = 0
	}
}

func copyRequest(r *http.Request) *http.Request {
	of := &http.Request{
		Method: r.Method, RequestURI: r.RequestURI, URL: r.URL, Host: r.Host,
		Header: r.Header.Clone(), RemoteAddr: r.RemoteAddr,
	}
	return of.WithContext(upgrade.KeepNames(context.Background(), r.Context()))
}

// handshake returns what is kept. Requests are replaced, not changed.
func (c *sessionDriver) handshake() (*http.Request, upgrade.Offer) {
	c.enter()
	defer c.leave()
	return c.saved.request, c.saved.offer
}

// replaceHandshake keeps the handshake that the client has come back with, and
// gives the session the socket that it made, if it was needed for one. What it
// offers stays as it was, for that is what the client was answered.
func (c *sessionDriver) replaceHandshake(q *request, app *upgrade.AppConn) {
	if c.saved == nil {
		return
	}
	c.enter()
	c.saveRequest(q.r)
	c.saved.offer.Scheme = q.scheme
	if app == nil && c.saved.denied {
		c.saved.denied = false
		c.wakeSearchLocked()
	}
	c.leave()
	if app == nil {
		return
	}
	took := c.takeApp(nil, app)
	now := c.enter()
	defer c.leave()
	if !took {
		c.giveUpLocked(now)
		c.settleLocked(now)
	}
	c.wakeSearchLocked()
}

// denies reports whether an app that answers a handshake so does not accept the
// client's credentials. A ticket may be in the query, and its end has more
// than one name.
func denies(status int, r *http.Request) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return true
	case http.StatusBadRequest, http.StatusNotFound, http.StatusGone:
		return r.URL.RawQuery != ""
	}
	return false
}

// askForHandshake asks the client to come with a new handshake, now that the app
// did not accept the one that is kept (PROTOCOL §4.6).
func (c *sessionDriver) askForHandshake() {
	now := c.enter()
	defer c.leave()
	if m, ok := c.m.(*session.Session); ok {
		c.saved.denied = true
		m.GoAway(wire.GoAwayAuthenticate, 0)
		c.settleLocked(now)
	}
}

// wantsHandshake reports whether a new one is waited for.
func (c *sessionDriver) wantsHandshake() bool {
	c.enter()
	defer c.leave()
	m, ok := c.m.(*session.Session)
	return ok && c.saved != nil && c.saved.denied && m.AppLost()
}

// renewApp dials the app with the handshake that the client has come back with.
// Without a socket it returns the status of an app that refuses that one too;
// 0: it did not answer, or with something else.
func (r *resume) renewApp() (*upgrade.AppConn, int) {
	hs := r.sessionHandshake(r.found.id, r.found.subject.Epoch())
	hs.Scheme = r.scheme
	began := time.Now()
	ctx, cancel := context.WithTimeout(r.r.Context(), redialPatience) // the client waits
	defer cancel()
	span := child(r.span)
	app, refusal, err := r.s.dialApp(ctx, r.s.within(r.r, span), hs)
	switch {
	case err != nil:
		r.found.dialled(event.AppFailed, began, span, r.span)
		return nil, 0
	case refusal == nil:
		r.found.dialled(event.AppOK, began, span, r.span)
		return app, 0
	}
	refusal.Close()
	r.found.dialled(event.AppRefused, began, span, r.span)
	if denies(refusal.Status, r.r) {
		return nil, refusal.Status
	}
	return nil, 0
}

// refused ends the session of a client whom the app refuses.
func (c *sessionDriver) refused() {
	now := c.enter()
	defer c.leave()
	if _, ok := c.m.(*session.Session); ok && !c.over {
		c.m.End(now, session.EndedUnauthorized, wire.CodeReset)
		c.settleLocked(now)
	}
}

// redialLocked finds out whether the app restarts, and looks for it until it is back,
// or for Config.AppRetry. The caller holds the lock and settles.
func (c *sessionDriver) redialLocked() {
	began := time.Now()
	var search redial.Search
	m, ok := c.m.(*session.Session)
	if ok = ok && c.saved != nil && c.srv.cfg.AppRetry > 0; ok {
		search, ok = c.saved.history.Lost(began, m.Attached(), c.srv.cfg.AppRetry, rand.Float64)
		search.UnreadSince(c.appUnreadSinceLocked(began))
	}
	if !ok {
		c.observe(event.Event{Kind: event.AppRestarted, Restart: event.RestartGaveUp})
		c.giveUpLocked(began)
		return
	}
	if c.saved.changed == nil {
		c.saved.changed = make(chan struct{}, 1)
	}
	c.observe(event.Event{Kind: event.AppLost, Took: search.End.Sub(began)})
	c.srv.work.Go(func() {
		outcome := c.search(&search)
		now := c.enter()
		defer c.leave()
		if outcome != event.RestartOK {
			c.giveUpLocked(now)
			c.settleLocked(now)
		}
		c.observe(event.Event{Kind: event.AppRestarted, Restart: outcome, Took: now.Sub(began)})
	})
}

// findCauseLocked finds out whether the app has ended its socket because the pod
// stops. In doubt it has, also where the sidecar does not live to see it.
func (c *sessionDriver) findCauseLocked(began time.Time) {
	search := redial.Leave(began)
	search.UnreadSince(c.appUnreadSinceLocked(began))
	c.srv.work.Go(func() {
		outcome := c.search(&search)
		now := c.enter()
		defer c.leave()
		m, ok := c.m.(*session.Session)
		switch {
		case !ok || !m.AwaitsCause():
			return
		case outcome == event.RestartClosed:
			m.AppGivenUp(now)
			c.observe(event.Event{Kind: event.AppRestarted, Restart: outcome, Took: now.Sub(began)})
		default:
			m.AppLeft()
		}
		c.settleLocked(now)
	})
}

// search performs the steps of a search until the session has a socket, or
// wants none.
func (c *sessionDriver) search(search *redial.Search) event.RestartOutcome {
	for {
		f, ok := c.restartFacts(search)
		switch {
		case f == nil && ok:
			return event.RestartOK
		case f == nil:
			return event.RestartGaveUp
		}
		switch step := search.Next(f).(type) {
		case redial.Wait:
			if !c.waitForChange(step.Until) {
				return event.RestartGaveUp
			}
		case redial.Probe:
			if !c.srv.probeApp() && !search.Failed(time.Now()) {
				return event.RestartGaveUp
			}
		case redial.Dial:
			app, denied := c.dialAgain(search.End)
			switch {
			case app != nil && c.takeApp(search, app):
				return event.RestartOK
			case denied:
				if search.Denied(time.Now()) {
					c.askForHandshake()
				}
			case app != nil || !search.Failed(time.Now()):
				return event.RestartGaveUp
			}
		case redial.GiveUp, redial.HandOver:
			return event.RestartGaveUp
		case redial.Close:
			return event.RestartClosed
		}
	}
}

// restartFacts returns what is known now, or nil and whether the session has a
// socket already if it wants none.
func (c *sessionDriver) restartFacts(search *redial.Search) (*redial.Facts, bool) {
	now := c.enter()
	defer c.leave()
	m, ok := c.m.(*session.Session)
	if !ok || !m.AppLost() {
		return nil, ok && c.saved != nil && c.saved.renewed
	}
	return &redial.Facts{
		Now: now, Said: m.AppSaidRestart(), Certain: m.AppRestartCertain(), Attached: m.Attached(),
		Denied:   c.saved != nil && c.saved.denied,
		Evidence: c.srv.appSockets.evidence(now, search),
	}, true
}

// waitForChange waits for the client to come or go, or for a time, and reports
// false when the sidecar stops.
func (c *sessionDriver) waitForChange(until time.Time) bool {
	var due <-chan time.Time
	if !until.IsZero() {
		timer := time.NewTimer(time.Until(until))
		defer timer.Stop()
		due = timer.C
	}
	var changed <-chan struct{}
	if c.saved != nil {
		changed = c.saved.changed
	}
	select {
	case <-due:
	case <-changed:
	case <-c.srv.life.Done():
		return false
	}
	return true
}

// wakeSearchLocked lets a search see that the client has come or that the session is
// over. The caller holds the lock.
func (c *sessionDriver) wakeSearchLocked() {
	if c.saved == nil || c.saved.changed == nil {
		return
	}
	select {
	case c.saved.changed <- struct{}{}:
	default:
	}
}

// redialPatience is how long an app may take for a handshake that is made again, at
// the least.
const redialPatience = 10 * time.Second

// redialUntil is when an attempt is given up that begins at now in a search that
// ends at end: an app that takes the connection and hangs leaves time for another.
func redialUntil(now, end time.Time) time.Time {
	until := now.Add(max(redialPatience, end.Sub(now)/2))
	if until.After(end) {
		return end
	}
	return until
}

// dialAgain makes the client's handshake once more. Without a socket it
// reports whether the app did not accept the client's credentials.
func (c *sessionDriver) dialAgain(end time.Time) (app *upgrade.AppConn, denied bool) {
	began := time.Now()
	ctx, cancel := context.WithDeadline(c.srv.life, redialUntil(began, end))
	defer cancel()
	r, offer := c.handshake()
	trace := c.trace()
	span := child(trace)
	app, refusal, err := c.srv.dialApp(ctx, c.srv.within(r, span), offer)
	switch {
	case err != nil:
		c.dialled(event.AppFailed, began, span, trace)
		return nil, false
	case refusal != nil:
		refusal.Close()
		c.dialled(event.AppRefused, began, span, trace)
		return nil, denies(refusal.Status, r)
	}
	c.dialled(event.AppOK, began, span, trace)
	return app, false
}

// takeApp gives the session its new socket. An app that compresses otherwise
// than before, or chooses another subprotocol, is not what the client was
// answered for.
func (c *sessionDriver) takeApp(search *redial.Search, app *upgrade.AppConn) bool {
	now := c.enter()
	defer c.leave()
	m, ok := c.m.(*session.Session)
	same := ok && (app.Deflate == nil) == (c.deflate == nil) && app.Subprotocol == m.Subprotocol()
	if !same || !m.AppBack(now, app.Subprotocol, app.Deflate != nil) {
		app.Conn.Close()
		return false
	}
	if search != nil { // otherwise it was the client who came
		c.saved.history.Made(now, search)
	}
	c.saved.denied, c.saved.renewed = false, search == nil
	c.app = c.newAppLeg(app.Conn)
	c.settleLocked(now)
	if c.app != nil {
		c.app.t.Start(app.Early)
	}
	return true
}

// giveUpLocked tells the session that there is no other socket. The caller holds the
// lock and settles.
func (c *sessionDriver) giveUpLocked(now time.Time) {
	if m, ok := c.m.(*session.Session); ok {
		m.AppGivenUp(now)
	}
}

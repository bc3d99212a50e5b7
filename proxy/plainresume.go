package proxy

import (
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/monotime"
	"github.com/wsresilience/wsresilience/internal/upgrade"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/wire"
)

// minPlainKey is the least length of what names a plain client: it grants
// the session to whoever knows it, and shorter ones could be guessed.
const minPlainKey = 16

// plainKey returns the id of the session that a client without wsr.v1 means,
// if Config.PlainResume says how it tells and it does. The id is a hash, so
// that what the client says is kept nowhere, and of Origin, path and Host too.
func plainKey(r *http.Request, scheme, by string) (id wire.SessionID, ok bool) {
	kind, name, _ := strings.Cut(by, ":")
	var values []string
	switch kind {
	case "query":
		values = r.URL.Query()[name]
	case "cookie":
		values = cookieValues(r.Header["Cookie"], name)
	}
	if len(values) != 1 || len(values[0]) < minPlainKey {
		return id, false
	}
	d := upgrade.NewDigest()
	d.Add("plain", values)
	d.Add("place", []string{normalHost(r.Host, scheme), rawPath(r), strings.ToLower(r.Header.Get("Origin"))})
	copy(id[:], d.Sum(nil))
	return id, true
}

// plainResume joins a client without wsr.v1 with the session that it names, or
// begins it.
func (q *request) plainResume(id wire.SessionID) {
	c, done := q.s.sessions.find(id, q.r.Context().Done())
	switch {
	case c != nil:
		q.session = id
		q.rejoin(c)
	case done != nil:
		defer done()
		q.beginPlainResume(id)
	}
}

func (q *request) beginPlainResume(id wire.SessionID) {
	s := q.s
	if q.refuseNew() {
		return
	}
	app := q.dialApp(q.handshake())
	if app == nil {
		return
	}
	c := q.counted(&sessionDriver{srv: s, id: id, born: monotime.At(q.began), deflate: app.Deflate, subject: q.about(firstEpoch)}, app)
	if c == nil {
		return
	}
	extensions, compressed := q.extensions(app.Deflate)
	conn, err := q.accept(app.Subprotocol, extensions, app.Fields)
	if err != nil {
		s.limit.remove(c)
		app.Conn.Close()
		return
	}
	now := time.Now()
	m := session.New(&s.live.Load().echo, now, session.Start{
		ID: id, Subprotocol: app.Subprotocol, Extensions: extensions, Deflate: app.Deflate != nil, Echo: true,
	})
	c.m = m
	c.keepHandshake(q, q.handshake(), session.Start{})
	c.client, c.app = c.newLeg(conn), c.newAppLeg(app.Conn)
	m.AttachEcho(now, compressed)
	if !s.sessions.add(c) {
		c.abandonUnregistered()
		return
	}
	c.accepted(event.Plain)
	c.began(event.Resilient)
	c.start(app.Early)
}

// rejoin is reattach for a client without wsr.v1, whom nothing can be told but
// by HTTP.
func (q *request) rejoin(c *sessionDriver) {
	if !c.mayResume(false) {
		q.tooOften()
		return
	}
	switch reason, _, _ := q.authorizeResume(q.r.Context()); reason {
	case 0:
	case wire.ResetUnauthorized:
		q.refuse(&upgrade.Refusal{Status: http.StatusForbidden, Reason: "not authorised", Label: event.RefusedResume})
		return
	default:
		q.later("the app could not be asked", event.RefusedResume)
		return
	}
	protocol := c.subprotocol()
	if protocol != "" && !slices.Contains(q.offer.App, protocol) {
		q.refuse(&upgrade.Refusal{Status: http.StatusBadRequest, Reason: "the session has another subprotocol", Label: event.RefusedProtocols})
		return
	}
	if !c.mayResume(true) {
		q.tooOften()
		return
	}
	extensions, compressed := q.extensions(c.deflate)
	conn, err := q.accept(protocol, extensions, nil)
	if err != nil {
		return
	}
	e, ok := c.attachEcho(conn, q.subject, compressed)
	if !ok {
		conn.Close() // it has ended meanwhile, and the next attempt begins anew
		return
	}
	c.accepted(event.Plain)
	e.Took = time.Since(q.began)
	c.observe(e)
	c.replaceHandshake(q, nil)
}

func (c *sessionDriver) subprotocol() string {
	c.enter()
	defer c.leave()
	if m, ok := c.m.(*session.Session); ok {
		return m.Subprotocol()
	}
	return ""
}

func (q *request) tooOften() {
	q.later("the session was resumed too often", event.RefusedResume)
}

// mayResume reports whether the session may be resumed once more, and counts that:
// before the handshake is answered, after which nothing can be told.
func (c *sessionDriver) mayResume(count bool) bool {
	now := c.enter()
	defer c.leave()
	m, ok := c.m.(*session.Session)
	if !ok || c.over {
		return true // it begins anew
	}
	if m.ResumesTooOften(now) {
		c.srv.slowings.Count(session.LimitResumes)
		return false
	}
	if count {
		m.CountResume(now)
	}
	return true
}

func (c *sessionDriver) attachEcho(conn net.Conn, comes *event.Subject, compressed bool) (e event.Event, ok bool) {
	now := c.enter()
	defer c.leave()
	m, ok := c.m.(*session.Session)
	if !ok || c.over {
		return event.Event{}, false
	}
	if m.Attached() {
		c.comes = comes
		m.Supersede(now)
		c.settleLocked(now)
		c.comes = nil
	}
	away := m.Away(now)
	if c.over || m.AttachEcho(now, compressed) != 0 {
		return event.Event{}, false
	}
	e = event.Event{Kind: event.Resumed, Resume: event.ResumeResumed, Owner: c.srv.self(), Came: comes, Away: away, Lacking: m.Lacking()}
	c.authorizedLocked(now)
	c.join(now, conn)
	return e, true
}

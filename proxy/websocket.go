package proxy

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/internal/monotime"
	"github.com/wsresilience/wsresilience/internal/peer"
	"github.com/wsresilience/wsresilience/internal/transport"
	"github.com/wsresilience/wsresilience/internal/upgrade"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

// serve is the whole port: other sidecars and clients.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if r = s.peers.Receive(w, r); r != nil {
		s.peerProved(r)
		s.serveClient(w, r)
	}
}

// serveClient is what clients see of it: plain HTTP, plain WebSocket, resilient
// WebSocket.
func (s *Server) serveClient(w http.ResponseWriter, r *http.Request) {
	switch {
	case s.cfg.Pages.Serves(r.Method, r.URL.Path) && !upgrade.Requested(r):
		if r.ProtoMajor == 1 {
			// net/http has this connection now: what comes on another passes byte for byte.
			w.Header().Set("Connection", "close")
		}
		s.cfg.Pages.ServeHTTP(w, r)
		return
	case !upgrade.Requested(r):
		s.passthrough.ServeHTTP(w, r)
		return
	}
	req, ref := upgrade.Parse(r)
	if ref != nil {
		s.refuse(w, ref)
		return
	}
	offer, err := wire.ParseOffer(req.Protocols)
	if err != nil {
		s.refuse(w, &upgrade.Refusal{Status: http.StatusBadRequest, Reason: "the wsr entries of Sec-WebSocket-Protocol are malformed", Label: event.RefusedOffer})
		return
	}
	client := s.clientOf(r)
	q := &request{s: s, w: w, r: r, req: req, offer: offer, began: time.Now(), scheme: s.scheme, client: client}
	if p, ok := peer.Forwarded(r); ok {
		q.scheme, q.forwarded, q.via = p.Scheme(), true, hostOf(p.Peer)
	}
	session := offer.Resilient && (s.live.Load().cfg.Resilient(r.URL.Path) || s.holdsToken(r, q.scheme, offer))
	if session {
		q.trace()
	}
	q.subject = q.about(0)
	defer q.answered()
	if offer.Resume == nil && s.drainState.refusing() {
		q.later("this pod is about to stop", event.RefusedDraining)
		return
	}
	s.handshakes.Add(1)
	defer s.handshakes.Add(-1)
	switch {
	case !session:
		q.plain()
	case offer.Resume == nil:
		q.fresh()
	default:
		q.resume()
	}
}

// refuseNew refuses a client that would begin something while there is no room
// for more.
func (q *request) refuseNew() bool {
	f := q.s.refusesNew(q.client)
	if f != nil {
		q.later(f.Reason, f.Label)
	}
	return f != nil
}

func (s *Server) refuse(w http.ResponseWriter, ref *upgrade.Refusal) {
	s.observe(event.Event{Kind: event.Refused, Refusal: ref.Label})
	ref.Write(w)
}

func (q *request) refuse(ref *upgrade.Refusal) {
	q.end.Refusal = ref.Label
	q.observe(event.Event{Kind: event.Refused, Refusal: ref.Label, Fact: ref.Reason})
	ref.Write(q.w)
}

// later refuses a client that may have more luck in a moment, or elsewhere.
func (q *request) later(reason string, label event.Refusal) {
	q.w.Header().Set("Retry-After", retryAfter())
	q.refuse(&upgrade.Refusal{Status: http.StatusServiceUnavailable, Reason: reason, Label: label})
}

// minRetryAfter is the fewest seconds after which a client that was refused
// comes again, and half of the most: those that are refused together should not
// come together.
const minRetryAfter = 6

// A request is one upgrade in progress.
type request struct {
	s      *Server
	w      http.ResponseWriter
	r      *http.Request
	req    *upgrade.Request
	offer  wire.Offer
	began  time.Time
	scheme string // of the client's own connection: http or https

	session   wire.SessionID // that a valid token names
	forwarded bool           // by another sidecar; otherwise the client came itself
	client    netip.Addr     // where it is
	via       string         // the address of that one
	subject   *event.Subject // of reports
	traced
}

// dialApp makes the handshake with the app. When the app refuses, the client
// has its answer already, and the result is nil.
func (q *request) dialApp(hs upgrade.Offer) *upgrade.AppConn {
	app, refusal := q.askApp(hs)
	if app == nil {
		refusal.answer()
	}
	return app
}

// An appRefusal is what an app has answered instead of 101.
type appRefusal struct {
	status  int    // 0: it did not answer
	answer  func() // tells the client
	discard func() // instead of answer
}

// askApp makes the handshake with the app. When the app refuses, the result is
// nil, and the client has to be told.
func (q *request) askApp(hs upgrade.Offer) (*upgrade.AppConn, appRefusal) {
	hs.Scheme = q.scheme
	began, span := time.Now(), child(q.span)
	app, refusal, err := q.s.dialApp(q.r.Context(), q.s.within(q.r, span), hs)
	dialled := event.Event{Kind: event.Dialled, Took: time.Since(began), Span: span, Parent: q.span.SpanID}
	var ue *upgrade.AppError
	switch {
	case errors.As(err, &ue):
		dialled.Answer, dialled.Fact = event.AppFailed, upgrade.Quiet(err).Error()
		q.observe(dialled)
		return nil, appRefusal{answer: func() { q.refuse(ue.Refusal()) }}
	case refusal != nil:
		dialled.Answer, dialled.Status = event.AppRefused, refusal.Status
		q.observe(dialled)
		q.end.Status = refusal.Status
		return nil, appRefusal{
			status: refusal.Status,
			answer: func() {
				if err := refusal.Pass(q.s.life, q.w); err != nil {
					q.s.log.Debug("app's refusal was cut short", "error", err)
				}
			},
			discard: refusal.Close,
		}
	}
	q.observe(dialled)
	return app, appRefusal{}
}

// accept completes the client's handshake and takes its connection.
func (q *request) accept(protocol, extensions string, fields []byte) (net.Conn, error) {
	conn, err := upgrade.Answer(q.w, q.req.AppendSwitch(nil, protocol, extensions, fields))
	if errors.Is(err, upgrade.ErrEarly) {
		q.observe(event.Event{Kind: event.Refused, Refusal: event.RefusedEarly})
	}
	return conn, err
}

// plain joins a client that did not negotiate wsr.v1 with the app.
func (q *request) plain() {
	s := q.s
	if id, ok := plainKey(q.r, q.scheme, q.s.cfg.PlainResume); ok {
		q.plainResume(id)
		return
	}
	if q.refuseNew() {
		return
	}
	// Without entries of ours to strip, the client's own offer passes as it
	// is.
	hs := upgrade.Offer{Verbatim: len(q.offer.App) == len(q.req.Protocols), Protocols: q.offer.App, Offers: q.req.Offers}
	app := q.dialApp(hs)
	if app == nil {
		return
	}
	c := q.counted(&sessionDriver{srv: s, plain: true, born: monotime.At(q.began), subject: q.subject}, app)
	if c == nil {
		return
	}
	conn, err := q.accept(app.Subprotocol, app.Extensions, app.Fields)
	if err != nil {
		s.limit.remove(c)
		app.Conn.Close()
		return
	}
	s.startPlain(c, conn, app.Conn, app.Early)
}

// start begins to read both legs.
func (c *sessionDriver) start(early []byte) {
	now := c.enter()
	defer c.leave()
	if m, ok := c.m.(*session.Session); ok && c.srv.Draining() {
		m.Drain(true) // it began after the others were told
	}
	c.reloadLocked(now) // it may have begun before a Reload, and been unknown to it
	c.settleLocked(now)
	if c.client != nil {
		c.client.t.Start(nil)
	}
	if c.app != nil {
		c.app.t.Start(early)
	}
}

// fresh begins a resilient session.
func (q *request) fresh() {
	s := q.s
	if s.StoreAway() && s.cfg.StrictStore {
		q.laterForPages("the journal is out of reach", event.RefusedJournal)
		return
	}
	if q.refuseNew() {
		return
	}
	if key, ok := q.shareKey(); ok {
		q.join(key)
		return
	}
	id := newSessionID()
	hs := q.sessionHandshake(id, firstEpoch)
	app := q.dialApp(hs)
	if app == nil {
		return
	}
	q.session = id
	c := q.counted(&sessionDriver{srv: s, id: id, born: monotime.At(q.began), deflate: app.Deflate, subject: q.about(firstEpoch)}, app)
	if c == nil {
		return
	}
	extensions, compressed := q.extensions(app.Deflate)
	conn, err := q.accept(wire.Subprotocol, extensions, app.Fields)
	if err != nil {
		s.limit.remove(c)
		app.Conn.Close()
		return
	}
	now := time.Now()
	start := q.start(id, app.Subprotocol)
	start.Extensions, start.Deflate = extensions, app.Deflate != nil
	c.keepHandshake(q, hs, start)
	m := session.New(&s.live.Load().session, now, start)
	c.m, c.chain.Writer = m, store.NewWriter()
	c.client, c.app = c.newLeg(conn), c.newAppLeg(app.Conn)
	m.Attach(now, wire.StatusNew, session.Position{Next: 1, Adopt: q.offer.Adopt, Reopen: q.offer.Reopen, Keys: q.offer.Keys, Share: q.offer.Share}, compressed)
	if !s.sessions.add(c) {
		c.abandonUnregistered()
		return
	}
	c.accepted(event.Resilient)
	c.began(event.Resilient)
	c.start(app.Early)
}

// counted returns c, the driver of a session that begins, when it counts: before
// its client hears that it is there. nil: there are too many, and the client knows.
func (q *request) counted(c *sessionDriver, app *upgrade.AppConn) *sessionDriver {
	if q.s.limit.add(c, q.client, false) {
		return c
	}
	app.Conn.Close()
	q.later(tooManySessions.Reason, tooManySessions.Label)
	return nil
}

// abandonUnregistered is for a driver that came too late: the sidecar stops.
func (c *sessionDriver) abandonUnregistered() {
	c.srv.limit.remove(c)
	c.releaseHandshake()
	c.client.t.Abort()
	if c.app != nil {
		c.app.t.Abort()
		c.appClosedLocked(false)
	}
}

// extensions is the answer to the client's offers for an app that compresses
// by d, and whether the client's leg is compressed.
func (q *request) extensions(d *upgrade.DeflateParams) (string, bool) {
	if d == nil {
		return "", false
	}
	return d.AnswerFor(q.req.Offers)
}

// laterForPages is later for what a plain client would not be refused. A page does
// not see why a handshake failed, and would take us for a server that refuses
// wsr.v1: its handshake is accepted, and closed (PROTOCOL §2.2).
func (q *request) laterForPages(reason string, label event.Refusal) {
	if q.r.Header.Get("Origin") == "" {
		q.later(reason, label)
		return
	}
	conn, err := q.accept(wire.Subprotocol, "", nil)
	if err != nil {
		return
	}
	q.end.Refusal = label
	q.observe(event.Event{Kind: event.Refused, Refusal: label, Fact: reason})
	q.writeFinal(conn, frame.Append(nil, ws.Header{Fin: true, OpCode: ws.OpClose}, wire.AppendClosePayload(nil, wire.CodeTryLater, reason)))
}

// reset tells a client that its session cannot be resumed (PROTOCOL §4.8). It
// is said on an accepted connection, since a page never learns why a
// handshake failed. fact tells operators why.
func (q *request) reset(reason wire.ResetReason, fact string) {
	conn, err := q.accept(wire.Subprotocol, "", nil)
	if err != nil {
		return
	}
	q.writeReset(conn, reason, fact)
}

// writeReset is reset on a connection that was accepted already.
func (q *request) writeReset(conn net.Conn, reason wire.ResetReason, fact string) {
	q.writeLast(conn, event.Event{Reset: reason, Fact: fact}, wire.AppendReset(nil, reason))
}

// resetRefused tells a client that the app refuses it, and with which status. A
// redirect, to a page for logging in, is no status of a refusal.
func (q *request) resetRefused(status int, fact string) {
	if status < http.StatusBadRequest {
		q.reset(wire.ResetUnauthorized, fact)
		return
	}
	if conn, err := q.accept(wire.Subprotocol, "", nil); err == nil {
		q.writeLast(conn, event.Event{Reset: wire.ResetUnauthorized, Status: status, Fact: fact}, wire.AppendRefused(nil, uint16(status)))
	}
}

// writeLast writes RESET and reports it.
func (q *request) writeLast(conn net.Conn, e event.Event, msg []byte) {
	e.Kind, e.Resume, e.Via, e.Took = event.Resumed, event.ResumeReset, q.via, time.Since(q.began)
	q.end.Reset, q.end.Status, q.end.Fact = e.Reset, e.Status, e.Fact
	q.observe(e)
	b := frame.Append(nil, ws.Header{Fin: true, OpCode: ws.OpBinary}, msg)
	b = frame.Append(b, ws.Header{Fin: true, OpCode: ws.OpClose}, []byte{byte(wire.CodeReset >> 8), byte(wire.CodeReset & 0xff)})
	q.writeFinal(conn, b)
}

// writeFinal writes the last of a connection that belongs to no session.
func (q *request) writeFinal(conn net.Conn, b []byte) {
	t := q.s.sockets.Open(conn, transport.Discard{}, nil, nil) // early data of a session that is no more goes nowhere
	t.Start(nil)
	if t.Write([][]byte{b}) < len(b) {
		t.Abort()
		return
	}
	t.Finish()
}

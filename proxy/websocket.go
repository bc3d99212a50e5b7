package proxy

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/internal/monotime"
	"github.com/wsresilience/wsresilience/internal/transport"
	"github.com/wsresilience/wsresilience/internal/upgrade"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

// serve is the whole port: plain HTTP, plain WebSocket, resilient WebSocket.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if !upgrade.Requested(r) {
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
	h := &arrival{s: s, w: w, r: r, req: req, offer: offer, began: time.Now(), scheme: s.scheme}
	if offer.Resume == nil && s.drainState.refusing() {
		h.later("this pod is about to stop", event.RefusedDraining)
		return
	}
	switch {
	case !offer.Resilient, !s.cfg.Resilient(r.URL.Path):
		h.plain()
	case offer.Resume == nil:
		h.fresh()
	default:
		h.resume()
	}
}

func (s *Server) refuse(w http.ResponseWriter, ref *upgrade.Refusal) {
	s.observe(event.Event{Kind: event.Refused, Refusal: ref.Label})
	ref.Write(w)
}

// later refuses a client that may have more luck in a moment, or elsewhere.
func (h *arrival) later(reason string, label event.Refusal) {
	h.w.Header().Set("Retry-After", "10")
	h.refuse(&upgrade.Refusal{Status: http.StatusServiceUnavailable, Reason: reason, Label: label})
}

// An arrival is one upgrade request on its way to a conduit.
type arrival struct {
	s      *Server
	w      http.ResponseWriter
	r      *http.Request
	req    *upgrade.Request
	offer  wire.Offer
	began  time.Time
	scheme string // of the client's own connection: http or https

	session   wire.SessionID // that a valid token names
	forwarded bool           // by another sidecar; otherwise the client came itself
}

// dialApp makes the handshake with the app. When the app refuses, the client
// has its answer already, and the result is nil.
func (h *arrival) dialApp(hs upgrade.Offer) *upgrade.AppConn {
	hs.Scheme = h.scheme
	began := time.Now()
	app, resp, err := h.s.upstream.Dial(h.r.Context(), h.r, hs)
	took := time.Since(began)
	var ue *upgrade.AppError
	switch {
	case errors.As(err, &ue):
		h.s.observe(event.Event{Kind: event.Dialled, Answer: event.AppFailed, Took: took})
		h.s.log.Warn("app handshake failed", "error", err)
		h.s.refuse(h.w, ue.Refusal())
		return nil
	case resp != nil:
		h.s.observe(event.Event{Kind: event.Dialled, Answer: event.AppRefused, Took: took})
		if err := upgrade.PassRefusal(h.w, resp); err != nil {
			h.s.log.Debug("app's refusal was cut short", "error", err)
		}
		return nil
	}
	h.s.observe(event.Event{Kind: event.Dialled, Answer: event.AppOK, Took: took})
	return app
}

// accept completes the client's handshake and takes its connection.
func (h *arrival) accept(protocol, extensions string, header http.Header) (net.Conn, error) {
	conn, err := upgrade.Answer(h.w, h.req.AppendSwitch(nil, protocol, extensions, header))
	if errors.Is(err, upgrade.ErrEarly) {
		h.s.observe(event.Event{Kind: event.Refused, Refusal: event.RefusedEarly})
	}
	return conn, err
}

// plain joins a client that did not negotiate wsr.v1 with the app.
func (h *arrival) plain() {
	s := h.s
	if id, ok := h.plainKey(); ok {
		h.linger(id)
		return
	}
	// Without entries of ours to strip, the client's own offer passes as it
	// is.
	hs := upgrade.Offer{Verbatim: len(h.offer.App) == len(h.req.Protocols), Protocols: h.offer.App, Offers: h.req.Offers}
	app := h.dialApp(hs)
	if app == nil {
		return
	}
	conn, err := h.accept(app.Subprotocol, app.Extensions, app.Header)
	if err != nil {
		app.Conn.Close()
		return
	}
	c := &conduit{srv: s, plain: true, born: monotime.At(h.began)}
	c.m = session.NewPlain(&s.session, time.Now(), app.Extensions != "")
	c.client, c.app = c.newLeg(conn), c.newLeg(app.Conn)
	if !s.sessions.add(c) {
		c.abandonUnregistered()
		return
	}
	c.accepted(event.Plain)
	c.began(event.Plain)
	c.start(app.Early)
}

// start begins to read both legs.
func (c *conduit) start(early []byte) {
	now := c.enter()
	defer c.leave()
	if m, ok := c.m.(*session.Session); ok && c.srv.Draining() {
		m.Drain() // it began after the others were told
	}
	c.settle(now)
	if c.client != nil {
		c.client.t.Start(nil)
	}
	if c.app != nil {
		c.app.t.Start(early)
	}
}

// fresh begins a resilient session.
func (h *arrival) fresh() {
	s := h.s
	if s.StoreAway() && s.cfg.StrictStore {
		h.later("the journal is out of reach", event.RefusedJournal)
		return
	}
	if s.session.Scarce() {
		h.later("out of session memory", event.RefusedMemory)
		return
	}
	hs := h.handshake()
	app := h.dialApp(hs)
	if app == nil {
		return
	}
	extensions, compressed := h.extensions(app.Deflate)
	conn, err := h.accept(wire.Subprotocol, extensions, app.Header)
	if err != nil {
		app.Conn.Close()
		return
	}
	now := time.Now()
	id := newSessionID()
	c := &conduit{srv: s, id: id, born: monotime.At(h.began), deflate: app.Deflate}
	start := h.start(id)
	start.Subprotocol, start.Extensions, start.Deflate = app.Subprotocol, extensions, app.Deflate != nil
	c.keepHandshake(h, hs, start)
	m := session.New(&s.session, now, start)
	c.m, c.journal.writer = m, store.NewWriter()
	c.client, c.app = c.newLeg(conn), c.newLeg(app.Conn)
	m.Attach(now, wire.StatusNew, session.Position{Next: 1}, compressed)
	if !s.sessions.add(c) {
		c.abandonUnregistered()
		return
	}
	c.accepted(event.Resilient)
	c.began(event.Resilient)
	c.start(app.Early)
}

// abandonUnregistered is for a conduit that came too late: the sidecar stops.
func (c *conduit) abandonUnregistered() {
	c.client.t.Abort()
	if c.app != nil {
		c.app.t.Abort()
	}
}

// extensions is the answer to the client's offers for an app that compresses
// by d, and whether the client's leg is compressed.
func (h *arrival) extensions(d *upgrade.DeflateParams) (string, bool) {
	if d == nil {
		return "", false
	}
	return d.AnswerFor(h.req.Offers)
}

// reset tells a client that its session cannot be resumed (PROTOCOL §4.8). It
// is said on an accepted connection, since a page never learns why a
// handshake failed.
func (h *arrival) reset(reason wire.ResetReason) {
	conn, err := h.accept(wire.Subprotocol, "", nil)
	if err != nil {
		return
	}
	h.sayReset(conn, reason)
}

// sayReset is reset on a connection that was accepted already.
func (h *arrival) sayReset(conn net.Conn, reason wire.ResetReason) {
	h.s.observe(event.Event{Kind: event.Resumed, Session: h.session, Resume: event.ResumeReset, Reset: reason, Took: time.Since(h.began)})
	b := frame.Append(nil, ws.Header{Fin: true, OpCode: ws.OpBinary}, wire.AppendReset(nil, reason))
	b = frame.Append(b, ws.Header{Fin: true, OpCode: ws.OpClose}, []byte{byte(wire.CodeReset >> 8), byte(wire.CodeReset & 0xff)})
	t := h.s.sockets.Open(conn, transport.Discard{}, nil, nil) // early data of a session that is no more goes nowhere
	t.Start(nil)
	if t.Write([][]byte{b}) < len(b) {
		t.Abort()
		return
	}
	t.Finish()
}

// context bounds the journal calls of an arrival.
func (h *arrival) context() (context.Context, context.CancelFunc) {
	return context.WithTimeout(h.r.Context(), appendTimeout)
}

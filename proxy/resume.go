package proxy

import (
	"errors"
	"net"
	"time"

	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

// resume brings a client back to its session: here, or from the journal.
// Whatever is wrong with a token, the answer is the same and nothing happens
// to the session that it names.
func (h *arrival) resume() {
	t, err := wire.OpenToken(h.s.cfg.Tokens, h.offer.Resume.Token, time.Now())
	if err != nil || t.Binding != h.binding() {
		h.reset(wire.ResetToken)
		return
	}
	c, done := h.s.sessions.find(t.Session, h.r.Context().Done())
	switch {
	case c != nil:
		h.reattach(c, t)
	case done != nil:
		defer done()
		h.adopt(t)
	}
}

// position is what the client says it has.
func (h *arrival) position() session.Position {
	return session.Position{
		Received: seqwindow.Serial(h.offer.Resume.Received),
		Next:     seqwindow.Serial(h.offer.Resume.Next),
	}
}

// reattach joins the client's new connection with a session that lives here.
// The session is asked twice: before the handshake is answered, so that a
// refused client disturbs nobody, and after, since it may have ended.
func (h *arrival) reattach(c *conduit, t *wire.Token) {
	if reason := c.check(t, h.position()); reason != 0 {
		h.reset(reason)
		return
	}
	extensions, compressed := h.extensions(c.deflate)
	conn, err := h.accept(wire.Subprotocol, extensions, nil)
	if err != nil {
		return
	}
	if reason := c.attach(conn, t, h.position(), compressed); reason != 0 {
		h.sayReset(conn, reason)
		return
	}
	h.s.observer.Accepted(kindResilient)
	h.s.observer.Resumed("resumed", "", time.Since(h.began))
}

// check tells why a resume cannot be, or 0.
func (c *conduit) check(t *wire.Token, at session.Position) wire.ResetReason {
	c.enter()
	defer c.leave()
	_, reason := c.resumable(t, at)
	return reason
}

// resumable returns the session, or why it cannot be resumed.
func (c *conduit) resumable(t *wire.Token, at session.Position) (*session.Session, wire.ResetReason) {
	m, ok := c.m.(*session.Session)
	switch {
	case !ok || c.over:
		return nil, wire.ResetUnknown
	case !m.TokenValid(t.Epoch, t.Generation):
		return nil, wire.ResetToken
	}
	return m, m.Check(at)
}

// attach makes conn the session's connection, or tells why not. The one
// before it, however alive it looks, is closed first (PROTOCOL §8.1).
func (c *conduit) attach(conn net.Conn, t *wire.Token, at session.Position, compressed bool) wire.ResetReason {
	now := c.enter()
	defer c.leave()
	m, reason := c.resumable(t, at)
	if reason != 0 {
		return reason
	}
	if m.Attached() {
		m.Supersede(now)
		c.settle(now)
	}
	m.Presented(t.Epoch, t.Generation)
	if c.over {
		return wire.ResetUnknown
	}
	if reason := m.Attach(now, wire.StatusResumed, at, compressed); reason != 0 {
		return reason
	}
	c.client = c.newLeg(conn)
	c.settle(now)
	if c.client != nil {
		c.client.t.Start(nil)
	}
	return 0
}

func (s *Server) newJournal(id wire.SessionID) *journal {
	if s.cfg.Store == nil {
		return nil
	}
	return &journal{
		store: s.cfg.Store, id: store.ID(id), writer: store.NewWriter(),
		observer: s.observer, log: s.log,
	}
}

// adopt continues a session from the journal: its owner is gone, and with it
// the app's socket (PROTOCOL §8.3).
func (h *arrival) adopt(t *wire.Token) {
	if h.s.cfg.Store == nil {
		h.reset(wire.ResetUnknown)
		return
	}
	ctx, cancel := h.context()
	defer cancel()
	state, err := store.TakeOver(ctx, h.s.cfg.Store, store.ID(t.Session), h.s.cfg.Advertise, time.Now())
	if reason := h.adoptable(t, state, err); reason != 0 {
		h.reset(reason)
		return
	}
	start := session.Start{ID: t.Session, Subprotocol: state.Subprotocol, Binding: h.binding()}
	var app *appConn
	if goOn := !state.Closed && h.s.cfg.Adopt(h.offer.Adopt); goOn {
		app = h.dialApp(appHandshake{Protocols: h.offer.App, Offers: h.req.Offers})
		if app == nil {
			return
		}
		start.Subprotocol, start.Deflate = app.Subprotocol, app.Deflate != nil
	}
	h.adoptWith(t, start, state, app)
}

// adoptable tells why a session cannot be adopted, or 0.
func (h *arrival) adoptable(t *wire.Token, state *store.State, err error) wire.ResetReason {
	switch {
	case err == nil:
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrEnded):
		return wire.ResetUnknown
	case errors.Is(err, store.ErrCorrupt):
		h.s.log.Error("journal of a session cannot be read", "session", t.Session.String(), "error", err)
		return wire.ResetLost
	default:
		h.s.log.Warn("session cannot be adopted now", "session", t.Session.String(), "error", err)
		return wire.ResetTryAgain
	}
	if t.Epoch >= state.Epoch {
		return wire.ResetToken // of an ownership that the journal has not seen
	}
	if at := state.DetachedAt; at != 0 && time.Since(time.UnixMilli(at)) > h.s.cfg.SessionTTL {
		return wire.ResetUnknown
	}
	return 0
}

// adoptWith makes the session anew, around app or, if that is nil, around
// what is left to be delivered.
func (h *arrival) adoptWith(t *wire.Token, start session.Start, state *store.State, app *appConn) {
	s := h.s
	c := &conduit{srv: s, id: t.Session, born: h.began}
	var header map[string][]string
	var early []byte
	if app != nil {
		c.app, c.deflate = c.newLeg(app.Conn), app.Deflate
		header, early = app.Header, app.Early
	}
	extensions, compressed := h.extensions(c.deflate)
	start.Extensions = extensions
	now := time.Now()
	m, reason := session.Adopt(&s.session, now, start, state, h.position(), app != nil)
	if reason != 0 {
		if c.app != nil {
			c.app.t.Abort()
		}
		h.reset(reason)
		return
	}
	c.m, c.journal = m, s.newJournal(t.Session)
	c.journal.writer, c.journal.revision = state.Writer, state.Revision
	conn, err := h.accept(wire.Subprotocol, extensions, header)
	if err == nil {
		if reason := m.Attach(now, wire.StatusAdopted, h.position(), compressed); reason == 0 {
			c.client = c.newLeg(conn)
			s.observer.Accepted(kindResilient)
			s.observer.Resumed("adopted", m.Adopted().String(), time.Since(h.began))
		} else {
			h.sayReset(conn, reason)
		}
	}
	// Without a connection the session is ours all the same, and waits.
	if !s.sessions.add(c) {
		c.kill()
		return
	}
	s.observer.Began(kindResilient)
	c.start(early)
}

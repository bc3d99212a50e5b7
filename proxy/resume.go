package proxy

import (
	"context"
	"net"
	"time"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/peer"
	"github.com/wsresilience/wsresilience/internal/upgrade"
	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/wire"
)

// Implementation limits of a resume.
const (
	// resumeTries bounds how often a resume looks again because the session
	// moved meanwhile. Each look follows a move, which takes longer than it.
	resumeTries = 5

	// handedWait is how long a client that came by another sidecar waits for
	// its session to be handed over: the app's answer (1 s) and some appends.
	handedWait = 5 * time.Second
)

// resume brings a client back to its session: here, at its owner by a tunnel,
// or from the journal. Whatever is wrong with a token, the answer is the same
// and nothing happens to the session that it names.
func (h *arrival) resume() {
	if p, ok := h.s.peers.OpenProof(h.r); ok {
		p.Restore(h.r)
		h.scheme, h.forwarded = p.Scheme(), true
	}
	t, err := wire.OpenToken(h.s.cfg.Tokens, h.offer.Resume.Token, time.Now())
	if err != nil || t.Binding != h.binding() {
		h.reset(wire.ResetToken)
		return
	}
	h.session = t.Session
	asked := owners{h.s.cfg.Advertise: peer.NotOwner}
	ask := t.Owner // saves the look into the journal in the common case
	for range resumeTries {
		if ask != "" && h.pass(ask, asked, t) {
			return
		}
		c, done := h.s.sessions.find(t.Session, h.r.Context().Done())
		switch {
		case c != nil:
			h.reattach(c, t)
			return
		case done == nil:
			return // the client is gone
		case h.forwarded:
			done()
			h.refuse(misdirected)
			return
		}
		var decided bool
		ask, decided = h.adopt(t, asked)
		done()
		if decided {
			return
		}
	}
	h.reset(wire.ResetTryAgain)
}

// misdirected tells another sidecar that the session is not here.
var misdirected = &upgrade.Refusal{Status: 421, Reason: "the session is not here", Label: event.RefusedMisdirected}

func (h *arrival) refuse(ref *upgrade.Refusal) { h.s.refuse(h.w, ref) }

// owners are the sidecars that were asked for the session, and what came of
// it.
type owners map[string]peer.Result

// pass hands the client to the session's owner. It returns false when that
// cannot serve it. A request that was forwarded once goes no further, and a
// session that is here needs nobody else.
func (h *arrival) pass(owner string, asked owners, t *wire.Token) bool {
	if _, before := asked[owner]; before || h.forwarded || h.s.sessions.has(t.Session) {
		return false
	}
	began := time.Now()
	end := h.s.peers.Forward(h.w, h.r, h.scheme, owner)
	asked[owner] = end
	h.s.observe(event.Event{Kind: event.Forwarded, Session: h.session, Forward: end, Took: time.Since(began)})
	return end == peer.Served
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
	if !h.allowed(h.r.Context()) || h.leaves(c) {
		return
	}
	if h.r.Context().Err() != nil {
		return // whoever came has gone on, and may be attached by now
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
	c.accepted(event.Resilient)
	c.observe(event.Event{Kind: event.Resumed, Resume: event.ResumeResumed, Took: time.Since(h.began)})
}

// leaves hands the session over, if this sidecar is about to stop and the
// client has come to another one that can adopt it. One that came here itself
// when the hand-over had begun is sent away.
func (h *arrival) leaves(c *conduit) bool {
	tunnelled := h.forwarded
	if !tunnelled && !c.isHandingOver() || tunnelled && !h.s.Draining() {
		return false
	}
	wait := time.NewTimer(handedWait)
	defer wait.Stop()
	select {
	case <-c.handOver(event.HandOverMoved):
		if tunnelled {
			h.refuse(misdirected)
			return true
		}
	case <-wait.C:
	case <-h.r.Context().Done():
		return true
	}
	h.reset(wire.ResetTryAgain)
	return true
}

// allowed asks the app, where it is to be asked, and answers the client that
// may not have its session.
func (h *arrival) allowed(ctx context.Context) bool {
	reason := h.permission(ctx)
	if reason != 0 {
		h.reset(reason)
	}
	return reason == 0
}

// permission is what the app says of a resume, counted; 0 where it is not
// asked.
func (h *arrival) permission(ctx context.Context) wire.ResetReason {
	if h.s.cfg.ResumeAuth == "" {
		return 0
	}
	outcome := event.AppOK
	reason := h.authorised(ctx)
	switch reason {
	case 0:
	case wire.ResetUnauthorised:
		outcome = event.AppRefused
	default:
		outcome = event.AppFailed
	}
	h.s.observe(event.Event{Kind: event.Authorised, Session: h.session, Answer: outcome})
	return reason
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
	case !ok || c.over && m.Moved():
		return nil, wire.ResetTryAgain // not here any more, but perhaps in the journal
	case c.over:
		return nil, wire.ResetUnknown
	case m.OwnershipSuspect():
		return nil, wire.ResetTryAgain
	}
	if reason := c.srv.judge(m.Token(t.Epoch, t.Generation), t); reason != 0 {
		return nil, reason
	}
	return m, m.Check(at)
}

// judge turns a verdict on a token into an answer. One that was used up is
// the sign of a copy, and somebody should look.
func (s *Server) judge(v session.TokenVerdict, t *wire.Token) wire.ResetReason {
	switch v {
	case session.TokenValid:
		return 0
	case session.TokenReused:
		s.observe(event.Event{Kind: event.TokenReused, Session: t.Session})
		s.log.Warn("a resume token came that was used up: there may be a copy of it", "audit", true,
			"session", t.Session.String(), "epoch", t.Epoch, "generation", t.Generation)
	}
	return wire.ResetToken
}

// attach makes conn the session's connection, or tells why not. The one
// before it, however alive it looks, is closed first (PROTOCOL §8.1).
func (c *conduit) attach(conn net.Conn, t *wire.Token, at session.Position, compressed bool) wire.ResetReason {
	now := c.enter()
	defer c.leave()
	m, reason := c.resumable(t, at)
	if reason == 0 && m.Attached() {
		m.Supersede(now)
		c.settle(now)
		m, reason = c.resumable(t, at)
	}
	if reason != 0 {
		return reason
	}
	m.ConfirmToken(t.Epoch, t.Generation)
	if reason := m.Attach(now, wire.StatusResumed, at, compressed); reason != 0 {
		return reason
	}
	c.join(now, conn)
	return 0
}

// join starts the connection that the session has attached, unless that was
// its end too.
func (c *conduit) join(now time.Time, conn net.Conn) {
	c.client = c.newLeg(conn)
	c.settle(now)
	if c.client != nil {
		c.client.t.Start(nil)
	}
}

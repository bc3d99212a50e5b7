package proxy

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/admission"
	"github.com/wsresilience/wsresilience/internal/peer"
	"github.com/wsresilience/wsresilience/internal/upgrade"
	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

// handOverTimeout is how long a session may take to be handed over, besides what
// its app may take for the answers that it owes: the app's close (1 s) and some
// appends.
const handOverTimeout = 4 * time.Second

// A resume brings a client back to its session: here, at its owner by a
// tunnel, or from the journal. It performs the steps that package admission
// decides on.
type resume struct {
	*request
	facts admission.Facts

	found   *sessionDriver  // by Look
	release func()          // lets others adopt the session here; nil: none are kept from it
	journal context.Context // bounds the calls of the journal since Load
	cancel  func()          // of journal; nil: there is none
}

// resume answers an upgrade that names a session. Whatever is wrong with a
// token, the answer is the same and nothing happens to the session that it
// names.
func (q *request) resume() {
	r := &resume{request: q, facts: admission.Facts{Forwarded: q.forwarded, Position: session.Position{
		Received: seqwindow.Serial(q.offer.Resume.Received),
		Next:     seqwindow.Serial(q.offer.Resume.Next),
		Attempt:  q.offer.Resume.Attempt,
		Adopt:    q.offer.Adopt,
	}}}
	if t := q.s.openToken(q.r, q.scheme, q.offer.Resume); t != nil {
		r.facts.Token, q.session = t, t.Session
		r.facts.Position.Epoch = t.Epoch
		q.subject = q.s.subject(q.r, q.client, t.Epoch)
	}
	defer r.endSearch()
	for r.perform(q.s.admission.Next(r.now())) {
	}
}

// now returns the facts as they are at this moment.
func (r *resume) now() *admission.Facts {
	f := &r.facts
	f.Now, f.Draining = time.Now(), r.s.Draining()
	if f.Token != nil {
		f.Here, f.Lease = r.s.sessions.has(r.session), r.s.lease(f.Token.Owner)
		f.Unread = f.Token.Version > r.s.tokenVersion()
		f.NoneNewer = r.s.noneNewer()
	}
	f.HandingOver = r.found != nil && r.found.isHandingOver()
	f.Renewing = r.found != nil && r.found.isRenewing()
	return f
}

// perform takes a step, and reports whether another one follows.
func (r *resume) perform(step admission.Step) bool {
	f := &r.facts
	switch step := step.(type) {
	case admission.Forward:
		return r.forward(step.Owner)
	case admission.Look:
		return r.look()
	case admission.Load:
		r.load()
	case admission.Release:
		r.found.replaced()
		f.Released()
	case admission.Authorize:
		f.Authorized(r.authorizeResume(r.context()))
	case admission.HandOver:
		return r.handOver()
	case admission.Adopt:
		return r.adopt()
	case admission.Attach:
		r.attach()
		return false
	case admission.Misdirect:
		r.refuse(misdirected)
		return false
	case admission.Refuse:
		r.report(step.Cause)
		r.answerRefusal(step)
		return false
	}
	return true
}

// endSearch ends what Look and Load have begun.
func (r *resume) endSearch() {
	if r.release != nil {
		r.release()
	}
	if r.cancel != nil {
		r.cancel()
	}
	r.found, r.release, r.journal, r.cancel = nil, nil, nil, nil
}

// context bounds what is asked of the journal and, before it, of the app.
func (r *resume) context() context.Context {
	if r.journal != nil {
		return r.journal
	}
	return r.r.Context()
}

// misdirected tells another sidecar that the session is not here.
var misdirected = &upgrade.Refusal{Status: 421, Reason: "the session is not here", Label: event.RefusedMisdirected}

// forward passes the client on to the session's owner.
func (r *resume) forward(owner string) bool {
	r.endSearch()
	began := time.Now()
	result := r.s.peers.Forward(r.w, r.r, r.scheme, owner)
	r.observe(event.Event{Kind: event.Forwarded, Forward: result, Took: time.Since(began)})
	switch result {
	case peer.NotOwner:
		r.facts.Answered(owner, admission.NotOwner)
	case peer.Refused:
		r.facts.Answered(owner, admission.Refused)
	case peer.Unreachable:
		r.facts.Answered(owner, admission.Unreachable)
	default:
		return false
	}
	return true
}

// look finds the session here, or keeps others from adopting it here. The
// session is asked twice whether it can be resumed: before the handshake is
// answered, so that a refused client changes nothing, and after, since it may
// have ended.
func (r *resume) look() bool {
	r.endSearch()
	r.found, r.release = r.s.sessions.find(r.session, r.r.Context().Done())
	switch {
	case r.found != nil:
		r.facts.Looked(r.found.check(r.facts.Token, r.facts.Position))
	case r.release != nil:
		r.facts.Looked(admission.Absent, 0)
	default:
		return false // the client is gone
	}
	return true
}

// handOver gives the session up for the sidecar that the client has come to,
// or waits until that is done for another one.
func (r *resume) handOver() bool {
	if r.forwarded {
		r.w.WriteHeader(http.StatusProcessing) // the sidecar that forwards waits longer then
	}
	wait := time.NewTimer(r.s.cfg.HandOverPatience + handOverTimeout)
	defer wait.Stop()
	select {
	case <-r.found.handOver(event.HandOverMoved, r.s.cfg.HandOverPatience):
		r.facts.HandOver = admission.HandedOver
	case <-wait.C:
		r.facts.HandOver = admission.HandOverLate
	case <-r.r.Context().Done():
		return false
	}
	return true
}

// attach joins the client's new connection with the session that was found.
func (r *resume) attach() {
	if r.r.Context().Err() != nil {
		return // the client has gone on, and may be attached by now
	}
	c := r.found
	var app *upgrade.AppConn
	if c.wantsHandshake() {
		var status int
		if app, status = r.renewApp(); status != 0 {
			r.resetRefused(status)
			c.refused()
			return
		}
	}
	extensions, compressed := r.extensions(c.deflate)
	conn, err := r.accept(wire.Subprotocol, extensions, nil)
	if err != nil {
		if app != nil {
			app.Conn.Close()
		}
		return
	}
	if reason := c.attach(conn, r.facts.Token, r.facts.Position, compressed); reason != 0 {
		if app != nil {
			app.Conn.Close()
		}
		r.writeReset(conn, reason)
		return
	}
	c.accepted(event.Resilient)
	c.observe(event.Event{Kind: event.Resumed, Resume: event.ResumeResumed, Took: time.Since(r.began)})
	c.replaceHandshake(r.request, app)
}

// report tells operators why a client cannot have its session, where that is
// for them to know.
func (r *resume) report(cause error) {
	switch {
	case cause == nil:
	case errors.Is(cause, admission.ErrTokenReused):
		r.s.tokenReused(r.facts.Token)
		r.endJournaled()
	case errors.Is(cause, store.ErrCorrupt):
		r.s.log.Error("journal of a session cannot be read", "session", r.session.String(), "error", cause)
	default:
		r.s.log.Warn("session cannot be adopted now", "session", r.session.String(), "error", cause)
	}
}

// check reports whether the session is this sidecar's, as far as can be known,
// and why it cannot be resumed, or 0.
func (c *sessionDriver) check(t *wire.Token, at session.Position) (admission.LookResult, wire.ResetReason) {
	now := c.enter()
	defer c.leave()
	m, ok := c.m.(*session.Session)
	verdict := session.TokenValid
	if ok {
		verdict = m.Token(t.Epoch, t.Generation, at.Attempt)
	}
	if verdict == session.TokenNewer {
		return admission.Replaced, 0 // whatever became of it here
	}
	_, reason := c.resumableLocked(now, t, at)
	if c.srv.cfg.EndReused && verdict == session.TokenReused && m.CopyProved(at.Attempt) && !c.over {
		c.srv.log.Warn("session is ended, since there is a copy of its token (WSR_TOKEN_REUSE=end)", "audit", true, "session", m.ID().String())
		m.End(now, session.EndedReused, ws.StatusPolicyViolation)
		c.settle(now)
	}
	return admission.Found, reason
}

// endJournaled ends a session that no sidecar is known to have, after a copy of a
// used-up token of it came.
func (r *resume) endJournaled() {
	st, at := r.facts.Record, r.facts.Position.Attempt
	t := r.facts.Token
	if !r.s.cfg.EndReused || st == nil || session.JudgeToken(st, t.Epoch, t.Generation, at) != session.TokenReused || !session.CopyProved(at, st.Attempt) {
		return
	}
	err := store.AdoptAndEnd(r.journal, r.s.cfg.Store, store.Adoption{ID: store.ID(r.session), From: st, Owner: r.s.cfg.Advertise, Now: time.Now()})
	r.s.log.Warn("session is ended, since there is a copy of its token (WSR_TOKEN_REUSE=end)", "audit", true, "session", r.session.String(), "error", err)
}

// replaced lets go of a session that another sidecar has adopted, as a token
// shows. The registry forgets it at once, and not when the journal answers.
func (c *sessionDriver) replaced() {
	now := c.enter()
	defer c.leave()
	if m, ok := c.m.(*session.Session); ok {
		c.srv.log.Info("a token shows that the session was adopted elsewhere", "session", m.ID().String(), "epoch", m.Epoch())
		m.Replaced(now)
		c.settle(now)
	}
	if !c.gone {
		c.gone = true
		c.srv.sessions.remove(c)
	}
}

// resumableLocked returns the session, or why it cannot be resumed.
func (c *sessionDriver) resumableLocked(now time.Time, t *wire.Token, at session.Position) (*session.Session, wire.ResetReason) {
	m, ok := c.m.(*session.Session)
	switch {
	case !ok || c.over && m.Moved():
		return nil, wire.ResetTryAgain // not here any more, but perhaps in the journal
	case c.over:
		return nil, wire.ResetUnknown
	case m.OwnershipSuspect():
		return nil, wire.ResetTryAgain
	}
	switch m.Token(t.Epoch, t.Generation, at.Attempt) {
	case session.TokenLate:
		return nil, wire.ResetTryAgain // the connection that has overtaken it does not notice
	case session.TokenUnknown, session.TokenOvertaken:
		return nil, wire.ResetToken
	case session.TokenReused, session.TokenCopied:
		c.srv.tokenReused(t)
		return nil, wire.ResetToken
	}
	// One that moves goes on at another sidecar, which was not asked so often.
	if m.ResumesTooOften(now) && !c.srv.Draining() && !m.HandingOver() {
		return nil, wire.ResetTryAgain
	}
	return m, m.Check(at)
}

// tokenReused reports a token that was used up, or that two clients use. It is the
// sign of a copy, and an operator should look.
func (s *Server) tokenReused(t *wire.Token) {
	s.observe(event.Event{Kind: event.TokenReused, Session: t.Session})
	s.log.Warn("a resume token came that was used up, or that two clients use: there may be a copy of it", "audit", true,
		"session", t.Session.String(), "epoch", t.Epoch, "generation", t.Generation)
}

// attach makes conn the session's connection, or returns why not. The one
// before it, however alive it looks, is closed first (PROTOCOL §8.1).
func (c *sessionDriver) attach(conn net.Conn, t *wire.Token, at session.Position, compressed bool) wire.ResetReason {
	now := c.enter()
	defer c.leave()
	m, reason := c.resumableLocked(now, t, at)
	if reason == 0 && m.Attached() {
		m.Supersede(now)
		c.settle(now)
		m, reason = c.resumableLocked(now, t, at)
	}
	if reason != 0 {
		return reason
	}
	m.ConfirmToken(t.Epoch, t.Generation, at.Attempt)
	if reason := m.Attach(now, wire.StatusResumed, at, compressed); reason != 0 {
		return reason
	}
	m.CountResume(now)
	c.authorizedLocked(now)
	c.join(now, conn)
	return 0
}

// join starts the connection that the session has attached, unless that was
// its end too.
func (c *sessionDriver) join(now time.Time, conn net.Conn) {
	c.client = c.newLeg(conn)
	c.wakeSearchLocked()
	c.settle(now)
	if c.client != nil {
		c.client.t.Start(nil)
	}
}

package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/admission"
	"github.com/wsresilience/wsresilience/internal/instance"
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

	found  *sessionDriver // by Look
	common *store.State   // by Load: of the session that the client shares; nil: it shares none

	commonID wire.SessionID  // of common
	release  func()          // lets others adopt the session here; nil: none are kept from it
	journal  context.Context // bounds the calls of the journal since Load
	cancel   func()          // of journal; nil: there is none
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
		Keys:     q.offer.Keys,
		Share:    q.offer.Share,
		Reopen:   q.offer.Reopen,
	}}}
	t, fits := q.s.openToken(q.r, q.scheme, q.offer.Resume)
	switch {
	case t == nil:
		r.facts.TokenFact = "no key of this sidecar opens the token: it is of another deployment, damaged or forged (WSR_TOKEN_KEYS)"
	case !fits:
		q.session, q.subject = t.Session, q.about(t.Epoch)
		r.facts.TokenFact = "its session began with another Origin, path or Host, or what else WSR_TOKEN_BIND lists"
	default:
		r.facts.Token, q.session = t, t.Session
		r.facts.Position.Epoch, r.facts.Position.Generation = t.Epoch, t.Generation
		q.subject = q.about(t.Epoch)
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
		r.report(step)
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
	began, span := time.Now(), child(r.span)
	result := r.s.peers.Forward(r.w, r.s.within(r.r, span), r.scheme, owner)
	r.observe(event.Event{
		Kind: event.Forwarded, Forward: result, Owner: instance.Address(owner), Took: time.Since(began),
		Span: span, Parent: r.span.SpanID,
	})
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
		c, reason, fact := r.lookShared()
		switch {
		case c != nil:
			r.found = c
			r.facts.Looked(c.check(r.facts.Token, r.facts.Position))
		case reason != 0:
			r.facts.Looked(admission.Found, reason, fact)
		default:
			r.facts.Looked(admission.Absent, 0, "")
		}
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
			r.resetRefused(status, fmt.Sprintf("the app refuses the client's new handshake too, with %d", status))
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
	at, reason, fact := c.attach(r, conn, compressed)
	if reason != 0 {
		if app != nil {
			app.Conn.Close()
		}
		r.writeReset(conn, reason, fact)
		return
	}
	c.accepted(event.Resilient)
	at.Kind, at.Resume, at.Owner, at.Via, at.Took = event.Resumed, event.ResumeResumed, r.s.self(), r.via, time.Since(r.began)
	c.observe(at)
	c.replaceHandshake(r.request, app)
}

// report tells operators of what needs more than the line about the refusal.
func (r *resume) report(step admission.Refuse) {
	switch {
	case errors.Is(step.Cause, admission.ErrTokenReused):
		r.observe(event.Event{Kind: event.TokenReused, Fact: step.Fact})
		r.endJournaled()
	case errors.Is(step.Cause, store.ErrCorrupt):
		r.s.log.Error("journal of a session cannot be read", "session", r.session.String(), "error", step.Cause)
	}
}

// check reports whether the session is this sidecar's, as far as can be known,
// and why it cannot be resumed, or 0.
func (c *sessionDriver) check(t *wire.Token, at session.Position) (_ admission.LookResult, reason wire.ResetReason, fact string) {
	now := c.enter()
	defer c.leave()
	m, ok := c.m.(*session.Session)
	verdict := session.TokenValid
	if ok {
		verdict = m.Token(t.Epoch, t.Generation, at.Attempt)
	}
	if verdict == session.TokenNewer {
		return admission.Replaced, 0, "" // whatever became of it here
	}
	_, reason, fact = c.resumableLocked(now, at)
	if c.srv.cfg.EndReused && verdict == session.TokenReused && m.CopyProved(at.Attempt) && !c.over {
		m.End(now, session.EndedReused, ws.StatusPolicyViolation)
		c.settleLocked(now)
	}
	return admission.Found, reason, fact
}

// endJournaled ends a session that no sidecar is known to have, after a copy of a
// used-up token of it came.
func (r *resume) endJournaled() {
	st, at := r.facts.Record, r.facts.Position.Attempt
	t := r.facts.Token
	if !r.s.cfg.EndReused || st == nil || r.common != nil || session.JudgeToken(st, t.Epoch, t.Generation, at) != session.TokenReused || !session.CopyProved(at, st.Attempt) {
		return
	}
	err := store.AdoptAndEnd(r.journal, r.s.cfg.Store, store.Adoption{ID: store.ID(r.session), From: st, Owner: r.s.cfg.Advertise, Now: time.Now()})
	r.s.log.Warn("session is ended, since there is a copy of its token (WSR_TOKEN_REUSE=end)", "audit", true, "session", r.session.String(), "error", err)
}

// replaced lets go of a session that another sidecar has adopted, as a token
// shows. The registry forgets it at once, and not when the journal answers.
func (c *sessionDriver) replaced() {
	if common := c.common(); common != nil {
		common.replaced()
	}
	now := c.enter()
	defer c.leave()
	if m, ok := c.m.(*session.Session); ok {
		m.Replaced(now)
		c.settleLocked(now)
	}
	if !c.gone {
		c.gone = true
		c.srv.sessions.remove(c)
	}
}

// resumableLocked returns the session, or why it cannot be resumed, for its client
// and for operators.
func (c *sessionDriver) resumableLocked(now time.Time, at session.Position) (*session.Session, wire.ResetReason, string) {
	m, ok := c.m.(*session.Session)
	if !ok {
		return nil, wire.ResetTryAgain, "it has just left this sidecar" // and is perhaps in the journal
	}
	unfit := m.Resumable(now, at, c.srv.Draining())
	switch {
	case unfit.Copied:
		c.observe(event.Event{Kind: event.TokenReused, Fact: unfit.Fact})
	case unfit.TooOften:
		c.srv.slowings.Count(session.LimitResumes)
	}
	return m, unfit.Reason, unfit.Fact
}

// attach makes conn the session's connection, or returns why not, for the client
// and for operators. The one before it, however alive it looks, is closed first
// (PROTOCOL §8.1). What it returns of the attachment is for the report of it.
func (c *sessionDriver) attach(r *resume, conn net.Conn, compressed bool) (_ event.Event, reason wire.ResetReason, fact string) {
	at := r.facts.Position
	now := c.enter()
	defer c.leave()
	m, reason, fact := c.resumableLocked(now, at)
	if reason == 0 && m.Attached() {
		c.comes = r.subject
		m.Supersede(now)
		c.settleLocked(now)
		c.comes = nil
		m, reason, fact = c.resumableLocked(now, at)
	}
	if reason != 0 {
		return event.Event{}, reason, fact
	}
	e := event.Event{Away: m.Away(now), Came: r.subject}
	if reason := m.Attach(now, wire.StatusResumed, at, compressed); reason != 0 {
		return event.Event{}, reason, notInflated
	}
	e.Lacking = m.Lacking()
	m.CountResume(now)
	c.authorizedLocked(now)
	c.join(now, conn)
	return e, 0, ""
}

// notInflated is why a session cannot be attached to a connection at all.
const notInflated = "the client reads no compressed messages any more, and those that it lacks do not inflate within the window"

// join starts the connection that the session has attached, unless that was
// its end too.
func (c *sessionDriver) join(now time.Time, conn net.Conn) {
	c.client = c.newLeg(conn)
	c.wakeSearchLocked()
	c.settleLocked(now)
	if c.client != nil {
		c.client.t.Start(nil)
	}
}

package proxy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/admission"
	"github.com/wsresilience/wsresilience/internal/monotime"
	"github.com/wsresilience/wsresilience/internal/sharing"
	"github.com/wsresilience/wsresilience/internal/upgrade"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/snapshot"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

// load reads the session's state for the decision about its adoption
// (PROTOCOL §8.3), and what is known of its owner.
func (r *resume) load() {
	r.journal, r.cancel = context.WithTimeout(r.r.Context(), appendTimeout)
	f := &r.facts
	f.Read(r.loadState())
	owner := f.OwnerInQuestion()
	f.Owner = admission.Liveness{Lease: r.s.lease(owner), Unreachable: r.s.peers.SilentFor(owner)}
}

// loadState reads the session's state, or that of a member of one.
func (r *resume) loadState() (state *store.State, err error) {
	if common, number, ok := sharing.OfMember(r.session); ok && r.s.cfg.SharedBy != nil {
		r.commonID = common
		state, r.common, err = r.s.loadMember(r.journal, r.facts.Token, common, number)
		if !errors.Is(err, store.ErrNotFound) {
			return state, err
		}
	}
	return r.s.loadState(r.journal, r.facts.Token)
}

// adopt claims the session and, if that stands, goes on with it.
func (r *resume) adopt() bool {
	if !r.s.roomFor(r.facts.Record) {
		// Before anything is claimed: each claim that comes to nothing would push
		// something of the session out of the journal.
		r.s.evictSoon()
		r.reset(wire.ResetTryAgain, "there is no memory for what the journal holds of it (WSR_MEMORY_BUDGET)")
		return false
	}
	if r.common != nil {
		return r.adoptShared()
	}
	state, err := store.Adopt(r.journal, r.s.cfg.Store, store.Adoption{
		ID: store.ID(r.session), From: r.facts.Record, Owner: r.s.cfg.Advertise, Now: time.Now(),
		Received: uint32(r.facts.Position.Received), Epoch: r.facts.Token.Epoch, Early: r.facts.Position.Next != 0,
		Generation: r.facts.Token.Generation, Attempt: r.facts.Position.Attempt,
		Version: r.s.recordVersion(),
	})
	if err != nil {
		r.facts.AdoptFailed(err)
		return true
	}
	r.adopted(state)
	return false
}

// roomFor reports whether there is memory for what the journal holds of a
// session.
func (s *Server) roomFor(state *store.State) bool {
	m := s.pool.Memory()
	size := int64(0)
	for i := range state.Frames {
		size += int64(len(state.Frames[i].Data))
	}
	return m.Limit() <= 0 || m.Used()+size+size/8 < m.Limit()
}

// loadState reads the session's state. The token is sealed, so its ownership has
// been.
func (s *Server) loadState(ctx context.Context, t *wire.Token) (*store.State, error) {
	return store.LoadKnown(ctx, s.cfg.Store, store.ID(t.Session), t.Epoch, store.Pause)
}

func (s *Server) lease(owner string) store.LeaseState {
	if s.cfg.Peers == nil {
		return store.LeaseGone
	}
	return s.cfg.Peers.Lease(owner)
}

// adopted goes on with a session that is ours now.
func (r *resume) adopted(state *store.State) {
	start := r.start(r.session, state.Subprotocol)
	if k := start.Tracker; k != nil {
		if err := k.Load(state.Context); state.Context == nil || err != nil {
			start.Tracker, start.AppReplaceableIfRestored = nil, false
		}
	}
	var app *upgrade.AppConn
	var noApp session.CloseCause
	hs := r.sessionHandshake(r.session, state.Epoch)
	if !state.Closed && (start.AppReplaceable || start.AppReplaceableIfRestored && start.Tracker.Complete()) {
		var refusal appRefusal
		if app, refusal = r.askApp(hs); app == nil {
			r.notAdopted(state, &refusal)
			return
		}
		if app.Subprotocol == state.Subprotocol {
			start.Deflate = app.Deflate != nil
		} else { // the client was told of another protocol: this app is not for it
			app.Conn.Close()
			app, noApp = nil, session.CauseOtherProtocol
		}
	}
	r.adoptWith(session.Adoption{Start: start, State: state, Position: r.facts.Position, AppOpen: app != nil, NoApp: noApp}, app, hs)
}

// notAdopted is for a session whose client's handshake the app has not taken.
// The client is answered after it is given back, since it comes again at once:
// what it has at hand, as a ticket that another attempt used up, may not be what
// the app wants. Refused with a new handshake too, it is told.
func (r *resume) notAdopted(state *store.State, refusal *appRefusal) {
	refused := denies(refusal.status, r.r)
	before := state.Denied
	state.Denied = before || refused
	r.giveBack(state)
	switch {
	case !refused:
		refusal.answer()
		return
	case before:
		r.resetRefused(refusal.status, fmt.Sprintf("the app refuses the handshake with which the session would be adopted with %d, and refused the one before", refusal.status))
	default:
		r.reset(wire.ResetTryAgain, fmt.Sprintf("the app refuses the handshake with which the session would be adopted with %d: the client is to come with a new one", refusal.status))
	}
	refusal.discard()
}

// giveBack leaves the session to the next owner as it was left to us: it has not
// gone on.
func (r *resume) giveBack(state *store.State) {
	ctx, cancel := context.WithTimeout(context.Background(), appendTimeout) // the client may have gone
	defer cancel()
	if err := store.GiveBack(ctx, r.s.cfg.Store, r.chain(), state); err != nil {
		r.s.log.Warn("session could not be given back: its client will hear that its owner was lost", "session", r.session.String(), "error", err)
	}
}

// start is what is known of a session from its client's request and the app's
// answer.
func (q *request) start(id wire.SessionID, subprotocol string) session.Start {
	cfg := &q.s.live.Load().cfg
	keeper := cfg.Snapshots.For(snapshot.Handshake{Path: q.r.URL.Path, Query: q.r.URL.RawQuery, Subprotocol: subprotocol})
	return session.Start{
		ID: id, Subprotocol: subprotocol, Binding: binding(q.r, q.scheme, q.s.cfg.Bind), Tracker: keeper, Keys: q.keyGate(id), Replies: q.s.replies.Path(q.r.URL.Path),
		AppReplaceable:           cfg.Adopt(q.offer.Adopt, false),
		AppReplaceableIfRestored: keeper != nil && keeper.Covers() && cfg.Adopt(q.offer.Adopt, true),
	}
}

// sessionHandshake is what the app is offered for a session, and told of it.
func (q *request) sessionHandshake(id wire.SessionID, epoch uint32) upgrade.Offer {
	hs := q.handshake()
	hs.Session, hs.Epoch = id.String(), epoch
	return hs
}

// handshake is what the app of a session is offered.
func (q *request) handshake() upgrade.Offer {
	return upgrade.Offer{Protocols: q.offer.App, Offers: q.req.Offers}
}

// adoptWith makes the session anew, around app or, if that is nil, around
// what is left to be delivered.
func (r *resume) adoptWith(a session.Adoption, app *upgrade.AppConn, hs upgrade.Offer) {
	s, state := r.s, a.State
	c := &sessionDriver{srv: s, id: r.session, born: monotime.At(r.began), subject: r.about(state.Epoch)}
	var fields []byte
	var early []byte
	if app != nil {
		c.app, c.deflate = c.newAppLeg(app.Conn), app.Deflate
		fields, early = app.Fields, app.Early
		c.keepHandshake(r.request, hs, a.Start)
	}
	extensions, compressed := r.extensions(c.deflate)
	a.Extensions = extensions
	now := time.Now()
	m, reason := session.Adopt(&s.live.Load().session, now, a)
	if reason != 0 {
		if c.app != nil {
			c.app.t.Abort()
			c.appClosedLocked(false)
		}
		r.giveBack(state)
		r.reset(reason, "the journal's records do not follow on what the client has")
		return
	}
	c.m, c.chain = m, store.Chain{Writer: state.Writer, Revision: state.Revision}
	report, fact := r.adoption(m, now), ""
	conn, err := r.accept(wire.Subprotocol, extensions, fields)
	if err == nil {
		if reason := m.Attach(now, wire.StatusAdopted, r.facts.Position, compressed); reason == 0 {
			c.client = c.newLeg(conn)
			c.accepted(event.Resilient)
			report.Lacking, report.Took = m.Lacking(), time.Since(r.began)
			c.observe(report)
			fact = ""
		} else {
			r.writeReset(conn, reason, notInflated)
			fact += notInflated
		}
	} else {
		fact += "its client has gone meanwhile"
	}
	// Without a connection the session is ours all the same, and waits.
	s.limit.add(c, r.client, true)
	if !s.sessions.add(c) {
		c.kill()
		return
	}
	c.observe(event.Event{Kind: event.Began, Client: event.Resilient, Adopted: m.Adopted(), Owner: report.Owner, Former: report.Former, Fact: fact})
	c.start(early)
}

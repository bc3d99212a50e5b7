package proxy

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/monotime"
	"github.com/wsresilience/wsresilience/internal/peer"
	"github.com/wsresilience/wsresilience/internal/upgrade"
	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

// adopt continues a session from the journal if its owner is gone, and with
// it the app's socket (PROTOCOL §8.3). When it is not decided, somebody else
// has the session: ask is who should be asked next, and then it is time to look
// again.
func (h *arrival) adopt(t *wire.Token, asked owners) (ask string, decided bool) {
	if h.s.cfg.Store == nil {
		h.reset(wire.ResetUnknown)
		return "", true
	}
	ctx, cancel := h.context()
	defer cancel()
	former, err := h.load(ctx, t)
	if reason := h.adoptable(t, former, err, asked); reason != 0 {
		h.reset(reason)
		return "", true
	}
	if _, before := asked[former.Owner]; !before && !former.Handed {
		return former.Owner, false
	}
	if !former.Handed && !h.gone(former.Owner, asked[former.Owner]) || h.s.Draining() {
		h.reset(wire.ResetTryAgain)
		return "", true
	}
	if !h.allowed(ctx) {
		return "", true
	}
	state, err := store.Adopt(ctx, h.s.cfg.Store, store.Adoption{
		ID: store.ID(t.Session), From: former, Owner: h.s.cfg.Advertise, Now: time.Now(),
	})
	switch {
	case errors.Is(err, store.ErrFenced), errors.Is(err, store.ErrLost):
		return "", false // somebody was faster
	case err != nil:
		h.reset(h.failure(t, err))
		return "", true
	}
	h.adoptState(t, state)
	return "", true
}

// load reads the session's state. A replica may be behind: one that does not
// know the session, or not the token's ownership, is asked again.
func (h *arrival) load(ctx context.Context, t *wire.Token) (state *store.State, err error) {
	for try := range staleTries {
		if try > 0 {
			select {
			case <-time.After(stalePause << try):
			case <-ctx.Done():
				return nil, store.ErrUnavailable
			}
		}
		state, err = h.s.cfg.Store.Load(ctx, store.ID(t.Session))
		if stale := errors.Is(err, store.ErrNotFound) || err == nil && state.Epoch < t.Epoch; !stale {
			return state, err
		}
	}
	if err == nil {
		err = store.ErrUnavailable // the token is sealed, so it is the journal that lacks something
	}
	return nil, err
}

// A replica is mostly behind by a millisecond or two. Before a session is
// called unknown for good, it has had 60 ms.
const (
	staleTries = 5
	stalePause = 2 * time.Millisecond // 4, 8, 16 and 32 ms, from the second on
)

// gone reports whether an owner that does not answer may be replaced.
func (h *arrival) gone(owner string, end peer.Result) bool {
	return ownerGone(end, h.s.lease(owner), h.s.peers.SilentFor(owner), h.s.cfg.LeaseTTL)
}

// ownerGone reports whether an owner may be replaced that was asked with the
// result end and has been silent for that long. What it still does then is
// refused by the journal (I5), so a wrong answer costs the session its app socket
// and nothing else.
func ownerGone(end peer.Result, lease store.LeaseState, silent, ttl time.Duration) bool {
	if end != peer.Unreachable {
		return true
	}
	switch lease {
	case store.LeaseGone:
		return true
	case store.LeaseLive:
		// It lives, and we cannot reach it: nor perhaps can anybody whom the
		// client gets to.
		return silent > ttl
	}
	return false
}

func (s *Server) lease(owner string) store.LeaseState {
	if s.cfg.Peers == nil {
		return store.LeaseGone
	}
	return s.cfg.Peers.Lease(owner)
}

// adoptable tells why a session cannot be adopted, or 0.
func (h *arrival) adoptable(t *wire.Token, state *store.State, err error, asked owners) wire.ResetReason {
	switch {
	case errors.Is(err, store.ErrNotFound) && asked[t.Owner] == peer.Unreachable && h.s.lease(t.Owner) != store.LeaseGone:
		return wire.ResetTryAgain // its owner may not have got to writing it down
	case err != nil:
		return h.failure(t, err)
	case state.Kind == store.End:
		return wire.ResetUnknown
	}
	if reason := h.s.judge(session.JudgeToken(state, t.Epoch, t.Generation), t); reason != 0 {
		return reason
	}
	if state.Gap || seqwindow.Less(h.position().Received, seqwindow.Serial(state.OutAcked)) {
		return wire.ResetLost // before anything is claimed: it may be a request that was late
	}
	if at := state.DetachedAt; at != 0 && time.Since(time.UnixMilli(at)) > h.s.cfg.SessionTTL {
		return wire.ResetUnknown
	}
	return 0
}

// failure is the answer for a journal's error.
func (h *arrival) failure(t *wire.Token, err error) wire.ResetReason {
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrEnded):
		return wire.ResetUnknown
	case errors.Is(err, store.ErrCorrupt):
		h.s.log.Error("journal of a session cannot be read", "session", t.Session.String(), "error", err)
		return wire.ResetLost
	}
	h.s.log.Warn("session cannot be adopted now", "session", t.Session.String(), "error", err)
	return wire.ResetTryAgain
}

// adoptState goes on with a session that is ours now.
func (h *arrival) adoptState(t *wire.Token, state *store.State) {
	start := h.start(t.Session)
	start.Subprotocol = state.Subprotocol
	if k := start.Tracker; k != nil {
		if err := k.Load(state.Context); state.Context == nil || err != nil {
			start.Tracker, start.AppReplaceableIfRestored = nil, false
		}
	}
	var app *upgrade.AppConn
	hs := h.handshake()
	if !state.Closed && (start.AppReplaceable || start.AppReplaceableIfRestored && start.Tracker.Complete()) {
		if app = h.dialApp(hs); app == nil {
			return
		}
		start.Subprotocol, start.Deflate = app.Subprotocol, app.Deflate != nil
	}
	h.adoptWith(t, start, state, app, hs)
}

// start is what is known of a session from its client's request.
func (h *arrival) start(id wire.SessionID) session.Start {
	keeper := h.s.cfg.Snapshots.Tracker(h.r.URL.Path)
	return session.Start{
		ID: id, Binding: h.binding(), Tracker: keeper,
		AppReplaceable:           h.s.cfg.Adopt(h.offer.Adopt, false),
		AppReplaceableIfRestored: keeper != nil && h.s.cfg.Adopt(h.offer.Adopt, true),
	}
}

// handshake is what the app of a resilient session is offered.
func (h *arrival) handshake() upgrade.Offer {
	return upgrade.Offer{Protocols: h.offer.App, Offers: h.req.Offers}
}

// adoptWith makes the session anew, around app or, if that is nil, around
// what is left to be delivered.
func (h *arrival) adoptWith(t *wire.Token, start session.Start, state *store.State, app *upgrade.AppConn, hs upgrade.Offer) {
	s := h.s
	c := &conduit{srv: s, id: t.Session, born: monotime.At(h.began)}
	var header http.Header
	var early []byte
	if app != nil {
		c.app, c.deflate = c.newLeg(app.Conn), app.Deflate
		header, early = app.Header, app.Early
		c.keepHandshake(h, hs, start)
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
	m.ConfirmToken(t.Epoch, t.Generation)
	c.m, c.journal = m, journal{state.Writer, state.Revision}
	conn, err := h.accept(wire.Subprotocol, extensions, header)
	if err == nil {
		if reason := m.Attach(now, wire.StatusAdopted, h.position(), compressed); reason == 0 {
			c.client = c.newLeg(conn)
			c.accepted(event.Resilient)
			c.observe(event.Event{Kind: event.Resumed, Resume: event.ResumeAdopted, Adopted: m.Adopted(), Took: time.Since(h.began)})
		} else {
			h.sayReset(conn, reason)
		}
	}
	// Without a connection the session is ours all the same, and waits.
	if !s.sessions.add(c) {
		c.kill()
		return
	}
	c.began(event.Resilient)
	c.start(early)
}

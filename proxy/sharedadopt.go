package proxy

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/monotime"
	"github.com/wsresilience/wsresilience/internal/sharing"
	"github.com/wsresilience/wsresilience/internal/upgrade"
	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

// An absentee is a member of whom only the journal's word is known here: how far its
// client is, that says when it comes. The log is kept for it from what all had.
type absentee struct {
	sharing.Member
	expires time.Time
}

// memberState is what the journal holds of a member, in the form in which it holds
// a session that nobody shares: the admission of its client is the same.
func memberState(common *store.Record, e *sharing.Member) *store.State {
	st := &store.State{Record: *common}
	st.Frames, st.Past, st.Context, st.Extensions = nil, nil, nil, ""
	st.OutAcked = e.Acked
	st.OutHead -= e.Delta
	// No member hears what the journal does not have, so that none can have messages
	// that a later owner numbered anew.
	st.Base -= e.Delta
	st.FirstBase = st.Base
	st.InAcked, st.DetachedAt = e.In, e.DetachedAt
	st.ProvenEpoch, st.Proven, st.Attempt = e.ProvenEpoch, e.Proven, e.Attempt
	return st
}

// loadMember reads the state of a member's session: it is in that of the common one,
// which is returned too.
func (s *Server) loadMember(ctx context.Context, t *wire.Token, common wire.SessionID, number uint16) (member, whole *store.State, err error) {
	of := *t
	of.Session = common
	if whole, err = s.loadState(ctx, &of); err != nil {
		return nil, nil, err
	}
	r, err := sharing.Parse([]byte(whole.Extensions))
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", store.ErrCorrupt, err)
	}
	e := r.Find(number)
	if e == nil {
		return nil, nil, store.ErrNotFound
	}
	member = memberState(&whole.Record, e)
	member.Revision, member.Gap = whole.Revision, whole.Gap
	return member, whole, nil
}

// chain is the id under which the journal has the session.
func (r *resume) chain() store.ID {
	if r.common != nil {
		return store.ID(r.commonID)
	}
	return store.ID(r.session)
}

// adoptShared claims the shared session of the client for this sidecar, and reports
// whether another step follows: the client then finds it here.
func (r *resume) adoptShared() bool {
	id := wire.SessionID(r.chain())
	at, done := r.s.sessions.find(id, r.r.Context().Done())
	switch {
	case at != nil:
		r.facts.Released() // another member was faster
		return true
	case done == nil:
		return false // the client is gone
	}
	defer done()
	state, err := store.Adopt(r.journal, r.s.cfg.Store, store.Adoption{
		ID: store.ID(id), From: r.common, Owner: r.s.cfg.Advertise, Now: time.Now(),
		Received: r.common.OutHead, Epoch: r.facts.Token.Epoch, Early: r.facts.Position.Next != 0,
		Version: r.s.recordVersion(),
	})
	if err != nil {
		r.facts.AdoptFailed(err)
		return true
	}
	former, fact := r.s.admission.Former(&r.facts)
	if !r.goOn(id, state, former, fact) {
		return false
	}
	r.facts.Released()
	return true
}

// goOn makes a common session anew that is this sidecar's now, and reports whether
// it could: otherwise the client has its answer.
func (r *resume) goOn(id wire.SessionID, state *store.State, former, fact string) bool {
	s := r.s
	roster, err := sharing.Parse([]byte(state.Extensions))
	if err != nil {
		r.reset(wire.ResetLost, "the roster of its members cannot be read")
		return false
	}
	start := r.startShared(id, state.Subprotocol)
	if k := start.Tracker; k != nil {
		if err := k.Load(state.Context); state.Context == nil || err != nil {
			start.Tracker, start.AppReplaceableIfRestored = nil, false
		}
	}
	var app *upgrade.AppConn
	var noApp session.CloseCause
	hs := r.sessionHandshake(id, state.Epoch)
	hs.Offers = nil
	if !state.Closed && (start.AppReplaceable || start.AppReplaceableIfRestored && start.Tracker.Complete()) {
		var refusal appRefusal
		app, refusal = r.askApp(hs)
		switch {
		case app != nil:
		case r.offer.Resume == nil: // it is no member, and what its handshake is worth says nothing of them
			r.giveBack(state)
			refusal.answer()
			return false
		default:
			r.notAdopted(state, &refusal)
			return false
		}
		if app.Subprotocol != state.Subprotocol {
			app.Conn.Close()
			app, noApp = nil, session.CauseOtherProtocol
		}
	}
	now := time.Now()
	c := &sessionDriver{srv: s, id: id, born: monotime.At(r.began), subject: s.subject(r.r, r.client, state.Epoch)}
	var early []byte
	if app != nil {
		c.app, early = c.newAppLeg(app.Conn), app.Early
		c.keepHandshake(r.request, hs, start)
	}
	m, reason := session.Adopt(&s.live.Load().common, now, session.Adoption{
		Start: start, State: state, AppOpen: app != nil, NoApp: noApp,
		Position: session.Position{Received: seqwindow.Serial(state.OutAcked)},
	})
	if reason != 0 {
		if c.app != nil {
			c.app.t.Abort()
			c.appClosedLocked(false)
		}
		r.giveBack(state)
		r.reset(reason, "the journal's records of the shared session are not whole")
		return false
	}
	left := state.Record
	left.Frames, left.Past, left.Context = nil, nil, nil
	g := &shared{srv: s, c: c, epoch: state.Epoch, former: &left, key: roster.Key, number: roster.Newest, subprotocol: state.Subprotocol, hasState: start.State != nil}
	for _, e := range roster.Members {
		g.absent = append(g.absent, absentee{e, now.Add(s.cfg.SessionTTL)})
	}
	c.m, c.chain = m, store.Chain{Writer: state.Writer, Revision: state.Revision}
	c.client = c.memoryLeg(commonLeg{g})
	m.AttachMembers(now, g.roster)
	g.began(m, now)
	if !s.sessions.add(c) {
		c.kill()
		r.reset(wire.ResetTryAgain, "this pod is about to stop")
		return false
	}
	s.shares.add(g)
	c.observe(event.Event{Kind: event.Began, Client: event.Resilient, Adopted: m.Adopted(), Owner: s.self(), Former: former, Fact: fact})
	c.start(early)
	g.wake()
	time.AfterFunc(s.cfg.SessionTTL, g.wake)
	return true
}

// began notes what an adopted session has before anybody finds it: its log does not
// begin with the first message, and who comes, or joins, gets a place in it at once.
func (g *shared) began(s *session.Session, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.noteLocked(s, now)
}

// lookShared finds a member here that has not come to this owner yet, of a shared
// session that lives here. found is nil where there is none; otherwise its session
// is here, or reason says why it cannot be.
func (r *resume) lookShared() (found *sessionDriver, reason wire.ResetReason, fact string) {
	id, number, ok := sharing.OfMember(r.session)
	if !ok {
		return nil, 0, ""
	}
	g := r.s.shares.named(id)
	if g == nil {
		return nil, 0, ""
	}
	st := g.absentState(number)
	if st == nil {
		return nil, 0, ""
	}
	t, at := r.facts.Token, r.facts.Position
	switch session.JudgeToken(st, t.Epoch, t.Generation, at.Attempt) {
	case session.TokenValid:
	case session.TokenNewer:
		return nil, wire.ResetTryAgain, "the token is of an epoch that this sidecar does not know"
	default:
		return nil, wire.ResetToken, "the token was used up, or never sent"
	}
	switch last := seqwindow.Serial(st.OutHead); {
	case g.loses(number, at.Received):
		return nil, wire.ResetLost, "what the client lacks is not in the log, and nothing is known of the state"
	case seqwindow.Less(at.Received, seqwindow.Serial(st.OutAcked)):
		return nil, wire.ResetLost, fmt.Sprintf("the client has message %d, and what followed is gone before %d", at.Received, st.OutAcked+1)
	case seqwindow.Less(last, at.Received):
		return nil, wire.ResetLost, fmt.Sprintf("the client says that it has message %d, and there are %d", at.Received, last)
	}
	st.OutHead = uint32(at.Received)
	c := &sessionDriver{srv: r.s, id: r.session, born: monotime.At(r.began), subject: r.s.subject(r.r, r.client, g.epoch)}
	ms, reason := session.Adopt(&r.s.live.Load().echo, time.Now(), session.Adoption{
		Start: session.Start{
			ID: r.session, Subprotocol: g.subprotocol, Binding: binding(r.r, r.scheme, r.s.cfg.Bind), Member: true, Keys: r.keyGate(r.session),
		},
		State: st, Position: at, AppOpen: true,
	})
	if reason != 0 {
		return nil, reason, "what the journal has of the member does not follow on what its client has"
	}
	m := &member{g: g, c: c}
	c.m, c.app = ms, c.memoryLeg(m)
	m.leg = c.app
	r.s.limit.add(c, r.client, true)
	if !r.s.sessions.add(c) {
		c.kill()
		return nil, wire.ResetTryAgain, "this pod is about to stop"
	}
	if m.in = uint32(ms.MemberState().In); !g.returns(m, number, at.Received) {
		c.kill()
		return nil, wire.ResetTryAgain, "the shared session has just ended"
	}
	c.look()
	return c, 0, ""
}

// absentState is what the journal held of a member that has not come here yet, and
// what it may have of the log by now; nil: there is none.
func (g *shared) absentState(number uint16) *store.State {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range g.absent {
		if e := &g.absent[i]; e.Number == number {
			st := memberState(g.former, &e.Member)
			st.OutHead = uint32(g.visible) - e.Delta
			return st
		}
	}
	return nil
}

// loses reports whether a member that has not come here yet lacks what nobody has,
// and cannot be told.
func (g *shared) loses(number uint16, received seqwindow.Serial) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range g.absent {
		if e := &g.absent[i]; e.Number == number {
			return e.Lacks(uint32(received)) && !e.Share && !g.hasState
		}
	}
	return false
}

// awaitedLocked reports whether the log is kept for members that have not come yet.
// The caller holds mu.
func (g *shared) awaitedLocked() bool {
	return slices.ContainsFunc(g.absent, func(e absentee) bool { return !e.Anew })
}

// returns makes a member of an absentee, whose client has received so much, and
// reports whether it could.
func (g *shared) returns(m *member, number uint16, received seqwindow.Serial) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.IndexFunc(g.absent, func(e absentee) bool { return e.Number == number })
	if i < 0 || g.over || g.leaving {
		return false
	}
	log, lacks := g.absent[i].Place(uint32(received))
	for _, o := range lacks {
		if o.Data != nil {
			m.queue = append(m.queue, o.Data)
		}
	}
	m.number, m.backs, m.share, m.anew = number, g.backs, g.absent[i].Share, g.absent[i].Lacks(uint32(received))
	if m.fed = seqwindow.Serial(log); m.anew {
		m.fed = g.visible
	}
	m.acked, m.at, m.delta = m.fed, m.fed, m.fed-received
	g.absent = slices.Delete(g.absent, i, i+1)
	g.members = append(g.members, m)
	g.wakeLocked()
	return true
}

// expireLocked gives up members that have not come in time, or for which all others
// wait. The caller holds mu.
func (g *shared) expireLocked(now time.Time) {
	before := len(g.absent)
	if g.full && g.awaitedLocked() && slices.ContainsFunc(g.members, func(m *member) bool { return seqwindow.LessEq(g.head, m.acked) }) {
		switch {
		case g.absentHold.IsZero():
			g.absentHold = now
			time.AfterFunc(lagGrace, g.wake)
		case now.Sub(g.absentHold) >= lagGrace:
			g.absent = slices.DeleteFunc(g.absent, func(e absentee) bool { return !e.Share || !g.hasState })
			for i := range g.absent {
				g.absent[i].Anew = true
			}
		}
	}
	g.absent = slices.DeleteFunc(g.absent, func(e absentee) bool { return !now.Before(e.expires) })
	if len(g.absent) != before {
		g.changed = true
		g.memberships++
	}
}

// memberLocked returns the member whose session this is; nil: nobody's. The caller
// holds the lock.
func (c *sessionDriver) memberLocked() *member {
	if c.app == nil {
		return nil
	}
	m, _ := c.app.t.(*member)
	return m
}

// commonLocked returns the shared session whose common session this is; nil: it is
// none. The caller holds the lock.
func (c *sessionDriver) commonLocked() *shared {
	if c.client == nil {
		return nil
	}
	l, _ := c.client.t.(commonLeg)
	return l.g
}

// common is the driver of the common session of a member; nil: it is no member's.
func (c *sessionDriver) common() *sessionDriver {
	c.enter()
	defer c.leave()
	if m := c.memberLocked(); m != nil {
		return m.g.c
	}
	return nil
}

// deserted reports whether no member's client is there.
func (g *shared) deserted() bool { _, is := g.desertedSince(); return is }

// desertedSince reports whether no member's client is there, and since when.
func (g *shared) desertedSince() (since monotime.Time, is bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.joining > 0 {
		return 0, false
	}
	last := time.Time{}
	for _, m := range g.members {
		if m.state.Attached {
			return 0, false
		}
		if m.left.After(last) {
			last = m.left
		}
	}
	return monotime.At(last), true
}

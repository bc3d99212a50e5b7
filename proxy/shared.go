package proxy

import (
	"slices"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/internal/sharing"
	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

// logBatch is how many bytes of the log a member is given at a time.
const logBatch = 64 << 10

// shared is a session that several clients share (docs/DEVICES.md): a common
// session with the app's socket, and a session for each member. A holder of a
// member's lock may take that of the common session, and a holder of either may
// take mu, never the other way round.
type shared struct {
	// Immutable.
	srv         *Server
	c           *sessionDriver // of the common session
	epoch       uint32
	former      *store.Record  // as the journal had it when it was adopted; nil: it was not
	key         wire.SessionID // of those who may join
	subprotocol string         // that the app chose
	hasState    bool           // a rule says what of the app's messages is state

	mu      sync.Mutex // guards the rest, and what member says
	members []*member
	absent  []absentee // members that have not come to this owner

	absentHold time.Time // since when the others wait for absentees

	joining int    // members that are about to be there
	number  uint16 // of the newest member

	memberships uint32 // grows whenever a member joins or leaves

	dirty   bool // something is to be done
	running bool // a round is under way

	// Of the common session, at the end of its last step.
	visible, head, acked, handed seqwindow.Serial
	rosterSaved                  uint32
	takes, full                  bool
	appClosed                    bool
	appCode                      ws.StatusCode
	appReason                    string
	backs                        int              // fresh sockets of the app that members are to hear of
	back                         wire.AdoptReason // of the newest

	rosters  uint32    // how many were made for the journal
	listedAt time.Time // when its listing was written last
	changed  bool      // the journal is to learn of the members
	over     bool      // it is over
	ending   session.Ending
	leaving  bool // the last member has left, and the common session has heard of it
	lastSaid bool // the last member that left has said CLOSE
	lastCode ws.StatusCode
}

// wakeLocked lets a round look after all. The caller holds mu.
func (g *shared) wakeLocked() {
	g.dirty = true
	if !g.running {
		g.running = true
		g.srv.work.Go(g.rounds)
	}
}

func (g *shared) wake() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.wakeLocked()
}

// rounds brings members what the common session has for them, and it what they have
// acknowledged, until there is nothing left to do.
func (g *shared) rounds() {
	for {
		g.mu.Lock()
		if !g.dirty {
			g.running = false
			g.mu.Unlock()
			return
		}
		g.dirty = false
		members := slices.Clone(g.members)
		g.mu.Unlock()
		for _, m := range members {
			g.serve(m)
		}
		g.advance()
	}
}

// errand is what a round has to do for a member.
type errand struct {
	end            bool
	ending         session.Ending
	release, write bool
	answer, tell   bool
	code           ws.StatusCode
	reason         string
	back           wire.AdoptReason // 0: the app has the socket that the member knows of
}

// errands takes what is to be done for a member.
func (g *shared) errands(m *member) (e errand) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.over:
		return errand{end: true, ending: g.ending}
	case !g.holdsUpLocked(m, time.Now()):
	case m.share && g.hasState:
		m.anew, m.untold, m.holds = true, false, time.Time{}
		g.changed = true
		g.wakeLocked()
	default:
		return errand{end: true, ending: session.EndedLagged}
	}
	g.tellLocked(m)
	e.release = m.owes && seqwindow.LessEq(m.owed, g.handed)
	if m.backs != g.backs {
		m.backs, e.back = g.backs, g.back
	}
	if e.write = m.waits && g.takes && m.hearsMore(); e.write {
		m.waits = false
	}
	if e.answer = m.asks; e.answer {
		m.asks, e.code = false, m.code
	}
	if e.tell = g.appClosed && !m.told && !e.answer && m.fed == g.head && m.synchronised() && !m.waitsForOwn(); e.tell {
		m.told, e.code, e.reason = true, g.appCode, g.appReason
	}
	return e
}

// lagGrace is for how long a member may hold the others up: what it acknowledged
// may be on its way.
const lagGrace = 500 * time.Millisecond

// holdsUpLocked reports whether the others have waited for this member long enough:
// the log is full, it begins with what this one lacks, and another has all of it.
// The caller holds mu.
func (g *shared) holdsUpLocked(m *member, now time.Time) bool {
	holds := g.full && m.synchronised() && seqwindow.LessEq(m.acked, g.acked)
	if holds {
		holds = slices.ContainsFunc(g.members, func(o *member) bool { return seqwindow.LessEq(g.head, o.acked) })
	}
	switch {
	case !holds:
		m.holds = time.Time{}
	case m.holds.IsZero():
		m.holds = now
		time.AfterFunc(lagGrace, g.wake)
	default:
		return now.Sub(m.holds) >= lagGrace
	}
	return false
}

// serve does all that there is to do for a member.
func (g *shared) serve(m *member) {
	for g.synchronise(m) || g.sayOwn(m) || g.feed(m) {
	}
	e := g.errands(m)
	if e.end {
		m.c.endWithCommon(e.ending)
		return
	}
	if e.release {
		m.releaseAcks()
	}
	if e.back != 0 {
		m.c.commonBack(e.back)
	}
	if e.write {
		m.leg.Writable()
	}
	if (e.answer || e.tell) && m.leg.Bytes(closeFrame(e.code, e.reason)) == 0 {
		g.mu.Lock() // its window is full: once more when that has room
		m.asks, m.told = m.asks || e.answer, false
		g.mu.Unlock()
	}
}

// closeFrame is that of an app. What cannot stand in one breaks the connection.
func closeFrame(code ws.StatusCode, reason string) []byte {
	h := ws.Header{Fin: true, OpCode: ws.OpClose}
	if !wire.ValidFrameCode(code) {
		return frame.Append(nil, h, nil)
	}
	return frame.Append(nil, h, wire.AppendClosePayload(nil, code, reason))
}

// feed gives a member what follows in the log, and reports whether there may be more
// for it.
func (g *shared) feed(m *member) bool {
	g.mu.Lock()
	fed, last := m.fed, g.visible
	ready := !g.over && m.state.Attached && !m.paused && m.synchronised() && m.planned == 0 && seqwindow.Less(fed, last)
	g.mu.Unlock()
	if !ready {
		return false
	}
	log, _ := g.log(fed, last)
	used := m.leg.Bytes(log)
	g.mu.Lock()
	m.fed = seqwindow.Add(fed, frames(log[:used]))
	g.mu.Unlock()
	return len(log) > 0 && used == len(log)
}

// log copies what follows in the log.
func (g *shared) log(after, last seqwindow.Serial) ([]byte, int) {
	g.c.enter()
	defer g.c.leave()
	if s, ok := g.c.m.(*session.Session); ok {
		return s.AppendLog(nil, after, last, logBatch)
	}
	return nil, 0
}

// frames counts the frames in b, which are whole.
func frames(b []byte) (n int) {
	for len(b) > 0 {
		h, err := frame.Bounds(b)
		if err != nil {
			panic(err) // the log has nothing else
		}
		b = b[h.Total():]
		n++
	}
	return n
}

// commonSettledLocked notes what the common session has for its members, at the end
// of a step of it. The caller holds its lock.
func (g *shared) commonSettledLocked() {
	s, ok := g.c.m.(*session.Session)
	if !ok || s.EndedWith() != 0 {
		return
	}
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	changed := g.noteLocked(s, now)
	if g.relistDueLocked(now) {
		g.srv.work.Go(g.relist)
	}
	if changed {
		g.wakeLocked()
	}
}

// noteLocked notes what the common session has for its members, and reports whether
// any of that is new to them. The caller holds its lock and mu.
func (g *shared) noteLocked(s *session.Session, now time.Time) (changed bool) {
	visible, handed, takes := s.Visible(g.srv.StoreAway()), s.Handed(now), s.TakesFromMembers()
	if seqwindow.Less(visible, g.visible) {
		visible = g.visible // it was said already
	}
	code, reason, closed := s.AppClosed()
	full := s.Full()
	back := s.TakeAppBack()
	saved := s.RosterSaved(g.srv.StoreAway())
	changed = saved != g.rosterSaved || visible != g.visible || handed != g.handed || takes && !g.takes || closed != g.appClosed || full && !g.full || back
	g.visible, g.head, g.acked, g.handed, g.takes, g.full, g.rosterSaved = visible, s.Head(), s.Acked(), handed, takes, full, saved
	g.appClosed, g.appCode, g.appReason = closed, code, reason
	if back {
		g.backs++
		g.back = s.Adopted()
	}
	return changed
}

// commonOverLocked notes that the common session is over. The caller holds its lock.
func (g *shared) commonOverLocked() {
	ending := session.EndedPanic
	if s, ok := g.c.m.(*session.Session); ok && s.EndedWith() != 0 {
		ending = s.EndedWith()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.over {
		g.over, g.ending = true, ending
		g.srv.shares.remove(g)
		g.wakeLocked()
	}
}

// memberSettled notes how far a member is, at the end of a step of its session. The
// caller holds its lock.
func (g *shared) memberSettled(m *member, st session.MemberState, paused bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	before := m.state
	if m.state = st; before == st && m.paused == paused {
		return
	}
	m.share = m.share || st.Share
	if before.Attached != st.Attached {
		m.untold = st.Attached
		m.left = time.Time{}
		if !st.Attached {
			m.left = time.Now()
		}
		g.changed = true
	}
	m.dropOwn()
	at := m.place(st.Acked)
	if before.Attached != st.Attached || m.paused != paused || m.acked != at {
		m.paused, m.acked = paused, at
		g.wakeLocked()
	}
}

// roster is what the journal keeps of the members.
func (g *shared) roster() []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.rosters++
	r := sharing.Roster{Key: g.key, Newest: g.number}
	for _, m := range g.members {
		e := sharing.Member{
			Number: m.number, Acked: uint32(m.state.Acked), Delta: uint32(m.delta), In: m.in,
			ProvenEpoch: m.state.ProvenEpoch, Proven: m.state.Proven, Attempt: m.state.Attempt, Own: m.own,
			Share: m.share, Anew: m.anew, Since: uint32(m.end),
		}
		if !m.left.IsZero() {
			e.DetachedAt = m.left.UnixMilli()
		}
		r.Members = append(r.Members, e)
	}
	for i := range g.absent {
		r.Members = append(r.Members, g.absent[i].Member)
	}
	return r.Append(nil)
}

// leaves takes a member out, whose session is over for a reason; 0: its client has
// said CLOSE. The caller holds the lock of that session.
func (g *shared) leaves(m *member, why session.Ending) {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.members, m)
	if i < 0 {
		return
	}
	g.members, g.changed = slices.Delete(g.members, i, i+1), true
	g.memberships++
	g.lastSaid, g.lastCode = why == 0 || why == session.EndedClosed, m.code
	g.wakeLocked()
}

// advance lets the common session go on from what its members have acknowledged.
func (g *shared) advance() {
	g.mu.Lock()
	g.expireLocked(time.Now())
	acked, there := g.visible, len(g.members) > 0
	for _, m := range g.members {
		if !m.anew && seqwindow.Less(m.acked, acked) {
			acked = m.acked
		}
	}
	moves := there && !g.awaitedLocked() && seqwindow.Less(g.acked, acked)
	left := !there && len(g.absent) == 0 && g.joining == 0 && !g.leaving && !g.over
	if left {
		g.leaving = true
		g.srv.shares.remove(g)
	}
	said, code, appClosed, changed := g.lastSaid, g.lastCode, g.appClosed, g.changed
	g.changed = false
	g.mu.Unlock()
	if !moves && !left && !changed {
		return
	}
	now := g.c.enter()
	defer g.c.leave()
	s, ok := g.c.m.(*session.Session)
	if !ok {
		return
	}
	if moves {
		s.AckMembers(acked)
	}
	if changed {
		s.RosterChanged()
	}
	switch {
	case !left:
	case appClosed:
		s.End(now, session.EndedClosed, wire.CodeRestart)
	case said:
		s.MembersClosed(now, code, "")
	default:
		s.End(now, session.EndedExpired, ws.StatusGoingAway)
	}
	g.c.settleLocked(now)
}

// endWithCommon ends a member's session as its common session has ended.
func (c *sessionDriver) endWithCommon(why session.Ending) {
	now := c.enter()
	defer c.leave()
	if m, ok := c.m.(*session.Session); ok && m.EndedWith() == 0 {
		m.End(now, why, wire.CodeRestart)
		c.settleLocked(now)
	}
}

// releaseAcks lets a member acknowledge what its common session has handed over,
// unless it has more under way by now.
func (m *member) releaseAcks() {
	now := m.c.enter()
	defer m.c.leave()
	m.g.mu.Lock()
	done := m.owes && seqwindow.LessEq(m.owed, m.g.handed)
	if done { // the roster knows it before the client does
		m.in, m.held, m.owes = m.in+m.held, 0, false
	}
	m.g.mu.Unlock()
	if s, ok := m.c.m.(*session.Session); ok && done {
		s.ReleaseAcks(now)
		m.c.settleLocked(now)
	}
}

// commonBack tells a member's client that the app has a new socket.
func (c *sessionDriver) commonBack(why wire.AdoptReason) {
	now := c.enter()
	defer c.leave()
	if m, ok := c.m.(*session.Session); ok {
		m.CommonBack(now, why)
		c.settleLocked(now)
	}
}

// look lets a session act on what is true now.
func (c *sessionDriver) look() {
	now := c.enter()
	defer c.leave()
	c.settleLocked(now)
}

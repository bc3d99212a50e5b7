package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/monotime"
	"github.com/wsresilience/wsresilience/internal/sharing"
	"github.com/wsresilience/wsresilience/internal/transport"
	"github.com/wsresilience/wsresilience/internal/upgrade"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

// shares are the shared sessions that live here, by their id and by who may join
// them. It is safe for concurrent use, also for a holder of any session's lock.
type shares struct {
	mu     sync.Mutex
	of, id map[wire.SessionID]*shared
}

// named returns the shared session with an id; nil: it is not here.
func (s *shares) named(id wire.SessionID) *shared {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.id[id]
}

func (s *shares) get(key wire.SessionID) *shared {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.of[key]
}

func (s *shares) add(g *shared) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil {
		s.of, s.id = map[wire.SessionID]*shared{}, map[wire.SessionID]*shared{}
	}
	s.of[g.key], s.id[g.c.id] = g, g
}

func (s *shares) remove(g *shared) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of[g.key] == g {
		delete(s.of, g.key)
	}
	delete(s.id, g.c.id)
}

func (s *shares) all() (list []*shared) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.id {
		list = append(list, g)
	}
	return list
}

// shareKey returns by what a client is joined with others on its path, if it is. It
// is a hash, so that what the client says is kept nowhere, and of Origin, path and
// Host too: a page of another site has the cookie, and not the Origin.
func (q *request) shareKey() (key wire.SessionID, ok bool) {
	if q.s.cfg.SharedBy == nil {
		return key, false
	}
	kind, name, _ := strings.Cut(q.s.cfg.SharedBy(q.r.URL.Path), ":")
	var values []string
	switch kind {
	case "cookie":
		values = cookieValues(q.r.Header["Cookie"], name)
	case "header":
		values = q.r.Header.Values(name)
	case "query":
		values = q.r.URL.Query()[name]
	}
	if len(values) != 1 || values[0] == "" {
		return key, false
	}
	d := upgrade.NewDigest()
	d.Add("share "+kind, values)
	d.Add("place", []string{normalHost(q.r.Host, q.scheme), rawPath(q.r), strings.ToLower(q.r.Header.Get("Origin"))})
	copy(key[:], d.Sum(nil))
	return key, true
}

// join makes a client a member of the session that its user shares, wherever that
// is, or begins it.
func (q *request) join(key wire.SessionID) {
	for try := range maxPlaces {
		if try > 0 && !q.pause(placePause<<try) {
			return // the client is gone
		}
		if g := q.s.shares.get(key); g != nil {
			if q.joinShared(g, nil) {
				return
			}
			continue // it has just ended, and is about to be forgotten
		}
		_, done := q.s.sessions.find(key, q.r.Context().Done())
		if done == nil {
			return // the client is gone
		}
		if q.s.shares.get(key) != nil {
			done()
			continue
		}
		if q.joinOrBegin(key, done) {
			return
		}
	}
	q.later("the owner of the shared session cannot be reached, or that moves", event.RefusedUpstream)
}

// pause reports whether the client is still there after that time.
func (q *request) pause(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-q.r.Context().Done():
		return false
	}
}

// joinOrBegin is join for a session that is not here, and reports whether the client
// has its answer. done lets others look here.
func (q *request) joinOrBegin(key wire.SessionID, done func()) bool {
	at, before := q.find(key)
	if at != nowhere {
		done()
		return at == answered
	}
	g, fields, again := q.beginShared(key, before)
	done()
	if g != nil {
		q.joinShared(g, fields)
		g.joined()
	}
	return !again
}

// beginShared makes a common session, which counts as one that a member joins. It
// returns nil when the client has its answer already, or, again, when another
// sidecar was faster, and otherwise what the app answered its handshake with.
func (q *request) beginShared(key wire.SessionID, before listing) (_ *shared, fields []byte, again bool) {
	s := q.s
	id := wire.SessionID(sharing.CommonID(newSessionID()))
	hs := q.sessionHandshake(id, firstEpoch)
	hs.Offers = nil // members need not agree on compression
	app := q.dialApp(hs)
	if app == nil {
		return nil, nil, false
	}
	if s.cfg.Store != nil && !s.StoreAway() {
		ctx, cancel := context.WithTimeout(q.r.Context(), appendTimeout)
		err := s.list(ctx, key, id, before)
		cancel()
		if errors.Is(err, store.ErrFenced) {
			app.Conn.Close()
			return nil, nil, true
		}
	}
	c := &sessionDriver{srv: s, id: id, born: monotime.At(q.began), subject: s.subject(q.r, q.client, firstEpoch)}
	now := time.Now()
	start := q.startShared(id, app.Subprotocol)
	g := &shared{srv: s, c: c, epoch: firstEpoch, listedAt: now, key: key, subprotocol: app.Subprotocol, hasState: start.State != nil, joining: 1}
	c.keepHandshake(q, hs, start)
	m := session.New(&s.live.Load().common, now, start)
	c.m, c.chain.Writer = m, store.NewWriter()
	c.client, c.app = c.memoryLeg(commonLeg{g}), c.newAppLeg(app.Conn)
	m.AttachMembers(now, g.roster)
	if !s.sessions.add(c) {
		c.releaseHandshake()
		c.app.t.Abort()
		c.appClosedLocked(false)
		q.later("this pod is about to stop", event.RefusedDraining)
		return nil, nil, false
	}
	s.shares.add(g)
	c.began(event.Resilient)
	c.start(app.Early)
	return g, app.Fields, false
}

// startShared is start for a common session: keys are the members'.
func (q *request) startShared(id wire.SessionID, subprotocol string) session.Start {
	start := q.start(id, subprotocol)
	start.Shared, start.Keys, start.State = true, nil, q.s.live.Load().cfg.State.State(q.r.URL.Path)
	start.Judge = q.s.live.Load().cfg.State.Judge(q.r.URL.Path)
	return start
}

// joinShared makes a client a member, and reports whether it has its answer: not if
// the session is over. fields are of the app's answer to the client's own handshake.
func (q *request) joinShared(g *shared, fields []byte) bool {
	s := q.s
	if g.subprotocol != "" && !slices.Contains(q.offer.App, g.subprotocol) {
		q.refuse(&upgrade.Refusal{Status: http.StatusBadRequest, Reason: "the shared session has another subprotocol", Label: event.RefusedProtocols})
		return true
	}
	if fields == nil {
		switch reason, _, fact := q.authorizeResume(q.r.Context()); reason {
		case 0:
		case wire.ResetUnauthorized:
			q.refuse(&upgrade.Refusal{Status: http.StatusForbidden, Reason: "not authorised", Label: event.RefusedResume})
			return true
		default:
			q.later("the app could not be asked: "+fact, event.RefusedResume)
			return true
		}
	}
	m := &member{g: g, synchrony: synchrony{share: q.offer.Share}}
	switch g.admit(m) {
	case admitted:
	case crowded:
		q.later(fmt.Sprintf("the shared session has %d members", s.cfg.ShareMembers), event.RefusedSessions)
		return true
	default:
		return false
	}
	defer g.joined()
	id := wire.SessionID(sharing.MemberID(g.c.id, m.number))
	c := &sessionDriver{srv: s, id: id, born: monotime.At(q.began), subject: s.subject(q.r, q.client, g.epoch)}
	m.c = c
	if !s.limit.add(c, q.client, false) {
		q.later(tooManySessions.Reason, tooManySessions.Label)
		return true
	}
	conn, err := q.accept(wire.Subprotocol, "", fields)
	if err != nil {
		s.limit.remove(c)
		return true
	}
	q.session = id
	now := time.Now()
	ms := session.New(&s.live.Load().echo, now, session.Start{
		ID: id, Epoch: g.epoch, Subprotocol: g.subprotocol, Binding: binding(q.r, q.scheme, s.cfg.Bind), Member: true, Keys: q.keyGate(id),
	})
	c.m, c.client, c.app = ms, c.newLeg(conn), c.memoryLeg(m)
	m.leg = c.app
	ms.Attach(now, wire.StatusNew, session.Position{Next: 1, Adopt: q.offer.Adopt, Keys: q.offer.Keys, Share: q.offer.Share, Reopen: q.offer.Reopen}, false)
	if !s.sessions.add(c) {
		s.limit.remove(c)
		c.client.t.Abort()
		return true
	}
	c.accepted(event.Resilient)
	c.began(event.Resilient)
	g.enter(m)
	c.start(nil)
	return true
}

// memoryLeg is a leg whose other end is in this process.
func (c *sessionDriver) memoryLeg(t transport.Conn) *leg {
	l := c.unusedLeg()
	l.c, l.t = c, t
	return l
}

// An admittance is whether a shared session takes another member.
type admittance uint8

const (
	admitted admittance = iota
	crowded             // it has as many as it may
	ended               // it is over
)

// admit lets a client become a member, and numbers it: enter follows, and joined in
// any case.
func (g *shared) admit(m *member) admittance {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.over || g.leaving:
		return ended
	case len(g.members)+len(g.absent)+g.joining > g.srv.cfg.ShareMembers || g.number == 1<<16-1:
		return crowded
	}
	g.joining++
	g.number++
	m.number = g.number
	return admitted
}

// joined follows admit.
func (g *shared) joined() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.joining--
	g.wakeLocked()
}

// enter makes m a member. It hears the state, and what the others have not heard
// either; the first hears all.
func (g *shared) enter(m *member) {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := g.visible
	if m.number == 1 {
		at = g.acked
	}
	m.anew = m.number != 1 && (m.share || g.hasState)
	m.untold = !m.anew
	m.delta, m.fed, m.acked, m.backs = at, at, at, g.backs
	g.members, g.changed = append(g.members, m), true
	g.memberships++
	g.wakeLocked()
}

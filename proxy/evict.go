package proxy

import (
	"cmp"
	"slices"
	"time"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/monotime"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/wire"
)

// Detached sessions hold memory that nobody reads. When it is short they go
// first, before those that live are slowed for long: to the journal, from which
// their clients get them back, or, without one, for good.

// evictEvery is how often memory is looked at.
const evictEvery = 250 * time.Millisecond

// evictWatch gives detached sessions up while memory is short, until the server's
// end.
func (s *Server) evictWatch() {
	tick := time.NewTicker(evictEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-s.evictNow:
		case <-s.life.Done():
			return
		}
		if s.scarce() {
			s.evict()
		}
	}
}

// evictSoon makes evictWatch look now.
func (s *Server) evictSoon() {
	select {
	case s.evictNow <- struct{}{}:
	default:
	}
}

// evict gives up as many detached sessions as hold an eighth of the budget: first
// those whose client never said anything, then those that have been detached for
// longest.
func (s *Server) evict() {
	list, leaving := s.detached()
	slices.SortFunc(list, func(a, b detachedSession) int {
		if a.lived != b.lived {
			if b.lived {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.since, b.since)
	})
	free, most := s.pool.Budget()/8, max(int(s.pool.Budget()/evictingRoom), 1)
	for _, d := range list {
		if free <= 0 || leaving >= most {
			return
		}
		if d.c.evict() {
			free -= d.held
			leaving++
		}
	}
}

// evictingRoom is how much of a budget allows another session to be given up at the
// same time: until it is in the journal each keeps all that it has, and a few
// mebibytes of what its app still says.
const evictingRoom = 64 << 20

type detachedSession struct {
	c     *sessionDriver
	since monotime.Time
	lived bool
	held  int64
}

// detached lists the detached sessions that hold memory, shared ones none of whose
// members is there among them, and counts those that are being given up.
func (s *Server) detached() (list []detachedSession, leaving int) {
	ofMembers := map[*sessionDriver]int64{} // what detached members hold, by their common session
	for _, c := range s.sessions.all() {
		c.mu.Lock()
		m, ok := c.m.(*session.Session)
		switch member := c.memberLocked(); {
		case !ok || c.over:
		case member != nil:
			if !m.Attached() {
				ofMembers[member.g.c] += c.heldLocked(m)
			}
		case m.HandingOver():
			leaving++
		default:
			if since, lived, away := c.awayLocked(m); away {
				list = append(list, detachedSession{c, since, lived, c.heldLocked(m)})
			}
		}
		c.mu.Unlock()
	}
	for i := range list {
		list[i].held += ofMembers[list[i].c]
	}
	return slices.DeleteFunc(list, func(d detachedSession) bool { return d.held == 0 }), leaving
}

// heldLocked is what giving the session up frees. The caller holds the lock.
func (c *sessionDriver) heldLocked(m *session.Session) int64 {
	held := int64(m.Held())
	if c.saved != nil {
		held += c.saved.cost
	}
	return held
}

// awayLocked reports whether nobody is attached to the session: its client, or of a
// common session any member; and since when, and whether one ever said anything. The
// caller holds the lock.
func (c *sessionDriver) awayLocked(m *session.Session) (since monotime.Time, lived, away bool) {
	if g := c.commonLocked(); g != nil {
		since, away = g.desertedSince()
		return since, true, away
	}
	if m.Attached() {
		return 0, false, false
	}
	since, lived = m.Detached()
	return since, lived, true
}

// evict gives the session up if it is still detached, a shared one with its members.
func (c *sessionDriver) evict() bool {
	now := c.enter()
	defer c.leave()
	m, ok := c.m.(*session.Session)
	if !ok || c.over || m.HandingOver() || c.memberLocked() != nil {
		return false
	}
	if _, _, away := c.awayLocked(m); !away {
		return false
	}
	c.observe(event.Event{Kind: event.Evicted})
	if m.Journals() && !c.srv.StoreAway() {
		c.handOverLocked(now, event.HandOverDetached, 0)
	} else {
		c.m.End(now, session.EndedMemory, wire.CodeRestart)
	}
	c.settleLocked(now)
	return true
}

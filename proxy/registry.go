package proxy

import (
	"sync"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/wire"
)

// registry knows every driver of this sidecar. It is safe for concurrent
// use. A holder of a session's lock may take the registry's, never the other
// way round.
type registry struct {
	mu       sync.Mutex
	sessions map[wire.SessionID]*sessionDriver
	plain    map[*sessionDriver]struct{}
	adopting map[wire.SessionID]chan struct{} // closed when the adoption is decided
	closed   bool                             // nothing new is taken
	created  int                              // drivers that were ever registered
	changed  chan struct{}                    // closed when there is a new one, or none left; nil: none waits

	gone, plainGone session.Counters // of the ended ones
}

func (r *registry) init() {
	r.sessions = make(map[wire.SessionID]*sessionDriver)
	r.plain = make(map[*sessionDriver]struct{})
	r.adopting = make(map[wire.SessionID]chan struct{})
}

// add registers a driver, and fails when the sidecar is stopping.
func (r *registry) add(c *sessionDriver) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	if s, ok := c.m.(*session.Session); ok {
		r.sessions[s.ID()] = c
	} else {
		r.plain[c] = struct{}{}
	}
	r.created++
	r.notifyLocked()
	return true
}

// remove forgets an ended driver; its counters stay in the totals. The
// caller holds the session's lock.
func (r *registry) remove(c *sessionDriver) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.plain {
		delete(r.plain, c)
		addCounters(&r.plainGone, c.m.Counters())
	} else {
		if r.sessions[c.id] == c {
			delete(r.sessions, c.id)
		}
		addCounters(&r.gone, c.m.Counters())
	}
	if len(r.sessions) == 0 {
		r.notifyLocked()
	}
}

// notifyLocked wakes those who wait for a change. The caller holds mu.
func (r *registry) notifyLocked() {
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

// counts are how many drivers there are.
type counts struct{ resilient, plain, created int }

// count returns how many drivers there are, and a channel that is closed when
// a new one comes or no session is left.
func (r *registry) count() (n counts, changed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changed == nil {
		r.changed = make(chan struct{})
	}
	return counts{len(r.sessions), len(r.plain), r.created}, r.changed
}

// resilient returns how many sessions there are.
func (r *registry) resilient() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.sessions)
}

// has reports whether the session lives here.
func (r *registry) has(id wire.SessionID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sessions[id] != nil
}

// named returns a session's driver, or a plain connection's; nil: it is not here.
func (r *registry) named(id wire.SessionID) *sessionDriver {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.sessions[id]; c != nil {
		return c
	}
	for c := range r.plain {
		if c.id == id {
			return c
		}
	}
	return nil
}

// find returns the session's driver, or, if there is none, makes the caller
// the one who adopts it: others who ask wait until done is called.
func (r *registry) find(id wire.SessionID, abort <-chan struct{}) (c *sessionDriver, done func()) {
	for {
		r.mu.Lock()
		if c := r.sessions[id]; c != nil {
			r.mu.Unlock()
			return c, nil
		}
		wait := r.adopting[id]
		if wait == nil {
			mine := make(chan struct{})
			r.adopting[id] = mine
			r.mu.Unlock()
			return nil, func() {
				r.mu.Lock()
				delete(r.adopting, id)
				r.mu.Unlock()
				close(mine)
			}
		}
		r.mu.Unlock()
		select {
		case <-wait:
		case <-abort:
			return nil, nil
		}
	}
}

// all returns every driver that lives.
func (r *registry) all() []*sessionDriver {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]*sessionDriver, 0, len(r.sessions)+len(r.plain))
	for _, c := range r.sessions {
		list = append(list, c)
	}
	for c := range r.plain {
		list = append(list, c)
	}
	return list
}

// close makes add fail from now on.
func (r *registry) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
}

// Stats sums up. It looks at every session, one at a time, and is meant for a
// scrape.
func (s *Server) Stats() event.Stats {
	st := event.Stats{
		WindowBytes: s.pool.InUse(), Budget: s.pool.Budget(),
		Tunnels: s.peers.Count(), OldTokens: s.reissue.waiting(), Draining: s.Draining(), Used: s.used(), Slowed: s.slowings.Slowed(),
	}
	driver, _ := s.Driver()
	st.Driver = string(driver)
	st.Slowed[session.LimitMemory] = s.clientBuffers.Memory.Waits()
	for _, c := range s.sessions.all() {
		c.mu.Lock()
		if m, ok := c.m.(*session.Session); ok {
			switch {
			case c.over: // the journal is still to hear of it
			case m.Attached():
				st.Attached++
			default:
				st.Detached++
			}
			if n := m.ContextSize(); n > 0 {
				st.Snapshots++
				st.SnapshotBytes += int64(n)
			}
			addCounters(&st.Traffic, m.Counters())
		} else {
			st.Plain++
			addCounters(&st.PlainTraffic, c.m.Counters())
		}
		if c.client != nil && c.m.Link().Suspicious() {
			st.Suspicious++
		}
		c.mu.Unlock()
	}
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	addCounters(&st.Traffic, &s.sessions.gone)
	addCounters(&st.PlainTraffic, &s.sessions.plainGone)
	return st
}

func addCounters(to, from *session.Counters) {
	to.InMessages += from.InMessages
	to.InBytes += from.InBytes
	to.OutMessages += from.OutMessages
	to.OutBytes += from.OutBytes
	to.Duplicates += from.Duplicates
	to.Replayed += from.Replayed
	to.ReplayedBytes += from.ReplayedBytes
	to.AcksSent += from.AcksSent
	to.AcksHeard += from.AcksHeard
	to.BeatsSent += from.BeatsSent
	to.BeatsHeard += from.BeatsHeard
	to.BeatsDropped += from.BeatsDropped
	to.WindowFull += from.WindowFull
	to.Records += from.Records
	to.Frames += from.Frames
}

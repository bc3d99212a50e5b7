package redial

import "time"

// What counts as the same moment, and as shortly before it.
const (
	// together is how far apart the breaks of a process that ends are noticed.
	together = 100 * time.Millisecond

	// takeover is how long an app takes, from a new client's handshake, to
	// learn who that is and to end the connection that it replaces.
	takeover = 2 * time.Second
)

// Sockets is what one app's sockets show of the app. The zero value has none.
type Sockets struct {
	alive          int
	breaks, opened counter

	triedAt   time.Time // when the newest attempt to connect that is known began
	upSince   time.Time // since when all attempts succeeded; zero: the newest failed, or there was none
	refusedAt time.Time // when one last failed
}

// Dialling notes that a handshake with the app begins. It counts as a socket
// already: the app may end the one that it replaces before it answers.
func (s *Sockets) Dialling(now time.Time) {
	s.alive++
	s.opened.add(now)
}

// Dialled notes that a handshake is over.
func (s *Sockets) Dialled() { s.alive-- }

// Opened notes a socket that a handshake has made.
func (s *Sockets) Opened() { s.alive++ }

// Closed notes the end of a socket: it broke, or was closed, which while the pod
// stops counts as a break if the app did it.
func (s *Sockets) Closed(now time.Time, broke bool) {
	s.alive--
	if broke {
		s.breaks.add(now)
	}
}

// Tried notes the outcome of an attempt to connect that began at a time.
func (s *Sockets) Tried(began, now time.Time, ok bool) {
	if began.After(s.triedAt) {
		s.triedAt = began
	}
	switch {
	case !ok:
		s.upSince, s.refusedAt = time.Time{}, now
	case s.upSince.IsZero():
		s.upSince = now
	}
}

// evidence returns what is known at now of a break, and of others within a time.
func (s *Sockets) evidence(now, broke time.Time, within time.Duration) Evidence {
	return Evidence{
		Down:    !s.refusedAt.IsZero() && s.refusedAt.After(broke.Add(-together)),
		TriedAt: s.triedAt, UpSince: s.upSince, Alive: s.alive,
		Broke:  s.breaks.between(broke.Add(-within), broke.Add(within)),
		Opened: s.opened.between(broke.Add(-takeover), now),
	}
}

// Reached reports whether the app took a connection, if it was tried to connect
// since a time.
func (s *Sockets) Reached(since time.Time) (ok, tried bool) {
	return !s.upSince.IsZero(), !s.triedAt.Before(since)
}

// Evidence is what an app's sockets say of the break of one of them.
type Evidence struct {
	Down    bool      // the app took no connection since
	TriedAt time.Time // when it was last tried to connect
	UpSince time.Time // since when it takes them; zero: it does not, as far as known

	Broke  int // sockets that broke in the same moment, this one included
	Opened int // sockets that were opened shortly before, or since
	Alive  int // sockets that live
}

// A cause is why a socket of the app ended, as far as it shows.
type cause uint8

const (
	undecided  cause = iota
	restarting       // the app restarts, or has
	unclear          // it may have, and takes connections already
	meant            // it lives, and has ended this one socket
)

// cause returns that of an app that takes connections and has said nothing of
// a restart.
func (e Evidence) cause() cause {
	unexplained := e.Broke - e.Opened // a new socket may have taken an old one's place
	switch {
	case e.Alive <= 0: // nothing to compare with
		return unclear
	case e.Broke > 1 && e.Broke > e.Alive:
		return unclear
	case unexplained > 1 && unexplained*8 >= e.Broke+e.Alive: // one of several processes
		return unclear
	}
	return meant
}

// A counter counts events by when they were, for a while.
type counter struct {
	slots [64]struct {
		number int64 // of the time slot
		n      int
	}
}

const slotWidth = 50 * time.Millisecond

func slot(t time.Time) int64 { return t.UnixNano() / int64(slotWidth) }

func (t *counter) add(now time.Time) {
	s := &t.slots[slot(now)%int64(len(t.slots))]
	if s.number != slot(now) {
		s.number, s.n = slot(now), 0
	}
	s.n++
}

// between counts what was from a time to another, to a slot's precision.
func (t *counter) between(from, to time.Time) (n int) {
	for _, s := range t.slots {
		if s.number >= slot(from) && s.number <= slot(to) {
			n += s.n
		}
	}
	return n
}

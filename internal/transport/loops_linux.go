package transport

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// maxLoops leaves processors to handshakes, to the journal and to the app,
// which is beside us.
func maxLoops() int { return (runtime.GOMAXPROCS(0) + 1) / 2 }

// loops are the event loops of a server: as few as the traffic needs, since
// one that has much to do takes more from the kernel at once and sleeps less,
// and at most maxLoops. They end with close.
type loops struct {
	running sync.WaitGroup
	refused func(error) // hears why a loop has no rounds, when others may have; nil: nobody does

	mu     sync.Mutex // guards the rest
	all    []*loop
	make   func(room int) (*aio, error) // newAIO, or a test's; nil: loops have no rounds
	least  int                          // of sockets that make a round
	spare  *aio                         // of the next loop
	closed bool
}

// tryRounds finds out whether loops can have rounds, and makes those have them that
// are to come, from so many sockets on.
func (s *loops) tryRounds(least int) error {
	a, err := newAIO(roundConns)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.make, s.least, s.spare = newAIO, least, a
	return nil
}

// giveRoundsLocked lets a loop have rounds, unless the node has no room for more of
// them. The caller holds mu.
func (s *loops) giveRoundsLocked(l *loop) {
	a := s.spare
	if s.spare = nil; a == nil && s.make != nil {
		var err error
		if a, err = s.make(roundConns); err != nil {
			s.make = nil
			if s.refused != nil {
				s.refused(err)
			}
		}
	}
	if a != nil {
		l.round = newRound(l, a, s.least)
	}
}

// pick returns the loop for another session, or nil where none can be made.
func (s *loops) pick() *loop {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	if l := s.leastLoaded(); l != nil && (l.load() < busyEnough || len(s.all) >= maxLoops()) {
		return l
	}
	return s.grow()
}

// lessBusy returns a loop that has time for sessions of a busy one, or nil.
func (s *loops) lessBusy(than *loop) *loop {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	if l := s.leastLoaded(); l != than && l.load() < busyEnough {
		return l
	}
	if len(s.all) < maxLoops() {
		return s.grow()
	}
	return nil
}

// leastLoaded returns the first loop that is not busy, or else the least busy.
func (s *loops) leastLoaded() (leastLoaded *loop) {
	for _, l := range s.all {
		if l.load() < busyEnough {
			return l
		}
		if leastLoaded == nil || l.load() < leastLoaded.load() {
			leastLoaded = l
		}
	}
	return leastLoaded
}

func (s *loops) grow() *loop {
	l, err := newLoop(s)
	if err != nil {
		return s.leastLoaded() // out of descriptors: those that are there share
	}
	s.giveRoundsLocked(l)
	s.all = append(s.all, l)
	s.running.Go(l.run)
	return l
}

// close ends the loops, and closes the sockets that are left: no owner may
// write to one any more. It returns when all of that is done.
func (s *loops) close() {
	s.mu.Lock()
	s.closed = true
	s.spare.close()
	for _, l := range s.all {
		l.stop()
	}
	s.mu.Unlock() // a loop may look for another one yet
	s.running.Wait()
}

// An Affinity names the event loop that some sockets share, such as the two of
// one session. The zero value is ready, and gets its loop with the first socket
// that can be on one. It belongs to the Sockets that it was first used with.
type Affinity struct {
	loop atomic.Pointer[loop] // nil until a socket comes that can be on one
}

// find returns the loop, or nil if none can be made. It is called by one owner
// at a time.
func (a *Affinity) find(among *loops) *loop {
	if a.loop.Load() == nil {
		a.loop.Store(among.pick())
	}
	return a.loop.Load()
}

// choose returns how sockets are read, given what is asked for, and why it is not
// DriverAIO. refused may be nil.
func (s *loops) choose(d Driver, refused func(error)) (Driver, error) {
	if d == DriverGoroutine || d == DriverEpoll {
		return d, nil
	}
	s.refused = refused
	least := roundLeast
	if d == DriverAIO {
		least = 1
	}
	if err := s.tryRounds(least); err != nil {
		return DriverEpoll, err
	}
	return DriverAIO, nil
}

// busiest returns how busy the busiest loop is, in percent.
func (s *loops) busiest() (most uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.all {
		most = max(most, l.load())
	}
	return most
}

package proxy

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/monotime"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/wire"
)

// A Schedule is how the time of a drain is spent, in this order.
type Schedule struct {
	Notice     time.Duration // everybody is taken, while load balancers learn that this pod goes
	Move       time.Duration // clients are asked to come elsewhere, spread over this
	Stragglers time.Duration // whoever has not moved is moved
}

const (
	// noticeMost is enough for load balancers and kube-proxy, however long a
	// drain is.
	noticeMost = 5 * time.Second

	// stragglersLeast is what a hand-over takes of an app that does not answer
	// its close, with a journal that is slow.
	stragglersLeast = 2 * time.Second
)

// Plan makes a schedule of the time that a drain may take (WSR_DRAIN_SECONDS).
func Plan(total time.Duration) Schedule {
	p := Schedule{Notice: min(total/5, noticeMost), Stragglers: max(total/10, min(stragglersLeast, total/3))}
	p.Move = total - p.Notice - p.Stragglers
	return p
}

// Implementation limits of a drain.
const (
	// drainPace is between two looks at who is still here.
	drainPace = 20 * time.Millisecond

	// moveDelay is what a GOAWAY gives its client to come elsewhere: they are
	// sent one after the other, so that it only has to blur the rate.
	moveDelay = 500 * time.Millisecond

	// askAgain is when a client that came back to this pod is asked again.
	askAgain = 2 * time.Second
)

// leaving is how far a sidecar is on its way out. It is safe for concurrent
// use.
type leaving struct {
	draining atomic.Bool // sessions are handed over
	closed   atomic.Bool // nobody new is taken

	mu    sync.Mutex
	since time.Time     // when it began; zero: it has not
	done  chan struct{} // closed when all is handed over or the time is up
	err   error         // then
}

func (l *leaving) refuses() bool { return l.closed.Load() }

// begin makes the caller the one who drains, unless there is one.
func (l *leaving) begin() (mine bool, done chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done == nil {
		l.done = make(chan struct{})
	}
	mine = l.since.IsZero()
	if mine {
		l.since = time.Now()
	}
	return mine, l.done
}

// DrainingSince tells when the drain began; zero if there is none.
func (s *Server) DrainingSince() time.Time {
	s.leaving.mu.Lock()
	defer s.leaving.mu.Unlock()
	return s.leaving.since
}

// Draining tells whether the sessions of this sidecar are being handed over.
func (s *Server) Draining() bool { return s.leaving.draining.Load() }

// Accepting tells whether new clients are taken.
func (s *Server) Accepting() bool { return !s.leaving.refuses() }

// Drain hands every session over (DESIGN §4.1) and returns when that is
// done, at the latest when the schedule is through. First everybody is still
// taken, because load balancers need a while; then resilient clients are
// asked, one after the other, to come elsewhere, which moves their session
// there; at last plain clients are closed with 1012. If a drain is under way already, Drain waits for its
// end. When ctx ends it returns and the drain goes on.
func (s *Server) Drain(ctx context.Context, plan Schedule) error {
	mine, done := s.leaving.begin()
	if mine {
		s.work.Go(func() {
			s.leaving.err = s.drain(plan)
			close(done)
		})
	}
	select {
	case <-done:
		return s.leaving.err
	case <-ctx.Done():
		return fmt.Errorf("proxy: drain: %w", context.Cause(ctx))
	}
}

func (s *Server) drain(plan Schedule) error {
	last := time.Now().Add(plan.Notice + plan.Move)
	end := last.Add(plan.Stragglers)
	s.log.Info("draining", "audit", true, "sessions", len(s.sessions.all()), "limit", time.Until(end).Round(time.Second).String())
	s.leaving.draining.Store(true)
	s.beginHandOver()
	if !s.rest(plan.Notice) {
		return context.Cause(s.life)
	}
	s.leaving.closed.Store(true)
	s.moveClients(last)
	err := s.handAllOver(end)
	s.log.Info("drained", "audit", true, "left", len(s.sessions.all()))
	return err
}

// rest waits, and returns false if the server is shut down meanwhile.
func (s *Server) rest(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.life.Done():
		return false
	}
}

// beginHandOver tells all sessions that their app may go away now.
func (s *Server) beginHandOver() {
	for _, c := range s.sessions.all() {
		c.drains()
	}
}

func (c *conduit) drains() {
	c.enter()
	defer c.leave()
	if m, ok := c.m.(*session.Session); ok {
		m.Drain()
	}
}

// moveClients makes clients move, at an even rate, until last: those of our
// own sessions are asked, and those that only pass through here lose their
// connection, since nothing can be said to them. Without anybody who could
// take sessions over they are left in peace.
func (s *Server) moveClients(last time.Time) {
	if s.cfg.Peers == nil {
		s.rest(time.Until(last))
		return
	}
	var moves []func()
	for _, c := range s.sessions.all() {
		moves = append(moves, func() { c.asksToMove(last) })
	}
	for _, t := range s.tunnels.all() {
		moves = append(moves, t.close)
	}
	rand.Shuffle(len(moves), func(i, j int) { moves[i], moves[j] = moves[j], moves[i] })
	began := time.Now()
	span := last.Sub(began) - moveDelay
	for i := 0; time.Now().Before(last) && s.resilientLeft()+s.tunnels.count() > 0; {
		for due := share(len(moves), time.Since(began), span); i < due; i++ {
			moves[i]()
		}
		if i == len(moves) {
			s.askStragglers(last)
		}
		if !s.rest(drainPace) {
			return
		}
	}
	if len(s.sessions.all()) > 0 {
		s.rest(time.Until(last)) // plain clients are left alone until then
	}
}

// share is how many of n are due when some of a span has passed.
func share(n int, passed, span time.Duration) int {
	if passed >= span {
		return n
	}
	return min(n, int(float64(n)*float64(passed)/float64(span))+1)
}

// asksToMove tells the client to come elsewhere. A session without a client
// is handed over at once.
func (c *conduit) asksToMove(last time.Time) {
	now := c.enter()
	defer c.leave()
	m, ok := c.m.(*session.Session)
	switch {
	case !ok || c.over:
		return
	case m.Attached():
		c.asked = monotime.At(now)
		m.GoAway(wire.GoAwayDraining, max(0, min(moveDelay, last.Sub(now))))
	default:
		c.handsOver(now, event.HandOverDetached)
	}
	c.settle(now)
}

// askStragglers asks those again who came back to this pod.
func (s *Server) askStragglers(last time.Time) {
	for _, c := range s.sessions.all() {
		if c.askedBefore(askAgain) {
			c.asksToMove(last)
		}
	}
}

// askedBefore tells whether the client was last asked that long ago.
func (c *conduit) askedBefore(d time.Duration) bool {
	now := c.enter()
	defer c.leave()
	return !c.plain && now.Sub(c.asked.Time()) >= d
}

// handAllOver moves whoever is left, and waits for it until end.
func (s *Server) handAllOver(end time.Time) error {
	for time.Now().Before(end) {
		left := s.sessions.all()
		if len(left) == 0 {
			return nil
		}
		for _, c := range left {
			c.handOver(event.HandOverDeadline) // once; a late adoption comes with a later look
		}
		if !s.rest(drainPace) {
			return context.Cause(s.life)
		}
	}
	if n := len(s.sessions.all()); n > 0 {
		return fmt.Errorf("proxy: drain: %d sessions could not be handed over in time", n)
	}
	return nil
}

func (s *Server) resilientLeft() int {
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	return len(s.sessions.sessions)
}

// handOver gives the session up and returns a channel that is closed when it
// is over here. A plain connection is closed.
func (c *conduit) handOver(cause event.HandOverCause) <-chan struct{} {
	now := c.enter()
	defer c.leave()
	if c.ended == nil {
		c.ended = make(chan struct{})
		if c.over {
			close(c.ended)
		}
	}
	c.handsOver(now, cause)
	c.settle(now)
	return c.ended
}

// handsOver is handOver for a caller that holds the lock and settles.
func (c *conduit) handsOver(now time.Time, cause event.HandOverCause) {
	m, ok := c.m.(*session.Session)
	if !ok {
		c.m.End(now, session.EndedShutdown, wire.CodeRestart)
		return
	}
	if !c.over && !m.HandingOver() {
		if m.HandOver(now); m.HandingOver() {
			c.observe(event.Event{Kind: event.HandedOver, HandOver: cause})
		}
	}
}

func (c *conduit) handingOver() bool {
	c.enter()
	defer c.leave()
	m, ok := c.m.(*session.Session)
	return ok && m.HandingOver()
}

// Shutdown hands over what a Drain has left, if there was one, waits for HTTP
// requests and appends under way, and closes the listeners. When ctx ends it
// cuts what is left; sessions that were not handed over by then are an error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.leaving.draining.Store(true)
	s.leaving.closed.Store(true)
	s.sessions.close()
	end, ok := ctx.Deadline()
	if !ok {
		end = time.Now().Add(handedWait)
	}
	err := s.handAllOver(end)
	s.die()
	// Only now: a peer takes a closed port for a dead owner.
	herr := errors.Join(s.http.Shutdown(ctx), s.peerHTTP.Shutdown(ctx))
	for _, c := range s.sessions.all() {
		c.kill()
	}
	s.tunnels.closeAll()
	if errors.Is(herr, context.DeadlineExceeded) || errors.Is(herr, context.Canceled) {
		// Streams of events never end by themselves; the grace was theirs.
		s.log.Warn("HTTP requests were still open when the grace was over")
	} else if err == nil {
		err = herr
	}
	_, _ = s.http.Close(), s.peerHTTP.Close()
	s.passthrough.close()
	s.work.Wait()
	s.sockets.Close()
	return err
}

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
	"github.com/wsresilience/wsresilience/internal/drain"
	"github.com/wsresilience/wsresilience/internal/monotime"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/wire"
)

// drainState is how far a sidecar is on its way out. It is safe for concurrent
// use.
type drainState struct {
	draining atomic.Bool // sessions are handed over
	closed   atomic.Bool // nobody new is taken

	mu       sync.Mutex
	stopping bool // Shutdown was called
	current  *drainRun
}

// A drainRun is one drain. It is over when it is taken back, and otherwise
// stays.
type drainRun struct {
	since time.Time
	life  context.Context // ends when it is taken back
	undo  context.CancelCauseFunc
	done  chan struct{} // closed when all is handed over or the time is up
	err   error         // then
}

// Why a drain is no more, or goes on.
var (
	errUndrained = errors.New("proxy: the drain was taken back")
	errStopping  = errors.New("proxy: the sidecar is stopping, which cannot be taken back")
)

func (d *drainState) refusing() bool { return d.closed.Load() }

// begin makes the caller the one who drains, unless there is one.
func (d *drainState) begin(life context.Context) (run *drainRun, mine bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.current != nil {
		return d.current, false
	}
	run = &drainRun{since: time.Now(), done: make(chan struct{})}
	run.life, run.undo = context.WithCancelCause(life)
	d.current = run
	return run, true
}

// stop makes it final.
func (d *drainState) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopping = true
	d.draining.Store(true)
	d.closed.Store(true)
}

// DrainingSince tells when the drain began; zero if there is none.
func (s *Server) DrainingSince() time.Time {
	s.drainState.mu.Lock()
	defer s.drainState.mu.Unlock()
	if s.drainState.current == nil {
		return time.Time{}
	}
	return s.drainState.current.since
}

// Undrain takes a drain back: clients are taken again, and nobody else is
// asked to move. Who has moved stays where it is, and a session that is being
// handed over goes. It fails after Shutdown.
func (s *Server) Undrain() error {
	d := &s.drainState
	d.mu.Lock()
	defer d.mu.Unlock()
	switch run := d.current; {
	case d.stopping:
		return errStopping
	case run != nil:
		run.undo(errUndrained)
		<-run.done // its steps take no lock of ours, and wait for nothing but this
		d.current = nil
		d.draining.Store(false)
		d.closed.Store(false)
		for _, c := range s.sessions.all() {
			c.drains(false)
		}
		s.log.Info("the drain was taken back", "audit", true, "sessions", len(s.sessions.all()))
	}
	return nil
}

// Draining reports whether the sessions of this sidecar are being handed over.
func (s *Server) Draining() bool { return s.drainState.draining.Load() }

// Accepting reports whether new clients are taken.
func (s *Server) Accepting() bool { return !s.drainState.refusing() }

// Drain hands every session over (DESIGN §4.1) and returns when that is
// done, at the latest when the schedule is through. First everybody is still
// taken, because load balancers need a while; then resilient clients are
// asked, one after the other, to come elsewhere, which moves their session
// there; at last plain clients are closed with 1012. If a drain is under way already, Drain waits for its
// end. When ctx ends it returns and the drain goes on.
func (s *Server) Drain(ctx context.Context, plan drain.Schedule) error {
	run, mine := s.drainState.begin(s.life)
	if mine {
		s.work.Go(func() {
			run.err = s.drain(run.life, plan)
			close(run.done)
		})
	}
	select {
	case <-run.done:
		return run.err
	case <-ctx.Done():
		return fmt.Errorf("proxy: drain: %w", context.Cause(ctx))
	}
}

func (s *Server) drain(ctx context.Context, plan drain.Schedule) error {
	f := drain.Facts{Schedule: plan, Peers: s.cfg.Peers != nil, Began: time.Now()}
	s.log.Info("draining", "audit", true, "sessions", len(s.sessions.all()), "limit", time.Until(f.End()).Round(time.Second).String())
	s.drainState.draining.Store(true)
	for _, c := range s.sessions.all() {
		c.drains(true)
	}
	err := s.empty(ctx, &f)
	if !errors.Is(err, errUndrained) {
		s.log.Info("drained", "audit", true, "left", len(s.sessions.all()))
	}
	return err
}

// empty performs the steps of a drain until it is over or ctx ends.
func (s *Server) empty(ctx context.Context, f *drain.Facts) error {
	var moves []func()
	for {
		n, changed := s.sessions.count()
		f.Now, f.Resilient, f.Plain, f.Created, f.Tunnels = time.Now(), n.resilient, n.plain, n.created, s.peers.Count()
		if !f.Peers {
			f.Attached = s.attached()
		}
		switch step := drain.Next(f).(type) {
		case drain.Wait:
			if err := rest(ctx, step.Until, changed); err != nil {
				return err
			}
		case drain.Refuse:
			s.drainState.closed.Store(true)
			f.Refusing = true
		case drain.List:
			moves = s.moves(f.Moving())
			f.Listed, f.Clients = f.Now, len(moves)
			if longest := s.replies.Longest(); longest > 0 {
				f.Answers = max(longest, s.cfg.HandOverQuiet)
			}
		case drain.Move:
			for _, move := range moves[f.Moved : f.Moved+step.N] {
				move()
			}
			f.Moved += step.N
		case drain.Remind:
			f.NextAsk = s.remind(f.Moving())
		case drain.HandOver:
			for _, c := range s.sessions.all() {
				c.handOver(event.HandOverDeadline, min(f.Patience(), s.cfg.HandOverPatience))
			}
			f.HandedOver = f.Created
		case drain.Done:
			if step.Left > 0 {
				return fmt.Errorf("proxy: drain: %d sessions could not be handed over in time", step.Left)
			}
			return nil
		}
	}
}

// attached returns how many clients are here.
func (s *Server) attached() (n int) {
	for _, c := range s.sessions.all() {
		c.mu.Lock()
		if c.client != nil && !c.over {
			n++
		}
		c.mu.Unlock()
	}
	return n
}

// rest waits until then, until something changes, or until ctx ends, and
// returns why it ended.
func rest(ctx context.Context, until time.Time, changed <-chan struct{}) error {
	t := time.NewTimer(time.Until(until))
	defer t.Stop()
	select {
	case <-t.C:
	case <-changed:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// moves are what moves each client, in random order.
func (s *Server) moves(last time.Time) (moves []func()) {
	for _, c := range s.sessions.all() {
		moves = append(moves, func() { c.sendGoAway(last) })
	}
	for _, t := range s.peers.Tunnels() {
		moves = append(moves, t.Close)
	}
	rand.Shuffle(len(moves), func(i, j int) { moves[i], moves[j] = moves[j], moves[i] })
	return moves
}

// drains tells the session whether its app may go away now.
func (c *sessionDriver) drains(on bool) {
	c.enter()
	defer c.leave()
	if m, ok := c.m.(*session.Session); ok {
		m.Drain(on)
	}
}

// sendGoAway tells the client to come elsewhere. A session without a client
// is handed over at once.
func (c *sessionDriver) sendGoAway(last time.Time) {
	now := c.enter()
	defer c.leave()
	m, ok := c.m.(*session.Session)
	g := c.commonLocked()
	switch {
	case !ok || c.over || m.HandingOver():
		return
	case g != nil && !g.deserted(), c.memberLocked() != nil && !m.Attached():
		return // it goes when a member's client comes elsewhere
	case g != nil:
		c.handOverLocked(now, event.HandOverDetached, c.srv.cfg.HandOverPatience)
	case m.Attached():
		c.asked = monotime.At(now)
		m.GoAway(wire.GoAwayDraining, max(0, min(drain.MoveDelay, last.Sub(now))))
	default:
		c.handOverLocked(now, event.HandOverDetached, c.srv.cfg.HandOverPatience)
	}
	c.settleLocked(now)
}

// remind asks those again who came back to this pod, and returns when the next
// one is due.
func (s *Server) remind(last time.Time) (next time.Time) {
	next = last
	for _, c := range s.sessions.all() {
		if due := c.nextGoAway(); !due.IsZero() && time.Until(due) <= 0 {
			c.sendGoAway(last)
		} else if !due.IsZero() && due.Before(next) {
			next = due
		}
	}
	if again := time.Now().Add(drain.AskAgain); again.Before(next) {
		next = again // of those that were just asked
	}
	return next
}

// nextGoAway is when the client is to be asked again; zero for a plain one,
// which is never asked, and for one that is handed over.
func (c *sessionDriver) nextGoAway() time.Time {
	c.enter()
	defer c.leave()
	if m, ok := c.m.(*session.Session); !ok || m.HandingOver() {
		return time.Time{}
	}
	return c.asked.Time().Add(drain.AskAgain)
}

// handOver gives the session up and returns a channel that is closed when it
// is over here. A plain connection is closed.
func (c *sessionDriver) handOver(cause event.HandOverCause, patience time.Duration) <-chan struct{} {
	if common := c.common(); common != nil {
		c.enter()
		c.moves = c.moves || cause == event.HandOverMoved
		c.leave()
		return common.handOver(cause, patience) // and its members with it
	}
	now := c.enter()
	defer c.leave()
	if c.ended == nil {
		c.ended = make(chan struct{})
		if c.over {
			close(c.ended)
		}
	}
	c.moves = c.moves || cause == event.HandOverMoved
	c.handOverLocked(now, cause, patience)
	c.settleLocked(now)
	return c.ended
}

// handOverLocked is handOver for a caller that holds the lock, and settles.
func (c *sessionDriver) handOverLocked(now time.Time, cause event.HandOverCause, patience time.Duration) {
	m, ok := c.m.(*session.Session)
	if !ok {
		c.m.End(now, session.EndedShutdown, wire.CodeRestart)
		return
	}
	if c.over {
		return
	}
	before := m.HandingOver()
	if m.HandOver(now, patience); m.HandingOver() && !before {
		c.observe(event.Event{Kind: event.HandedOver, HandOver: cause})
	}
}

func (c *sessionDriver) isHandingOver() bool {
	if common := c.common(); common != nil {
		return common.isHandingOver()
	}
	c.enter()
	defer c.leave()
	m, ok := c.m.(*session.Session)
	return ok && m.HandingOver()
}

// Shutdown hands over what a Drain has left, if there was one, waits for HTTP
// requests and appends under way, and closes the listeners. When ctx ends it
// cuts what is left; sessions that were not handed over by then are an error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.drainState.stop()
	s.sessions.close()
	end, ok := ctx.Deadline()
	if !ok {
		end = time.Now().Add(handOverTimeout)
	}
	err := s.empty(s.life, &drain.Facts{Schedule: drain.Schedule{Stragglers: time.Until(end)}, Began: time.Now(), Refusing: true})
	s.die()
	// Only now: a peer takes a closed port for a dead owner.
	herr := errors.Join(s.http.Shutdown(ctx), s.peerHTTP.Shutdown(ctx), s.passthrough.Shutdown(ctx))
	for _, c := range s.sessions.all() {
		c.kill()
	}
	s.peers.CloseAll()
	if errors.Is(herr, context.DeadlineExceeded) || errors.Is(herr, context.Canceled) {
		// Streams of events never end by themselves; the grace was theirs.
		s.log.Warn("HTTP requests were still open when the grace was over")
	} else if err == nil {
		err = herr
	}
	_, _ = s.http.Close(), s.peerHTTP.Close()
	s.passthrough.Close()
	s.work.Wait()
	s.sockets.Close()
	return err
}

package proxy

import (
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/internal/monotime"
	"github.com/wsresilience/wsresilience/internal/transport"
	"github.com/wsresilience/wsresilience/internal/upgrade"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

// A machine is what a driver drives: session.Session or session.Plain.
type machine interface {
	FromClient(now time.Time, p []byte) (used int)
	FromApp(now time.Time, p []byte) (used int)
	Output(now time.Time, o *session.Output)
	AppWrote(now time.Time, n int)
	ClientWrote(n int)
	AppWritable()
	ClientWritable()
	ClientGone(now time.Time, broken bool)
	AppGone(now time.Time, broken bool)
	Tick(now time.Time)
	End(now time.Time, why session.Ending, code ws.StatusCode)
	Persisted(now time.Time, r session.PersistResult)
	Done() bool
	Forget()
	Counters() *session.Counters
	Link() *heartbeat.Monitor
	Config() *session.Config
	Configure(now time.Time, cfg *session.Config)
}

// A sessionDriver joins a machine to its sockets, its timer and its journal. Bytes
// that a reader got go through the machine and into the write call on the
// reader's own thread, under the session's lock; nothing in here waits.
type sessionDriver struct {
	// Immutable.
	srv     *Server
	plain   bool
	id      wire.SessionID // of a plain connection known to operators only
	chain   store.Chain
	deflate *upgrade.DeflateParams // what the app's socket negotiated
	born    monotime.Time
	subject *event.Subject // of reports

	legs  [2]leg             // the first client and app, inline: a session is one allocation
	saved *savedHandshake    // nil: the session has one app socket only
	place transport.Affinity // of its sockets

	slot int // in the queue of timers, from 1; 0: not in it. Guarded by timers.mu

	mu         sync.Mutex // guards the rest and the machine
	m          machine
	client     *leg          // nil while no connection is attached
	app        *leg          // nil if there never was an app
	armed      monotime.Time // when tick is called at the latest; 0 if it is not
	over       bool          // the end was reported
	moves      bool          // the client has come to another sidecar
	gone       bool          // the registry has forgotten it
	appCounted bool          // the app's socket is among Server.appSockets
	stalls     uint32        // of this process, at the last step
	beats      uint32        // answered heartbeats that were reported
	link       heartbeat.State
	appUnread  unread
	ended      chan struct{}  // closed at the end, if somebody waits for it
	asked      monotime.Time  // when the client was last asked to move; 0: never
	comes      *event.Subject // the one that supersedes the client, in that step
}

// enter begins a step: it takes the lock. The returned time is the step's.
func (c *sessionDriver) enter() time.Time {
	c.mu.Lock()
	now := time.Now()
	if n := c.srv.stallDetector.stalls(now); n != c.stalls {
		c.suspectOwnershipLocked(now, n)
	}
	return now
}

// enterSoon is enter, unless another has the lock.
func (c *sessionDriver) enterSoon() (time.Time, bool) {
	if !c.mu.TryLock() {
		return time.Time{}, false
	}
	now := time.Now()
	if n := c.srv.stallDetector.stalls(now); n != c.stalls {
		c.suspectOwnershipLocked(now, n)
	}
	return now, true
}

// leave ends a step. A broken invariant of one session ends that session and
// nothing else (I8).
func (c *sessionDriver) leave() { c.leaveWith(recover()) }

// leaveUnless is leave, unless the step waits for a write: then the lock is kept.
func (c *sessionDriver) leaveUnless(waits *bool) {
	if r := recover(); r != nil || !*waits {
		c.leaveWith(r)
	}
}

func (c *sessionDriver) leaveWith(r any) {
	if r != nil {
		c.observe(event.Event{Kind: event.Panicked})
		c.srv.log.Error("session broke an invariant", "session", c.id.String(), "path", c.subject.Path(), "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
		c.abandonLocked(session.EndedPanic)
	}
	c.mu.Unlock()
}

// abandonLocked drops everything without asking the machine what it still wants.
// Only its counters are read, so that the totals do not shrink.
func (c *sessionDriver) abandonLocked(why session.Ending) {
	for _, l := range []*leg{c.client, c.app} {
		if l != nil {
			l.t.Abort()
		}
	}
	c.appClosedLocked(false)
	c.client, c.app = nil, nil
	c.stopTimerLocked()
	c.finishLocked(why)
	if !c.gone {
		c.gone = true
		c.srv.sessions.remove(c)
	}
	c.forgetMachine()
	c.m = deadMachine{}
}

// forgetMachine has the machine give its memory back, as far as a broken one can.
func (c *sessionDriver) forgetMachine() {
	defer func() { _ = recover() }() // what broke it was reported
	c.m.Forget()
}

// Bytes implements transport.Sink.
func (l *leg) Bytes(p []byte) (used int) {
	now := l.c.enter()
	defer l.c.leave()
	used, _ = l.bytesLocked(now, p, nil)
	return used
}

// BytesInRound implements transport.RoundSink.
func (l *leg) BytesInRound(p []byte, r *transport.Round) (used int, ok bool) {
	now, ok := l.c.enterSoon()
	if !ok {
		return 0, false
	}
	waits := false
	defer l.c.leaveUnless(&waits)
	used, waits = l.bytesLocked(now, p, r)
	return used, true
}

// bytesLocked feeds the machine. It reports whether the step waits for a write that
// the round has taken, which may be nil.
func (l *leg) bytesLocked(now time.Time, p []byte, r *transport.Round) (used int, waits bool) {
	c := l.c
	for used < len(p) {
		var n int
		switch l {
		case c.client:
			n = c.m.FromClient(now, p[used:])
		case c.app:
			n = c.m.FromApp(now, p[used:])
		default:
			return len(p), false // nobody listens to this socket any more
		}
		used += n
		if waits = c.settleInRoundLocked(now, r); waits || n == 0 {
			break
		}
	}
	return used, waits
}

// Writable implements transport.Sink.
func (l *leg) Writable() {
	c := l.c
	now := c.enter()
	defer c.leave()
	switch l {
	case c.client:
		c.m.ClientWritable()
	case c.app:
		c.m.AppWritable()
	default:
		return
	}
	c.settleLocked(now)
}

// Gone implements transport.Sink.
func (l *leg) Gone(broken bool) {
	c := l.c
	now := c.enter()
	defer c.leave()
	switch l {
	case c.client:
		c.m.ClientGone(now, broken)
		if c.plain {
			c.appClosedLocked(false) // how the app ends it is no sign any more
		} else { // a plain connection may still have something to send
			c.client = nil
			l.t.Finish()
			c.observe(event.Event{Kind: event.Detached, Cause: event.DetachedGone, Fact: goneFact(broken)})
		}
	case c.app:
		c.appClosedLocked(true)
		c.m.AppGone(now, broken)
	default:
		c.srv.moved.gone(l)
		l.t.Abort()
		return
	}
	c.settleLocked(now)
}

// tick is the timer's call.
func (c *sessionDriver) tick() {
	now := c.enter()
	defer c.leave()
	c.armed = 0
	c.askTransportLocked(now)
	c.m.Tick(now)
	c.settleLocked(now)
	c.reportLinkLocked()
}

// askTransportLocked lets the kernel have its say before a heartbeat counts as missed,
// and about the host of a plain client in any case: its heartbeats may be
// another sidecar's.
func (c *sessionDriver) askTransportLocked(now time.Time) {
	link := c.m.Link()
	unanswered := link.Unanswered(now)
	if c.client == nil || !c.plain && !unanswered {
		return
	}
	p, ok := c.client.t.Progress()
	if !ok {
		return
	}
	if unanswered {
		link.Sent(now, p.Acked, p.Quiet, p.Lacking)
	}
	if c.plain && heartbeat.HostGone(p.Unanswered, p.Quiet) {
		c.m.ClientGone(now, true)
	}
}

// reportLinkLocked tells what the heartbeats found out since the last time. A common
// session has none.
func (c *sessionDriver) reportLinkLocked() {
	if c.commonLocked() != nil {
		return
	}
	link := c.m.Link()
	if n := uint32(c.m.Counters().BeatsHeard); n != c.beats {
		c.beats = n
		_, deviation := link.RTT()
		c.observe(event.Event{Kind: event.RoundTrip, Took: link.Last(), Deviation: deviation, Loss: link.Loss()})
	}
	if st := link.State(); st != c.link {
		c.link = st
		c.observe(event.Event{Kind: event.LinkState, Link: st})
	}
}

// performLocked does what is rare.
func (c *sessionDriver) performLocked(o *session.Output) {
	if o.Persist != nil {
		c.srv.appends.add(c, o.Persist) // the machine asks for one at a time
	}
	if o.KeyCall != nil {
		c.askKeyLocked(o.KeyCall)
	}
	for _, fate := range o.Keyed {
		c.observe(event.Event{Kind: event.Keyed, Fate: fate})
	}
	if o.Blind {
		c.observe(event.Event{Kind: event.Blind})
	}
	if o.ShutApp && c.app != nil {
		c.app.t.Shut()
	}
	if o.ShutClient && c.client != nil {
		c.client.t.Shut()
	}
	if o.CloseClient != nil && c.client != nil {
		if o.Ended == session.EndedHanded && len(o.FinalToClient) > 0 {
			c.client.closeMovedLocked(o.FinalToClient, c.moves)
		} else {
			c.client.close(o.FinalToClient)
		}
		c.client = nil
		c.detached(o)
	}
	if o.BadBeat != 0 {
		c.observe(event.Event{Kind: event.HeartbeatRejected, Beat: o.BadBeat})
	}
	if o.Skipped != 0 {
		c.observe(event.Event{Kind: event.MessageSkipped, Messages: o.Skipped})
	}
	if o.CloseApp && c.app != nil {
		c.app.close(o.FinalToApp)
		c.appClosedLocked(o.FindCause) // it is compared with others that the app closes
		c.app = nil
		c.reportTooBig()
	}
	if o.RedialApp {
		c.redialLocked()
	}
	if o.FindCause {
		c.findCauseLocked(time.Now())
	}
	if o.Ended != 0 {
		c.finishLocked(o.Ended)
	}
}

// armLocked makes sure that the timer fires no later than deadline. It is left
// alone when it fires earlier: tick then finds nothing due and arms it anew,
// which is cheaper than moving it with every message.
func (c *sessionDriver) armLocked(now, deadline time.Time) {
	if c.over && c.m.Done() {
		c.stopTimerLocked()
		return
	}
	if deadline.IsZero() {
		return
	}
	at := monotime.At(deadline)
	if c.armed != 0 && at >= c.armed {
		return
	}
	c.armed = at
	if deadline.Sub(now) > coarse {
		at = at.Next(grid)
	}
	c.srv.timers.set(c, at)
}

// Timers that are further away than coarse, as heartbeats are, fire on a grid,
// a little late: sessions then have their turn together, and a sidecar with
// thousands of idle ones wakes up 25 times a second instead of once for each.
const (
	coarse = time.Second
	grid   = 40 * time.Millisecond
)

func (c *sessionDriver) stopTimerLocked() {
	c.armed = 0
	c.srv.timers.stop(c)
}

// finishLocked reports the end, once.
func (c *sessionDriver) finishLocked(why session.Ending) {
	if c.over {
		return
	}
	c.over = true
	c.srv.limit.remove(c)
	c.releaseHandshake()
	c.wakeSearchLocked()
	if c.ended != nil {
		close(c.ended)
	}
	c.srv.ended(c, why)
}

// forgetLocked takes an ended session out of the registry, once the journal has
// heard of the end: a resume that finds neither the session nor its end would
// adopt it.
func (c *sessionDriver) forgetLocked() {
	if m, ok := c.m.(*session.Session); c.over && !c.gone && (!ok || m.EndJournaled()) {
		c.gone = true
		c.srv.sessions.remove(c)
	}
}

// persisted takes the result of a session's record.
func (c *sessionDriver) persisted(r session.PersistResult) {
	now := c.enter()
	defer c.leave()
	ownershipSuspect := c.ownershipSuspect()
	c.m.Persisted(now, r)
	c.settleLocked(now)
	switch {
	case !ownershipSuspect || c.ownershipSuspect():
	case r == session.PersistRefused:
		c.observe(event.Event{Kind: event.OwnershipChecked, Ownership: event.OwnershipFenced})
	default:
		c.observe(event.Event{Kind: event.OwnershipChecked, Ownership: event.OwnershipConfirmed})
	}
}

// ownershipSuspect reports whether another sidecar may own the session by now.
func (c *sessionDriver) ownershipSuspect() bool {
	m, ok := c.m.(*session.Session)
	return ok && m.OwnershipSuspect()
}

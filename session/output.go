package session

import (
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/idempotency"
	"github.com/wsresilience/wsresilience/internal/monotime"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

// Output is what the driver does next, in the order of the fields. After
// each input it asks for Outputs, and acts on them, until one is Idle. The
// slices are valid until the next input. An Output is the driver's, and may
// serve one session after the other: what an idle session would have of its own
// is memory.
type Output struct {
	// ToApp is written to the app's socket before anything else, and AppWrote
	// is told at once how much was taken: no acknowledgement leaves before
	// (I3).
	ToApp [][]byte

	// ToClient is written to the attached connection, and ClientWrote told.
	ToClient [][]byte

	// Persist is appended to the journal, off this thread. The next one comes
	// only after Persisted (one publish in flight per session). The record
	// and its frames belong to the driver.
	Persist *store.Record

	// CloseClient ends the attached connection: FinalToClient is written as far as
	// it goes without waiting, then the connection is finished, or aborted if
	// a part of a frame is missing. The connection is already detached: nothing
	// that still comes from it is fed in.
	CloseClient   *wire.CloseError
	FinalToClient []byte

	// CloseApp finishes the app's socket, after FinalToApp was written as far
	// as it goes.
	CloseApp   bool
	FinalToApp []byte

	// RedialApp is set once when the session waits for a fresh app socket. The
	// driver dials the app again and calls AppBack, or AppGivenUp.
	RedialApp bool

	// FindCause is set once when the app's socket ended while the owner is about to
	// stop. The driver finds out why, and calls AppLeft or AppGivenUp.
	FindCause bool

	// ShutClient and ShutApp close a leg for writing (FIN), once; it is still
	// read.
	ShutClient, ShutApp bool

	// Ended is why the session is over, once. Its memory is given back already.
	// The driver goes on until Done, since the end may have to be journaled.
	Ended Ending

	// KeyCall is put to the store of keys, off this thread, and Keyed is told the
	// result. Others may be under way meanwhile.
	KeyCall *idempotency.Call

	// Keyed is what became of messages with a key, once.
	Keyed []idempotency.Fate

	// BadBeat is what was wrong with a heartbeat of the client that was dropped,
	// once for each.
	BadBeat BeatFault

	// Skipped is how many messages the client gave up since the last Output (PROTOCOL
	// §4.9); 255 are that or more.
	Skipped int

	// Blind is set once when a plain connection carries what are no frames.
	Blind bool

	// PauseClient and PauseApp stop the reading of a leg, until an Output in
	// which they are false. They are states and not events.
	PauseClient, PauseApp bool

	// Deadline is when Tick wants to be called; zero means never. It is known
	// when the Output is Idle.
	Deadline time.Time

	// Heard says up to when all that the client sent has been fed in, at most now;
	// nil: all has. The driver sets it, and it stays: what an attached client has
	// not acknowledged is journaled by its age at that moment, since its
	// acknowledgement may lie in its socket.
	Heard Hearer

	control []byte // where control messages for the client are made
}

// A Hearer knows up to when all that came on a session's sockets has been read.
type Hearer interface {
	Heard(now monotime.Time) monotime.Time
}

// reset empties o and keeps its memory.
func (o *Output) reset() {
	*o = Output{ToApp: o.ToApp[:0], ToClient: o.ToClient[:0], FinalToClient: o.FinalToClient[:0], Keyed: o.Keyed[:0], control: o.control[:0], Heard: o.Heard}
}

// Idle reports whether nothing is left to be done now.
func (o *Output) Idle() bool {
	return len(o.ToApp) == 0 && len(o.ToClient) == 0 && o.Persist == nil &&
		o.CloseClient == nil && !o.CloseApp && !o.RedialApp && !o.FindCause && !o.ShutClient && !o.ShutApp && o.Ended == 0 && o.BadBeat == 0 && o.Skipped == 0 && !o.Blind && o.KeyCall == nil && len(o.Keyed) == 0
}

func size(parts [][]byte) (n int) {
	for _, b := range parts {
		n += len(b)
	}
	return n
}

// Output returns what to do next. It overwrites all of o.
func (s *Session) Output(now time.Time, o *Output) {
	o.reset()
	if s.ownership.open {
		o.Persist = s.record(now, o.Heard)
		o.PauseClient, o.PauseApp = true, true
		o.Deadline = s.journalDeadline().Time()
		return
	}
	s.settleClose(now)
	s.settleHandOver(now)
	s.settleKeys(now, o)
	s.composeApp(o)
	if len(o.ToApp) > 0 {
		s.app.offered = uint32(size(o.ToApp))
		return // what the client may be told depends on what the app takes
	}
	s.composeClient(now, o)
	o.Persist = s.record(now, o.Heard)
	s.composeEnd(o)
	if s.client.offered = uint32(size(o.ToClient)); s.client.offered > 0 {
		return // it changes what follows
	}
	o.PauseClient = s.clientUnread(now)
	o.PauseApp = s.full() || s.app.in.Waits()
	if o.Idle() {
		o.Deadline = s.deadline()
		if (o.PauseClient || o.PauseApp) && s.closing.ended == 0 && s.waitsForMemory() {
			// Others give memory back, of which this session does not hear.
			// Each looks at another time, so that they do so one after the other.
			wait := scarceWait/2 + time.Duration(s.cfg.Random())%(scarceWait/2)
			o.Deadline = earlier(o.Deadline, now.Add(wait))
		}
		if s.app.in.Holds() && !s.appOver() {
			o.Deadline = earlier(o.Deadline, now.Add(stalledLook))
		}
		if s.client.attached && s.tooFast(now) {
			o.Deadline = earlier(o.Deadline, s.cfg.pace.until.Time())
		}
	}
}

// earlier returns the earlier of two instants, of which a zero a does not count.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// clientUnread reports whether the client is not read.
func (s *Session) clientUnread(now time.Time) bool {
	return s.queueFull() || s.keyHolds() || s.client.in.Waits() || s.tooFast(now)
}

// waitsForMemory reports whether a leg that is not read may be so for want of
// memory.
func (s *Session) waitsForMemory() bool {
	return s.cfg.Scarce() || s.client.in.Waits() || s.app.in.Waits()
}

// full reports whether the outbound window takes no more (I6). When the memory
// of all sessions runs short, each keeps only a little, so that those with a
// client that reads go on, and those without wait.
func (s *Session) full() bool {
	if s.HandingOver() {
		return s.window.Bytes() >= s.cfg.WindowBytes+maxHandoverBytes || s.window.Len() >= s.cfg.WindowMessages+maxHandoverMessages
	}
	return s.window.Bytes() >= s.cfg.WindowBytes || s.window.Len() >= s.cfg.WindowMessages ||
		s.cfg.keepsNoMore(s.window.Bytes())
}

// composeEnd adds what closes legs and the session itself.
func (s *Session) composeEnd(o *Output) {
	o.BadBeat, s.client.badBeat = s.client.badBeat, 0
	o.Skipped, s.client.skipped = int(s.client.skipped), 0
	if d := s.client.drop; d != nil {
		o.CloseClient, s.client.drop = d, nil
		o.FinalToClient = s.finalFrames(o.FinalToClient, d)
	}
	over := s.closing.ended != 0
	if (over || s.closing.byApp || s.restart.lost || s.handover.phase == readyToHandOver) && s.app.open && len(s.app.control) == 0 {
		o.CloseApp, s.app.open = true, false
	}
	if s.restart.redial && !s.app.open {
		o.FindCause = !over && s.AwaitsCause()
		o.RedialApp, s.restart.redial = !over && !o.FindCause, false
	}
	if over && !s.closing.reported {
		s.closing.reported = true
		o.Ended = s.closing.ended
	}
}

// Done reports whether an ended session has nothing left to do.
func (s *Session) Done() bool {
	return s.closing.ended != 0 && s.closing.reported && !s.app.open && s.journal.idle()
}

// EndJournaled reports whether the journal has the session's end, or needs none.
func (s *Session) EndJournaled() bool { return s.closing.ended != 0 && s.journal.idle() }

// deadline is the earliest instant at which something is due.
func (s *Session) deadline() time.Time {
	var d deadline
	if s.closing.ended != 0 {
		d.add(s.closing.deadline)
		d.add(s.journal.retry)
		return d.at.Time()
	}
	if s.client.attached {
		d.addTime(s.client.beat.Deadline())
		if !s.client.blocked && !s.context.holdsAck() { // otherwise ClientWritable comes first
			d.addTime(s.inbox.AckDeadline())
		}
	} else {
		d.add(s.client.expires)
	}
	d.add(s.closing.deadline)
	d.add(s.handOverDeadline())
	d.add(s.restoreDeadline())
	d.addTime(s.context.deadline(s))
	if g := s.gate(); g != nil {
		d.add(g.Deadline())
	}
	d.addTime(s.echoDeadline())
	d.add(s.journalDeadline())
	return d.at.Time()
}

// deadline collects the earliest of several instants, of which zero ones do
// not count.
type deadline struct{ at monotime.Time }

func (d *deadline) add(at monotime.Time) {
	if at != 0 && (d.at == 0 || at < d.at) {
		d.at = at
	}
}

func (d *deadline) addTime(t time.Time) { d.add(monotime.At(t)) }

// Tick lets time pass. Calling it early or late does no harm: what is due is
// decided here.
func (s *Session) Tick(now time.Time) {
	if s.closing.ended != 0 {
		s.forceApp(now)
		return
	}
	if s.ownership.open {
		return
	}
	s.client.in.Retry()
	s.app.in.Retry()
	if s.client.attached {
		s.tickLink(now)
	} else if !now.Before(s.client.expires.Time()) {
		s.end(EndedExpired)
		s.queueAppClose(ws.StatusGoingAway, "session expired")
		return
	}
	s.tickApp(now)
	s.tickClose(now)
	s.tickHandOver(now)
	s.tickRestore(now)
	s.context.tick(now, s)
	if g := s.gate(); g != nil {
		g.Tick(now)
	}
}

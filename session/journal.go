package session

import (
	"bytes"
	"errors"
	"time"

	"github.com/wsresilience/wsresilience/internal/monotime"
	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

// Implementation limits of journaling.
const (
	// minRetry and maxRetry bound the pause after a failed append.
	minRetry = 100 * time.Millisecond
	maxRetry = 5 * time.Second

	// busyPause, and up to as much again, is how long a record waits for a
	// journal that is busy, and maxBusyWait how long after all that it may be due.
	// Each look costs about as much as a message.
	busyPause   = 80 * time.Millisecond
	maxBusyWait = 500 * time.Millisecond

	// unheardPause is how long a record waits for what may lie in the client's
	// socket: about a round of a loop that has very much to do.
	unheardPause = 20 * time.Millisecond

	// maxAgainPause is within which sessions write again what the journal lost.
	maxAgainPause = 5 * time.Second

	// quietPause is after how long without messages a chain of records is made
	// light.
	quietPause = 2 * time.Second

	// maxCrowdedFailures bounds the pause of a record that waits for room among
	// those in flight: 3.2 s, and up to as much again.
	maxCrowdedFailures = 5

	// maxEndTries is how often the end of a session is written to a journal that
	// does not answer: for some five minutes. Then the record's time to live ends
	// the session there, and its memory need not be kept.
	maxEndTries = 64
)

// journal is what the session knows of its journal. The window knows up to which
// message it is there (Sender.Journaled). The driver writes.
type journal struct {
	cadence  store.Cadence
	n        uint32        // of the next record in this epoch
	begun    bool          // a record was made, so the journal has to learn of the end
	inFlight *store.Record // nil if none is
	due      bool          // a record is due though no frame is
	claiming bool          // the next record is the claim of a new session
	final    bool          // the end was written, or is not ours to write
	unknown  bool          // the journal may have the newest record, and its answer was lost
	failures uint8         // in a row
	detach   int64         // unix ms when the client detached, earlier by what its TTL is shorter; 0 while attached
	retry    monotime.Time
	refresh  monotime.Time
}

func (j *journal) claim() { j.claiming, j.due = true, true }

// restored follows a takeover: the claim is written, and the next record has the
// state that was made of it.
func (j *journal) restored(n uint32) { j.n, j.begun, j.due = n+1, true, true }

func (j *journal) attached() {
	if j.detach != 0 {
		j.detach, j.due = 0, true
	}
}

func (j *journal) detached(at time.Time) { j.detach, j.due = at.UnixMilli(), true }

func (j *journal) closed() { j.due = true }

// idle reports whether nothing is in flight or left to be written.
func (j *journal) idle() bool { return j.inFlight == nil && (j.final || !j.begun) }

// frameCost is what a record adds to each frame, and recordCost more than what
// it holds beside them.
const (
	frameCost  = 8
	recordCost = 80 << 10
)

// PersistResult is what became of a record.
type PersistResult int

const (
	Persisted      PersistResult = iota
	PersistFailed                // not accepted, or not known: it is written again
	PersistLost                  // what was written before is gone: all of it is written again
	PersistRefused               // another owner has the session: it ends here (I5)
)

// PersistResultOf is what became of a record whose store.Chain.Append returned err.
func PersistResultOf(err error) PersistResult {
	switch {
	case err == nil:
		return Persisted
	case errors.Is(err, store.ErrFenced):
		return PersistRefused
	case errors.Is(err, store.ErrLost):
		return PersistLost
	}
	return PersistFailed
}

// Persisted takes the result of the record of an earlier Output.
func (s *Session) Persisted(now time.Time, r PersistResult) {
	j := &s.journal
	rec := j.inFlight
	j.inFlight = nil
	if !j.begun {
		return // it was Replaced meanwhile
	}
	switch r {
	case PersistRefused:
		j.final = true
		s.End(now, EndedFenced, wire.CodeRestart)
		return
	case Persisted:
		j.cadence.Wrote(rec, nil)
		j.failures, j.unknown = 0, false
		j.claiming = j.claiming && rec.Kind != store.Claim
		s.confirmed(now, rec.N)
		s.context.saved(rec)
		s.rosterSaved()
		s.persisted(now, rec)
		s.lighten(now, rec)
		return
	case PersistLost:
		j.unknown = false
		j.cadence.Restart()
		s.context.unsure()
		if s.closing.ended == 0 {
			s.window.SetJournaled(s.window.Acked())
		}
	case PersistFailed:
		j.unknown = true
		if st := s.keepsState(); st != nil {
			st.missing = true // what it had of the state is written again
		}
		j.cadence.Wrote(rec, store.ErrUnavailable)
		s.context.unsure()
		s.context.ackHeld = false // the client is not made to wait for the journal
		if s.closing.ended != 0 && j.failures >= maxEndTries {
			return // j.final stands
		}
	}
	j.retry = monotime.At(now.Add(min(minRetry<<min(j.failures, 16), maxRetry)))
	j.failures = min(j.failures+1, maxEndTries)
	j.due, j.final = true, false
}

// WriteAgain notes that what the journal accepted may be gone, or is in a format
// that not every sidecar reads: all of it is written again. Sessions that have
// nothing outstanding do so within seconds, and not all at once.
func (s *Session) WriteAgain(now time.Time) {
	j := &s.journal
	if !j.begun || s.closing.ended != 0 {
		return // the end needs nothing before it
	}
	j.cadence.Restart()
	s.context.unsure()
	s.window.SetJournaled(s.window.Acked())
	if soon := monotime.At(now.Add(time.Duration(s.cfg.Random()) % maxAgainPause)); soon < j.refresh {
		j.refresh = soon
	}
}

// JournalBack notes that the journal can be written again.
func (s *Session) JournalBack() { s.journal.retry, s.journal.failures = 0, 0 }

// persisted notes that the messages of an accepted record are in the journal.
func (s *Session) persisted(now time.Time, rec *store.Record) {
	if s.closing.ended != 0 {
		return
	}
	if flight := seqwindow.Serial(rec.OutHead); seqwindow.Less(s.window.Journaled(), flight) {
		s.window.SetJournaled(flight)
	}
	if rec.Handed {
		s.journal.final = true
		s.End(now, EndedHanded, wire.CodeRestart)
	}
}

// record makes the record that is due, if any.
func (s *Session) record(now time.Time, hearer Hearer) *store.Record {
	j := &s.journal
	if !s.cfg.Journal || j.inFlight != nil || j.retry != 0 && now.Before(j.retry.Time()) {
		return nil
	}
	if s.closing.ended != 0 {
		if j.final || !j.begun {
			return nil
		}
		j.final = true
		return s.write(now, s.newRecord(store.End))
	}
	if s.endsSoon() {
		return nil // the end is the record that counts
	}
	if j.claiming {
		return s.write(now, s.newRecord(store.Claim)) // frames follow it at once
	}
	known := now
	if s.late(now) && hearer != nil {
		known = hearer.Heard(monotime.At(now)).Time()
	}
	cut := s.overdue(known)
	if !s.recordDue(now, cut) {
		if s.late(now) {
			j.retry = monotime.At(now.Add(unheardPause))
		}
		return nil
	}
	if left, ok := s.mayWait(known); ok {
		j.retry = monotime.At(now.Add(min(left, busyPause+time.Duration(s.cfg.Random())%busyPause)))
		return nil
	}
	if s.handover.phase != readyToHandOver && s.journal.cadence.Loose(s.outstanding()) && s.exceedsShare() {
		return s.write(now, s.stateRecord(now, s.window.Journaled())) // no messages, to make room
	}
	if s.crowdedOut() {
		pause := minRetry << min(j.failures, maxCrowdedFailures)
		j.retry = monotime.At(now.Add(pause + time.Duration(s.cfg.Random())%pause))
		if j.failures < maxCrowdedFailures {
			j.failures++
		}
		return nil
	}
	return s.write(now, s.stateRecord(now, cut))
}

// outstanding is what the session's chain of records has to hold.
func (s *Session) outstanding() store.Outstanding {
	o := store.Outstanding{Names: s.namesSize()}
	if s.closing.ended != 0 {
		return o
	}
	if o.Bytes = s.window.Bytes(); s.context.tracks() {
		o.Bytes += store.MaxContext
	}
	o.Bytes += s.stateSize()
	return o
}

// exceedsShare reports whether the session's chain, with what may come next,
// would hold more than the journal has room for from one session, or than any
// session may have. A session whose client is slow would otherwise fill the
// journal for all: each record takes its room until 32 others have followed.
func (s *Session) exceedsShare() bool {
	c, o := &s.journal.cadence, s.outstanding()
	return c.Heavy(o) || s.cfg.Share != nil && c.Holds()+int64(o.Bytes) > s.cfg.Share()
}

// lighten follows a record that was accepted. When the chain holds much more
// than is outstanding, and it stays quiet for a while, records without messages
// push that out; behind the end of a session they do so at once.
func (s *Session) lighten(now time.Time, rec *store.Record) {
	j := &s.journal
	if !j.cadence.Loose(s.outstanding()) || rec.Handed {
		return // whoever adopts it goes on with its chain
	}
	switch soon := monotime.At(now.Add(quietPause)); {
	case rec.Kind == store.End:
		j.final = false
	case len(rec.Frames) == 0:
		j.due = true
	case soon < j.refresh:
		j.refresh = soon
	}
}

// crowdedOut reports whether a record with messages has no room: it has copies
// of them, while they stay in the window too, and a journal that does not
// answer keeps it for as long as it likes (I6). Nor has one the room, when the
// journal has none for so much of one session: what others have to write comes
// first, and what a pod that stops hands over.
func (s *Session) crowdedOut() bool {
	if s.window.Bytes() == 0 {
		return false
	}
	return s.cfg.Crowded != nil && s.cfg.Crowded() || s.handover.phase != readyToHandOver && s.exceedsShare()
}

// recordDue reports whether the journal lacks something: the messages up to cut,
// the context, or a state of the session. Without any of it, a record every
// now and then keeps the session from expiring there.
func (s *Session) recordDue(now time.Time, cut seqwindow.Serial) bool {
	return s.journal.due || s.handover.phase == readyToHandOver || cut != s.window.Journaled() || s.context.unsaved() ||
		!now.Before(s.journal.refresh.Time())
}

// stateRecord makes a record of the messages up to cut: of those that the
// journal lacks, or of all that are unacknowledged when its chain of deltas has
// become long and they fit.
func (s *Session) stateRecord(now time.Time, cut seqwindow.Serial) *store.Record {
	rec, journaled := s.newRecord(store.Delta), s.window.Journaled()
	if s.journal.cadence.Outdated(rec.Version) {
		s.journal.cadence.Restart()
		s.context.unsure()
	}
	if st := s.keepsState(); st != nil && st.missing {
		s.journal.cadence.Restart()
	}
	fresh, size := s.frames(journaled, cut)
	context := s.context.change(rec.Version)
	if !s.context.unsaved() || !now.Before(s.journal.refresh.Time()) {
		context.Patch = nil // what it is for must not reach its age
	}
	fromContext := 0
	if s.context.unsaved() {
		fromContext = len(context.Smaller())
	}
	rec.Frames = fresh
	if context.Patch == nil && journaled == s.window.Acked() && s.stateSize() == 0 ||
		s.journal.cadence.Next(size+fromContext, s.window.Bytes()+len(context.Whole)+s.stateSize()) == store.Snapshot {
		if all, _ := s.frames(s.window.Acked(), cut); len(all) == int(cut-s.window.Acked()) {
			rec.Kind, rec.Frames = store.Snapshot, all
			if rec.KeepsPast {
				rec.Past, s.extra.state.missing = s.past(), false
			}
		}
	}
	if rec.KeepsPast {
		rec.Past = append(rec.Past, s.registers(rec.Kind == store.Snapshot)...)
	}
	cut = journaled
	if n := len(rec.Frames); n > 0 {
		cut = seqwindow.Serial(rec.Frames[n-1].Seq)
	}
	rec.OutHead = uint32(cut)
	rec.Handed = s.handover.phase == readyToHandOver && cut == s.window.Head()
	if rec.Handed {
		rec.Unclean, rec.Owed = leavesBehind(s.leavesAs())
	}
	s.context.carry(rec, context)
	s.counters.Frames += uint64(len(rec.Frames))
	return rec
}

// mayWait reports whether the journal is too busy for a record that can wait, and
// for how long at most: of frames that an attached client has not acknowledged
// yet. Most of them soon are, while a record that is queued is written in any case.
func (s *Session) mayWait(now time.Time) (left time.Duration, ok bool) {
	if s.cfg.Busy == nil || !s.client.attached || s.journal.due || s.handover.phase == readyToHandOver || s.context.unsaved() {
		return 0, false
	}
	_, stamp, ok := s.window.OldestUnjournaled()
	left = s.cfg.PersistAfter + maxBusyWait - s.unanswered(now, stamp)
	return left, ok && left > 0 && s.cfg.Busy()
}

// write accounts for a record that goes out.
func (s *Session) write(now time.Time, rec *store.Record) *store.Record {
	j := &s.journal
	rec.N = j.n
	j.n++
	s.rosterWriting()
	j.inFlight, j.begun, j.due, j.retry = rec, true, false, 0
	jitter := store.RefreshJitter * (float64(s.cfg.Random()&0xffff)/0x8000 - 1)
	if !rec.ContextBehind { // a patch does not keep what it is for from reaching its age
		j.refresh = monotime.At(now.Add(time.Duration((1 + jitter) * float64(store.RefreshInterval))))
	}
	s.counters.Records++
	return rec
}

func (s *Session) newRecord(kind store.Kind) *store.Record {
	ack, _ := s.inbox.AckDue(time.Time{})
	version := uint8(0)
	if s.cfg.RecordVersion != nil {
		version = s.cfg.RecordVersion()
	}
	return &store.Record{
		Version: version, Kind: kind, Epoch: s.epoch, Owner: s.cfg.Owner,
		InAcked: uint32(s.context.limitToWhole(ack)), OutAcked: uint32(s.window.Acked()), OutHead: uint32(s.window.Journaled()),
		DetachedAt: s.journal.detach, ProvenEpoch: s.confirmedToken.epoch, Proven: s.confirmedToken.generation, Attempt: s.attempt,
		Base: uint32(s.base), FirstBase: uint32(s.firstBase),
		Closed: s.closing.byApp, CloseCode: uint16(s.closing.code), CloseReason: s.closing.reason,
		Subprotocol: s.subprotocol, Extensions: s.recordExtensions(), KeepsPast: s.keepsPast(version),
	}
}

// frames copies the messages after from and up to cut, as many as one record
// has room for: the window moves on while the record is written.
func (s *Session) frames(from, cut seqwindow.Serial) (list []store.Frame, size int) {
	room := s.cfg.JournalLimits.Record - recordCost - s.stateSize()
	s.window.Each(from, func(seq seqwindow.Serial, _ uint32, parts [][]byte) bool {
		if seqwindow.Less(cut, seq) {
			return false
		}
		f := store.Frame{Seq: uint32(seq), Data: bytes.Join(parts, nil)}
		if room -= len(f.Data) + frameCost; room < 0 && len(list) > 0 {
			return false
		}
		list = append(list, f)
		size += len(f.Data)
		return true
	})
	return list, size
}

// overdue returns the last message that belongs in the journal now: all of
// them while no connection is attached, when they have gathered; otherwise those
// unacknowledged for PersistAfter.
func (s *Session) overdue(now time.Time) seqwindow.Serial {
	cut := s.window.Journaled()
	switch {
	case s.handover.phase == readyToHandOver, s.journal.unknown: // no less than the record before
		return s.window.Head()
	case !s.client.attached && s.gathers(now):
		return cut
	case !s.client.attached:
		return s.window.Head()
	}
	if !s.late(now) {
		return cut
	}
	s.window.Each(cut, func(seq seqwindow.Serial, stamp uint32, _ [][]byte) bool {
		if s.unanswered(now, stamp) < s.cfg.PersistAfter {
			return false
		}
		cut = seq
		return true
	})
	return cut
}

// endsSoon reports whether the session is over as soon as the client's socket has
// taken CLOSE, which answers its own.
func (s *Session) endsSoon() bool {
	return s.closing.byApp && s.closing.byClient && s.client.attached && !s.client.blocked && !s.HandingOver()
}

// late reports whether the attached client has not acknowledged in time, as far as
// is known.
func (s *Session) late(now time.Time) bool {
	if !s.client.attached || s.handover.phase == readyToHandOver {
		return false
	}
	_, stamp, ok := s.window.OldestUnjournaled()
	return ok && s.unanswered(now, stamp) >= s.cfg.PersistAfter
}

// gathers reports whether what the app says waits for more of it: nobody is there
// to get it, and where there are many such sessions a record for each message would
// cost more than all else that the messages do.
func (s *Session) gathers(now time.Time) bool {
	_, stamp, ok := s.window.OldestUnjournaled()
	return ok && !s.journal.due && s.age(now, stamp) < s.cfg.PersistAway && (s.cfg.AwayBusy == nil || s.cfg.AwayBusy())
}

// journalAt is when a message is due in the journal.
func (s *Session) journalAt(stamp uint32) monotime.Time {
	said := s.started.Add(time.Duration(stamp) * time.Millisecond)
	if s.client.attached {
		return max(said, s.client.since).Add(s.cfg.PersistAfter)
	}
	return said.Add(s.cfg.PersistAway)
}

// unanswered is for how long the attached client could have acknowledged a message:
// one that was said while it was away it gets only now.
func (s *Session) unanswered(now time.Time, stamp uint32) time.Duration {
	return min(s.age(now, stamp), now.Sub(s.client.since.Time()))
}

// age of a message, by its stamp.
func (s *Session) age(now time.Time, stamp uint32) time.Duration {
	return time.Duration(int32(s.stamp(now)-stamp)) * time.Millisecond // now may be before it
}

// journalDeadline is when a record will be due.
func (s *Session) journalDeadline() monotime.Time {
	j := &s.journal
	if !s.cfg.Journal || j.inFlight != nil {
		return 0 // Persisted comes
	}
	var d deadline
	d.add(j.refresh)
	if _, stamp, ok := s.window.OldestUnjournaled(); ok {
		d.add(s.journalAt(stamp))
	}
	if j.due {
		d.add(j.retry)
	}
	if j.retry != 0 && (d.at == 0 || d.at < j.retry) {
		return j.retry
	}
	return d.at
}

package session

import (
	"bytes"
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
	busyPause   = 20 * time.Millisecond
	maxBusyWait = 500 * time.Millisecond

	// maxEndTries is how often the end of a session is told to a journal that
	// does not answer: for some five minutes. Then its time to live has to say
	// it, and the ended session need not be kept for that.
	maxEndTries = 64
)

// journal decides what is written, and when; the window's mark says up to
// where it was. The driver writes.
type journal struct {
	cadence  store.Cadence
	n        uint32        // of the next record in this epoch
	begun    bool          // a record was made, so the end has to be told
	inFlight *store.Record // nil if none is
	due      bool          // a record is due though no frame is
	claiming bool          // the next record is the claim of a new session
	final    bool          // the end was told, or is not ours to tell
	failures uint8         // in a row
	detach   int64         // unix ms of the detaching, less what the linger is shorter; 0 while attached
	retry    monotime.Time
	refresh  monotime.Time
}

func (j *journal) claim() { j.claiming, j.due = true, true }

// restored follows a takeover: the claim is written, and the next record
// tells what was made of it.
func (j *journal) restored(n uint32) { j.n, j.begun, j.due = n+1, true, true }

func (j *journal) attached() {
	if j.detach != 0 {
		j.detach, j.due = 0, true
	}
}

func (j *journal) detached(at time.Time) { j.detach, j.due = at.UnixMilli(), true }

func (j *journal) closed() { j.due = true }

// idle reports whether nothing is left to be written.
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
	PersistFailed                // not, or not known: it is said again
	PersistLost                  // what was written before is gone: all of it is said again
	PersistRefused               // another owner has the session: it ends here (I5)
)

// Persisted tells what became of the record of an earlier Output.
func (s *Session) Persisted(now time.Time, r PersistResult) {
	j := &s.journal
	rec := j.inFlight
	j.inFlight = nil
	switch r {
	case PersistRefused:
		j.final = true
		s.End(now, EndedFenced, wire.CodeRestart)
		return
	case Persisted:
		j.cadence.Wrote(rec, nil)
		j.failures = 0
		j.claiming = j.claiming && rec.Kind != store.Claim
		s.confirmed(now, rec.N)
		s.context.saved(rec)
		s.persisted(now, rec)
		return
	case PersistLost:
		j.cadence = store.Cadence{Limits: s.cfg.JournalLimits}
		if s.closing.ended == 0 {
			s.window.SetJournaled(s.window.Acked())
		}
	case PersistFailed:
		j.cadence.Wrote(rec, store.ErrUnavailable)
		s.context.ackHeld = false // the client is not made to wait for the journal
		if s.closing.ended != 0 && j.failures >= maxEndTries {
			return // j.final stands
		}
	}
	j.retry = monotime.At(now.Add(min(minRetry<<min(j.failures, 16), maxRetry)))
	j.failures = min(j.failures+1, maxEndTries)
	j.due, j.final = true, false
}

// JournalBack tells that the journal can be written again.
func (s *Session) JournalBack() { s.journal.retry, s.journal.failures = 0, 0 }

// persisted moves the mark behind a record that is safe.
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
func (s *Session) record(now time.Time) *store.Record {
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
	if j.claiming {
		return s.write(now, s.newRecord(store.Claim)) // frames follow it at once
	}
	marked, cut := s.window.Journaled(), s.overdue(now)
	if !j.due && !s.handover.ready && cut == marked && !s.context.unsaved() && now.Before(j.refresh.Time()) {
		return nil
	}
	if s.mayWait(now) {
		j.retry = monotime.At(now.Add(busyPause + time.Duration(s.cfg.Random())%busyPause))
		return nil
	}
	rec := s.newRecord(store.Delta)
	fresh, size := s.frames(marked, cut)
	whole := s.context.save()
	carried := 0
	if s.context.unsaved() {
		carried = len(whole)
	}
	if rec.Frames = fresh; marked == s.window.Acked() || j.cadence.Next(size+carried, s.window.Bytes()+len(whole)) == store.Snapshot {
		if all, _ := s.frames(s.window.Acked(), cut); len(all) == int(cut-s.window.Acked()) {
			rec.Kind, rec.Frames = store.Snapshot, all
		}
	}
	if n := len(rec.Frames); n > 0 {
		cut = seqwindow.Serial(rec.Frames[n-1].Seq)
	} else {
		cut = marked
	}
	rec.OutHead = uint32(cut)
	rec.Handed = s.handover.ready && cut == s.window.Head()
	rec.Unclean = rec.Handed && s.handover.unclean
	if rec.Kind == store.Snapshot || carried > 0 {
		rec.Context = whole
	}
	s.counters.Frames += uint64(len(rec.Frames))
	return s.write(now, rec)
}

// mayWait reports whether the journal has enough to do without a record of frames
// that a client which is there has merely not acknowledged yet. Most are in a
// moment, while in a queue of the journal they would be written all the same.
func (s *Session) mayWait(now time.Time) bool {
	if s.cfg.Busy == nil || !s.client.attached || s.journal.due || s.handover.ready || s.context.unsaved() {
		return false
	}
	_, stamp, ok := s.window.OldestUnmarked()
	return ok && s.age(now, stamp) < s.cfg.PersistAfter+maxBusyWait && s.cfg.Busy()
}

// write accounts for a record that goes out.
func (s *Session) write(now time.Time, rec *store.Record) *store.Record {
	j := &s.journal
	rec.N = j.n
	j.n++
	j.inFlight, j.begun, j.due, j.retry = rec, true, false, 0
	jitter := store.RefreshJitter * (float64(s.cfg.Random()&0xffff)/0x8000 - 1)
	j.refresh = monotime.At(now.Add(time.Duration((1 + jitter) * float64(store.RefreshInterval))))
	s.counters.Records++
	return rec
}

func (s *Session) newRecord(kind store.Kind) *store.Record {
	ack, _ := s.inbox.AckDue(time.Time{})
	return &store.Record{
		Kind: kind, Epoch: s.epoch, Owner: s.cfg.Owner,
		InAcked: uint32(s.context.limitToWhole(ack)), OutAcked: uint32(s.window.Acked()), OutHead: uint32(s.window.Journaled()),
		DetachedAt: s.journal.detach, ProvenEpoch: s.confirmedToken.epoch, Proven: s.confirmedToken.generation,
		Closed: s.closing.byApp, CloseCode: uint16(s.closing.code), CloseReason: s.closing.reason,
		Subprotocol: s.subprotocol, Extensions: s.extensions,
	}
}

// frames copies the messages after from and up to cut, as many as one record
// has room for: the window moves on while the record is written.
func (s *Session) frames(from, cut seqwindow.Serial) (list []store.Frame, size int) {
	room := s.cfg.JournalLimits.Record - recordCost
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
// them while no connection is attached, otherwise those unacknowledged for
// PersistAfter.
func (s *Session) overdue(now time.Time) seqwindow.Serial {
	cut := s.window.Journaled()
	if !s.client.attached || s.handover.ready {
		return s.window.Head()
	}
	if _, stamp, ok := s.window.OldestUnmarked(); !ok || s.age(now, stamp) < s.cfg.PersistAfter {
		return cut
	}
	s.window.Each(cut, func(seq seqwindow.Serial, stamp uint32, _ [][]byte) bool {
		if s.age(now, stamp) < s.cfg.PersistAfter {
			return false
		}
		cut = seq
		return true
	})
	return cut
}

// age of a message, by its stamp.
func (s *Session) age(now time.Time, stamp uint32) time.Duration {
	return time.Duration(s.stamp(now)-stamp) * time.Millisecond
}

// journalDeadline is when record will have something.
func (s *Session) journalDeadline() monotime.Time {
	j := &s.journal
	if !s.cfg.Journal || j.inFlight != nil {
		return 0 // Persisted comes
	}
	var d deadline
	d.add(j.refresh)
	if _, stamp, ok := s.window.OldestUnmarked(); ok {
		d.add(s.started.Add(time.Duration(stamp)*time.Millisecond + s.cfg.PersistAfter))
	}
	if j.due {
		d.add(j.retry)
	}
	if j.retry != 0 && (d.at == 0 || d.at < j.retry) {
		return j.retry
	}
	return d.at
}

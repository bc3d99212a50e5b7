package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/internal/lab/ledger"
	"github.com/wsresilience/wsresilience/internal/lab/stats"
)

// overlapSlack is how late an app may read what reached it before its
// session's next socket was opened: its process competes with all others.
const overlapSlack = 250 * time.Millisecond

// appRecords returns all that the apps recorded so far, in the order of time:
// they share the machine's clock.
func (s *testbed) appRecords() ([]ledger.Record, error) {
	s.mu.Lock()
	files := slices.Clone(s.records)
	s.mu.Unlock()
	records, err := ledger.ReadFiles(files)
	slices.SortStableFunc(records, func(a, b ledger.Record) int { return cmp.Compare(a.At, b.At) })
	return records, err
}

// judge compares what was sent with what arrived.
func (s *testbed) judge(r *result) error {
	records, err := s.appRecords()
	if err != nil {
		return err
	}
	for _, rec := range records {
		if int(rec.Key) < len(s.sessions.list) {
			c := s.sessions.list[rec.Key]
			c.mu.Lock()
			c.book.Take(rec)
			c.mu.Unlock()
		}
	}
	r.Sessions = len(s.sessions.list)
	r.In = s.extra
	var resumes, gaps []time.Duration
	s.sessions.fault() // the last one is over too
	for _, c := range s.sessions.list {
		c.mu.Lock()
		c.nextFaultLocked()
		r.addSessionLocked(c)
		resumes, gaps = append(resumes, c.resumes...), append(gaps, c.gaps...)
		c.mu.Unlock()
	}
	for a := range maps.Values(r.Answers) {
		a.Wait = stats.SpreadOf(a.waits)
	}
	r.Resume, r.Gap = stats.SpreadOf(resumes), stats.SpreadOf(gaps)
	return nil
}

// addSessionLocked adds one session to the account. The caller holds its lock.
func (r *result) addSessionLocked(c *session) {
	out, in := c.book.Counts(ledger.Rules{Final: true})
	if c.ended != nil {
		out.Told, out.Lost = out.Lost, 0
		in.Told, in.Lost = in.Lost, 0
		r.Resets[reason(c.ended)]++
	}
	r.Out.Add(out)
	r.In.Add(in)
	r.Zombies += c.book.Overlaps(overlapSlack)
	r.Foreign += c.book.Foreign
	r.OpenSockets += c.book.Open()
	r.addAnswersLocked(c)
	r.Resumed += c.resumed
	r.Moves += c.moves
	for reason, n := range maps.All(c.adopted) {
		r.Adopted[reason] += n
	}
}

// addAnswersLocked adds what a session asked and was answered. The caller holds
// its lock.
func (r *result) addAnswersLocked(c *session) {
	if !c.kind.answers {
		return
	}
	a := r.Answers[c.kind.String()]
	if a == nil {
		a = new(answers)
		r.Answers[c.kind.String()] = a
	}
	a.Asked += int(c.book.Sent())
	a.Surplus += c.surplus
	if c.ended == nil {
		for n := range c.asked {
			if n <= c.book.Sent() {
				a.Missing++
			}
		}
	}
	a.waits = append(a.waits, c.waits...)
}

// reason says in a word why a session ended.
func reason(err error) string {
	if lost, ok := errors.AsType[*client.SessionLostError](err); ok {
		return string(lost.Reason)
	}
	if code := client.CloseStatus(err); code >= 0 {
		return fmt.Sprint("closed ", code)
	}
	return "other"
}

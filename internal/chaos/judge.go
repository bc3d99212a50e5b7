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
	"github.com/wsresilience/wsresilience/internal/rehearse/tally"
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
	var accounts []*tally.Client
	var gaps []time.Duration
	for _, c := range s.sessions.list {
		accounts = append(accounts, c.account)
		felt := c.felt()
		c.mu.Lock()
		r.addSessionLocked(c, felt)
		c.mu.Unlock()
		for _, f := range felt {
			if c.fast {
				gaps = append(gaps, f.Gap)
			}
		}
	}
	for a := range maps.Values(r.Answers) {
		a.Wait = stats.SpreadOf(a.waits)
	}
	r.Gap = stats.SpreadOf(gaps)
	r.addReturns(tally.Summarise(tally.Resilient, accounts, tally.Frame{}))
	return nil
}

// addReturns adds how sessions came back.
func (r *result) addReturns(s tally.Summary) {
	r.Resumed, r.Adopted = s.Resumed, s.AdoptedBy
	r.Moves = s.Resumed + s.Adopted - s.Away.N
	r.Resume = stats.Spread{N: s.Away.N, Median: s.Away.P50, P99: s.Away.P99, Worst: s.Away.Max}
}

// addSessionLocked adds one session to the account. The caller holds its lock.
func (r *result) addSessionLocked(c *session, felt []tally.Felt) {
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
	if !c.kind.answers {
		return
	}
	a := r.Answers[c.kind.String()]
	if a == nil {
		a = new(answers)
		r.Answers[c.kind.String()] = a
	}
	s := tally.Summarise(tally.Resilient, []*tally.Client{c.account}, tally.Frame{})
	a.Asked += s.Sent
	a.Surplus += s.Doubled + s.Foreign
	if c.ended == nil {
		a.Missing += s.Lost - s.Unsent
	}
	for _, f := range felt {
		a.waits = append(a.waits, f.Wait-c.kind.after)
	}
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

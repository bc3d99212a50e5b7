package proxy

import (
	"context"
	"fmt"
	"time"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/store"
)

// appendTimeout bounds one append. A leader's election takes up to 9 s; the
// session goes on from memory meanwhile and the append is tried again.
const appendTimeout = 5 * time.Second

// busyAppends under way are as many as a journal takes well at a time.
const busyAppends = 16

// journalBusy reports whether the journal has that much to do, or there have been
// as many records lately that could have waited as there may be. Otherwise it
// counts one more.
func (s *Server) journalBusy() bool {
	records, _ := s.appends.load()
	return records >= busyAppends || !s.early.take()
}

// awayBusy is journalBusy for records of sessions whose clients are away.
func (s *Server) awayBusy() bool {
	records, _ := s.appends.load()
	return records >= busyAppends || !s.away.take()
}

// maxAppendBytes bounds what the records hold that are under way, beyond one
// record of each thread that makes one. A journal that answers has far less to
// do; one that does not would otherwise double each window, and that when only
// memory is left. Sealing takes the same again, twice.
const maxAppendBytes = 8 << 20

// journalCrowded reports whether the records under way hold that much.
func (s *Server) journalCrowded() bool {
	_, bytes := s.appends.load()
	return bytes >= maxAppendBytes
}

// recordBytes is what a record holds.
func recordBytes(rec *store.Record) int64 {
	n := len(rec.Context)
	for i := range rec.Frames {
		n += len(rec.Frames[i].Data)
	}
	return int64(n)
}

// append writes a record behind the session's newest.
func (c *sessionDriver) append(rec *store.Record) session.PersistResult {
	ctx, cancel := context.WithTimeout(context.Background(), appendTimeout)
	defer cancel()
	began := time.Now()
	err := c.chain.Append(ctx, c.srv.cfg.Store, store.ID(c.id), rec)
	c.observe(event.Event{Kind: event.Journaled, Record: rec, Err: err, Took: time.Since(began)})
	if result := session.PersistResultOf(err); result != session.PersistFailed {
		return result
	}
	c.srv.log.Debug("journal append failed", "session", c.id.String(), "error", err)
	return session.PersistFailed
}

// writesAgain ends the pause that follows failed appends.
func (c *sessionDriver) writesAgain() {
	now := c.enter()
	defer c.leave()
	if m, ok := c.m.(*session.Session); ok {
		m.JournalBack()
		c.settleLocked(now)
	}
}

// WriteAgain tells that the journal may have lost records that it accepted, or
// holds some that not every sidecar reads: all sessions write theirs again.
func (s *Server) WriteAgain() {
	for _, c := range s.sessions.all() {
		c.writesAll()
	}
}

// writesAll lets the session write all that it wrote before.
func (c *sessionDriver) writesAll() {
	now := c.enter()
	defer c.leave()
	if m, ok := c.m.(*session.Session); ok {
		m.WriteAgain(now)
		c.settleLocked(now)
	}
}

// StoreAway reports whether the journal cannot be written at present.
func (s *Server) StoreAway() bool { return s.journalAway.Load() }

// SetStoreAvailable tells that the journal can be written again, or cannot,
// and why. Live sessions go on either way, from memory.
func (s *Server) SetStoreAvailable(available bool, why error) {
	if s.journalAway.Swap(!available) == !available {
		return
	}
	s.observe(event.Event{Kind: event.StoreChanged, Available: available})
	for _, g := range s.shares.all() {
		g.c.look() // what members may hear follows from it
	}
	if available {
		s.log.Info("journal is back: what it missed is written now", "audit", true)
		for _, c := range s.sessions.all() {
			c.writesAgain()
		}
		return
	}
	s.log.Warn("journal is away: sessions go on from memory", "audit", true, "error", fmt.Sprint(why))
}

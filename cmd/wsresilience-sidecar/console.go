package main

import (
	"context"
	"math"

	"github.com/wsresilience/wsresilience/internal/console"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

// newConsole makes the console of a sidecar that is open.
func (s *sidecar) newConsole() *console.Console {
	return console.New(console.Config{Sidecar: s.proxy, History: s.history, Locate: s.locate, About: s.about})
}

// locate asks the journal who has a session.
func (s *sidecar) locate(ctx context.Context, id wire.SessionID) (console.Location, error) {
	st, err := s.journal.Load(ctx, store.ID(id))
	if err != nil {
		return console.Location{}, err
	}
	lease := store.LeaseGone
	switch {
	case st.Owner == s.name:
		lease = store.LeaseLive
	case s.leases != nil: // nobody else shares an embedded journal
		lease = s.leases.Lease(st.Owner)
	}
	return console.LocationOf(st, lease), nil
}

// about fills in what the console shows beside sessions.
func (s *sidecar) about(st *console.Status) {
	st.Name, st.Version, st.Ready = s.name, version(), true
	if err := s.ready(); err != nil {
		st.Ready, st.Why = false, err.Error()
	}
	st.Notes = s.notes()
	st.Drain.Since = s.proxy.DrainingSince()
	st.Journal = console.Journal{Kind: s.journalKind(), Available: !s.proxy.StoreAway()}
	if share := s.journal.Share(); share < math.MaxInt64 {
		st.Journal.Share = share
	}
	for _, f := range s.journal.Fill() {
		st.Journal.Streams = append(st.Journal.Streams, console.Stream{Name: f.Stream, Held: f.Held, Most: f.Most})
	}
	if why := s.journalAway.Load(); why != nil {
		st.Journal.Why = *why
	}
	if at := s.journalSince.Load(); at != nil {
		st.Journal.Since = at.UTC()
	}
	st.Journal.Appending, st.Journal.AppendingLen = s.proxy.Appending()
	if s.leases == nil {
		return
	}
	for _, m := range s.leases.Members() {
		st.Fleet = append(st.Fleet, console.MemberOf(&m))
	}
}

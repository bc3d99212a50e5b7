package proxy

import (
	"context"
	"errors"
	"time"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/instance"
	"github.com/wsresilience/wsresilience/internal/peer"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

// maxPlaces bounds how often a client that joins is led from one sidecar to the
// next, or finds a session that is just ending; placePause is the unit of the waits
// between, which double, up to two thirds of a second together.
const (
	maxPlaces  = 6
	placePause = 10 * time.Millisecond
)

// A listing is where the journal says that clients with a key are joined: a record
// of its own, under the key, whose context is the id of the shared session.
type listing struct {
	id       wire.SessionID
	owner    string // who wrote it
	epoch    uint32
	revision store.Revision
}

// listed reads the listing of a key; the zero value is that there is none.
func (s *Server) listed(ctx context.Context, key wire.SessionID) (l listing, err error) {
	st, err := s.cfg.Store.Load(ctx, store.ID(key))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return listing{}, nil
	case err != nil:
		return listing{}, err
	}
	l.owner, l.epoch, l.revision = st.Owner, st.Epoch, st.Revision
	if len(st.Context) == len(l.id) {
		copy(l.id[:], st.Context)
	}
	return l, nil
}

// list writes that clients with a key are joined in a session of this sidecar,
// behind what was read. It fails with store.ErrFenced when another one was faster.
func (s *Server) list(ctx context.Context, key, id wire.SessionID, before listing) error {
	_, err := s.cfg.Store.Append(ctx, store.ID(key), before.revision, &store.Record{
		Version: s.recordVersion(), Kind: store.Snapshot, Epoch: before.epoch + 1, Owner: s.cfg.Advertise, Writer: store.NewWriter(), Context: id[:],
	})
	return err
}

// relist keeps the listing of a shared session that lives here from expiring, and
// makes it this sidecar's.
func (g *shared) relist() {
	ctx, cancel := context.WithTimeout(context.Background(), appendTimeout)
	defer cancel()
	l, err := g.srv.listed(ctx, g.key)
	if err == nil && (l.id == g.c.id || l.id == wire.SessionID{}) {
		err = g.srv.list(ctx, g.key, g.c.id, l)
	}
	if err != nil {
		g.srv.log.Debug("shared session could not be listed", "session", g.c.id.String(), "error", err)
	}
}

// relistDue reports whether the listing is to be written again, and notes that it is.
// The caller holds mu.
func (g *shared) relistDueLocked(now time.Time) bool {
	if g.srv.cfg.Store == nil || g.over || now.Sub(g.listedAt) < store.RefreshInterval/2 {
		return false
	}
	g.listedAt = now
	return true
}

// A place is what became of looking for the session that a client joins.
type place uint8

const (
	nowhere  place = iota // there is none: one begins here
	here                  // it is here by now
	answered              // the client has its answer
	lookAnew              // it has moved, or its owner did not answer
)

// find looks for the shared session of a key beyond this sidecar: it passes the
// client on to the owner, or adopts the session of one that is gone. before is for
// list.
func (q *request) find(key wire.SessionID) (_ place, before listing) {
	s := q.s
	if q.forwarded {
		q.refuse(misdirected) // who passed it on looks again
		return answered, before
	}
	if s.cfg.Store == nil || s.StoreAway() {
		return nowhere, before
	}
	ctx, cancel := context.WithTimeout(q.r.Context(), appendTimeout)
	defer cancel()
	before, err := s.listed(ctx, key)
	if err != nil || before.id == (wire.SessionID{}) {
		return nowhere, before // without the journal, sessions begin in memory
	}
	st, err := s.cfg.Store.Load(ctx, store.ID(before.id))
	owner := before.owner
	switch {
	case err == nil && (st.Kind == store.End || st.Closed):
		return nowhere, before
	case err == nil:
		owner = st.Owner
	case !errors.Is(err, store.ErrNotFound):
		return nowhere, before
	}
	if err == nil && st.Released() {
		return q.adoptToJoin(ctx, before.id, st), before
	}
	lease := s.lease(owner)
	if owner != "" && owner != s.cfg.Advertise && !instance.Others(owner, s.cfg.Advertise) && lease != store.LeaseReleased {
		began := time.Now()
		result := s.peers.Forward(q.w, q.r, q.scheme, owner)
		q.observe(event.Event{Kind: event.Forwarded, Forward: result, Owner: instance.Address(owner), Took: time.Since(began)})
		switch result {
		case peer.NotOwner:
			if err != nil {
				return nowhere, before
			}
			if again, e := s.cfg.Store.Load(ctx, store.ID(before.id)); e == nil && again.Owner != owner {
				return lookAnew, before
			}
		case peer.Refused:
		case peer.Unreachable:
			if !lease.Over() {
				return lookAnew, before // it may only be busy, and has to be asked: it lives
			}
		default:
			return answered, before
		}
	}
	if err != nil {
		return nowhere, before
	}
	return q.adoptToJoin(ctx, before.id, st), before
}

// adoptToJoin adopts a shared session whose owner is gone, for a client that is no
// member yet.
func (q *request) adoptToJoin(ctx context.Context, id wire.SessionID, st *store.State) place {
	s := q.s
	at, done := s.sessions.find(id, q.r.Context().Done())
	switch {
	case at != nil:
		return here
	case done == nil:
		return answered
	}
	defer done()
	state, err := store.Adopt(ctx, s.cfg.Store, store.Adoption{
		ID: store.ID(id), From: st, Owner: s.cfg.Advertise, Now: time.Now(), Received: st.OutHead, Version: s.recordVersion(),
	})
	switch {
	case errors.Is(err, store.ErrFenced), errors.Is(err, store.ErrLost):
		return lookAnew
	case err != nil:
		return nowhere
	}
	r := &resume{request: q, common: st, commonID: id}
	if !r.goOn(id, state, instance.Address(st.Owner), "a client joined, and its owner is gone") {
		return answered
	}
	return here
}

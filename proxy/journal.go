package proxy

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/store"
)

// appendTimeout bounds one append. A leader's election takes up to 9 s; the
// session goes on from memory meanwhile and the append is tried again.
const appendTimeout = 5 * time.Second

// journal is one session's place in the store. Only one goroutine uses it at
// a time, since a session has one append in flight.
type journal struct {
	store    store.Store
	id       store.ID
	writer   uint64
	revision store.Revision
	observer Observer
	log      *slog.Logger
}

// append writes a record behind the session's newest.
func (j *journal) append(rec *store.Record) session.PersistResult {
	ctx, cancel := context.WithTimeout(context.Background(), appendTimeout)
	defer cancel()
	rec.Writer = j.writer
	began := time.Now()
	rev, err := j.store.Append(ctx, j.id, j.revision, rec)
	j.observer.Journaled(rec, err, time.Since(began))
	switch {
	case err == nil:
		j.revision = rev
		return session.Persisted
	case errors.Is(err, store.ErrFenced):
		return session.PersistRefused
	case errors.Is(err, store.ErrLost):
		return j.refind(ctx, rec)
	}
	j.log.Debug("journal append failed", "session", j.id.String(), "error", err)
	return session.PersistFailed
}

// refind looks where the chain of records stands after some of it was lost.
func (j *journal) refind(ctx context.Context, rec *store.Record) session.PersistResult {
	j.log.Warn("journal lost records of a session; writing them again", "session", j.id.String())
	st, err := j.store.Load(ctx, j.id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		j.revision = 0
	case err != nil:
		return session.PersistFailed
	case st.Epoch > rec.Epoch || st.Epoch == rec.Epoch && st.Writer != j.writer:
		return session.PersistRefused
	default:
		j.revision = st.Revision
	}
	return session.PersistLost
}

package store

import (
	"context"
	"errors"
	"time"
)

// A Chain is an owner's place in its session's chain of records. The owner has one
// append in flight, and so one call at a time.
type Chain struct {
	Writer   uint64   // of the ownership (Record.Writer)
	Revision Revision // of the newest record that is known to be the owner's
}

// Append writes rec behind the newest record, as this ownership's. The errors are
// those of Store.Append, but for ErrLost: then it was looked where the chain stands.
// ErrLost is returned if the ownership stands, and the next Append goes behind what
// is left; ErrFenced if it does not.
func (c *Chain) Append(ctx context.Context, s Store, id ID, rec *Record) error {
	rec.Writer = c.Writer
	rev, err := s.Append(ctx, id, c.Revision, rec)
	switch {
	case err == nil:
		c.Revision = rev
	case errors.Is(err, ErrLost) && !errors.Is(err, ErrFenced):
		return c.findEnd(ctx, s, id, rec.Epoch, err)
	}
	return err
}

// findEnd looks where the chain stands after some of it was lost.
func (c *Chain) findEnd(ctx context.Context, s Store, id ID, epoch uint32, lost error) error {
	st, err := s.Load(ctx, id)
	switch {
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrCorrupt):
		c.Revision = 0 // nothing that can be read is left
	case err != nil:
		return err
	case st.Epoch > epoch || st.Epoch == epoch && st.Writer != c.Writer:
		return ErrFenced
	default:
		c.Revision = st.Revision
	}
	return lost
}

// A replica is mostly behind by a millisecond or two, when a session has just been
// handed over: then this wait is a part of the pause that its client sees. Before a
// session is called unknown for good, it has had 63 ms.
const (
	staleTries = 7
	stalePause = time.Millisecond // 1, 2, 4, 8, 16 and 32 ms, from the second on
)

// LoadKnown is Load of a session whose ownership of that epoch has been. A replica
// that does not know the session, or not that ownership, is behind and is asked
// again, after a pause that pause makes; ErrUnavailable if it stays behind.
func LoadKnown(ctx context.Context, s Store, id ID, epoch uint32, pause func(context.Context, time.Duration) error) (state *State, err error) {
	for try := range staleTries {
		if try > 0 {
			if err := pause(ctx, stalePause<<(try-1)); err != nil {
				return nil, ErrUnavailable
			}
		}
		state, err = s.Load(ctx, id)
		if stale := errors.Is(err, ErrNotFound) || err == nil && state.Epoch < epoch; !stale {
			return state, err
		}
	}
	if err == nil {
		err = ErrUnavailable // the epoch is proved, so it is the journal that lacks something
	}
	return nil, err
}

// Pause waits for d, or until ctx ends.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

package store

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"
)

// NewWriter returns a Record.Writer: a random number for one ownership.
func NewWriter() uint64 { return rand.Uint64() }

// Adopt tries once to make owner the owner of session id, whose state the
// caller has loaded, and returns the state that the new owner goes on from:
// the next epoch, its own Writer, Handed as the former owner left it. It
// claims by compare-and-set behind former.Revision. A read alone may be stale
// (DESIGN §4.3), but one that is followed by such a claim was not:
// nothing had been written behind it, and from the claim on the former owner's
// appends fail with ErrFenced. So nothing has to be read again.
//
// ErrFenced and ErrLost mean that somebody was faster: the caller loads again
// and looks who. ErrEnded means that the session is over. After ErrUnavailable
// the claim may stand: a caller that loads again and finds its own address
// there adopts from itself. A session that nobody had marked as detached
// counts as detached at now. former is not changed.
func Adopt(ctx context.Context, s Store, id ID, former *State, owner string, now time.Time) (*State, error) {
	if former.Kind == End {
		return nil, ErrEnded
	}
	claim := claimOf(former, owner, now)
	rev, err := s.Append(ctx, id, former.Revision, claim)
	if err != nil {
		return nil, err
	}
	st := &State{Revision: rev, Record: *claim, Gap: former.Gap, Since: former.Since + 1}
	st.Frames, st.Context = slices.Clone(former.Frames), former.Context
	st.Handed, st.Unclean = former.Handed, former.Unclean
	if st.Since < SnapshotEvery || st.Gap {
		return st, nil
	}
	// A row of owners that die right after their claim must not push the
	// frames out of the ring.
	return st, renew(ctx, s, id, st)
}

// claimOf is the record that begins the next epoch: all values of the former
// owner, no frames, and the context stays as it is in the chain.
func claimOf(former *State, owner string, now time.Time) *Record {
	claim := former.Record
	claim.Kind = Claim
	claim.Epoch++
	claim.N = 0
	claim.Owner = owner
	claim.Writer = NewWriter()
	claim.Frames, claim.Context = nil, nil
	claim.Handed, claim.Unclean = false, false // from here on not everything is in the journal
	if claim.DetachedAt == 0 {
		claim.DetachedAt = now.UnixMilli()
	}
	return &claim
}

// renew writes st as a Snapshot.
func renew(ctx context.Context, s Store, id ID, st *State) error {
	rec := st.Record
	rec.Kind, rec.Handed, rec.Unclean = Snapshot, false, false
	rec.N++
	rev, err := s.Append(ctx, id, st.Revision, &rec)
	if err != nil {
		return err
	}
	st.N, st.Kind, st.Revision, st.Since = rec.N, rec.Kind, rev, 0
	return nil
}

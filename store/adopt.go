package store

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"
)

// NewWriter returns a Record.Writer: a random number for one ownership.
func NewWriter() uint64 { return rand.Uint64() }

// An Adoption is what Adopt needs to know: who becomes the owner of which
// session.
type Adoption struct {
	ID    ID
	From  *State // as the caller has loaded it; not changed
	Owner string // the address of the new owner
	Now   time.Time

	Received uint32 // the last outbound message that the client has
	Epoch    uint32 // of the client's token: it has heard nothing of a later one; 0: not known
	Early    bool   // it may have said something for the app already

	// Generation is that token's within Epoch, and Attempt the number of the handshake
	// that it came with: the client is known to have it. 0: not known.
	Generation, Attempt uint32

	Version uint8 // that the new owner writes (Record.Version)
}

// Adopt tries once to make a.Owner the owner of session a.ID, and returns the
// state that the new owner goes on from: the next epoch, its own Writer,
// Handed, Unclean, Owed and Denied as the former owner left them. An owner that
// was gone after its claim, before its client or an app heard anything of it, is
// not the former one: the session is as it was.
//
// It claims by compare-and-set behind a.From.Revision. A read alone may be
// stale (DESIGN §4.3), but one that is followed by such a claim was not:
// nothing had been written behind it, and from the claim on the former owner's
// appends fail with ErrFenced (I5). So nothing has to be read again.
//
// ErrFenced and ErrLost mean that another pod was faster: the caller loads
// again and looks which. ErrEnded means that the session is over. After
// ErrUnavailable the claim may stand: a caller that loads again and finds its
// own address there adopts from itself. A session that was not marked as
// detached counts as detached at a.Now.
func Adopt(ctx context.Context, s Store, a Adoption) (*State, error) {
	former := a.From
	if former.Kind == End {
		return nil, ErrEnded
	}
	left := former.left(a.Epoch)
	claim := claimOf(&a, left)
	rev, err := s.Append(ctx, a.ID, former.Revision, claim)
	if err != nil {
		return nil, err
	}
	st := &State{Revision: rev, Record: *claim, Gap: former.Gap, SinceSnapshot: former.SinceSnapshot + 1, Held: former.Held}
	st.Frames, st.Context, st.Past = slices.Clone(former.Frames), former.Context, former.Past
	st.Handed, st.Unclean, st.Owed, st.Denied = left.handed, left.unclean, left.owed, left.denied
	if st.SinceSnapshot < SnapshotEvery || st.Gap {
		return st, nil
	}
	// Owners that die one after the other right after their claim must not
	// push the frames out of the ring.
	return st, writeSnapshot(ctx, s, a.ID, st)
}

// AdoptAndEnd ends a session in the journal, whoever has it. Errors are those of
// Adopt.
func AdoptAndEnd(ctx context.Context, s Store, a Adoption) error {
	st, err := Adopt(ctx, s, a)
	if err != nil {
		return err
	}
	rec := st.Record
	rec.Kind, rec.Frames, rec.Past, rec.Context = End, nil, nil, nil
	rec.N++
	_, err = s.Append(ctx, a.ID, st.Revision, &rec)
	return err
}

// GiveBack undoes an adoption that came to nothing before the session went on,
// so that the next owner finds it as st says: Handed, Unclean and Owed are what
// they were before st was adopted, and so is Denied unless the caller has set it
// since. A session of which none of that holds has nothing to be given back.
func GiveBack(ctx context.Context, s Store, id ID, st *State) error {
	if !st.Handed && !st.Denied {
		return nil
	}
	rec := st.Record
	rec.Kind, rec.Frames, rec.Past, rec.Context = Delta, nil, nil, nil
	rec.N++
	rev, err := s.Append(ctx, id, st.Revision, &rec)
	if err != nil {
		return err
	}
	st.N, st.Kind, st.Revision = rec.N, rec.Kind, rev
	return nil
}

// legacy is how an owner left a session.
type legacy struct{ handed, unclean, owed, denied bool }

// left returns how the former owner left the session, for a client whose token
// is of an epoch. A claim that nothing follows says how the owner before it did.
func (st *State) left(epoch uint32) legacy {
	if st.Kind == Claim && (epoch == 0 || epoch >= st.Epoch) {
		return legacy{} // its client has heard of it: from then on not everything is in the journal
	}
	return legacy{st.Handed, st.Unclean, st.Owed, st.Denied}
}

// claimOf returns the record that begins the next epoch: all values of the
// former owner but frames and context, which stay as they are in the chain.
func claimOf(a *Adoption, left legacy) *Record {
	claim := a.From.Record
	claim.Version, claim.Kind = a.Version, Claim
	claim.Epoch++
	claim.N = 0
	claim.Owner = a.Owner
	claim.Writer = NewWriter()
	claim.Frames, claim.Past, claim.Context = nil, nil, nil
	if a.Early {
		left = legacy{} // an app may hear it before anything else is written
	}
	claim.Handed, claim.Unclean, claim.Owed, claim.Denied = left.handed, left.unclean, left.owed, left.denied
	if claim.Base = a.Received; after(claim.OutHead, a.Received) {
		claim.Base = claim.OutHead
	}
	if claim.ProvenEpoch < a.Epoch || claim.ProvenEpoch == a.Epoch && claim.Proven < a.Generation {
		claim.prove(a)
	}
	if claim.ProvenEpoch+1 == claim.Epoch {
		claim.FirstBase = claim.Base
	}
	if claim.DetachedAt == 0 {
		claim.DetachedAt = a.Now.UnixMilli()
	}
	return &claim
}

// prove notes the token that the client has come with. If nothing comes of this
// adoption, the next one is not of the epoch behind that token's any more, and would
// take what the client has of that for messages of an owner that had been replaced.
func (r *Record) prove(a *Adoption) {
	if a.Generation != 0 {
		r.ProvenEpoch, r.Proven, r.Attempt = a.Epoch, a.Generation, max(r.Attempt, a.Attempt)
	}
}

// writeSnapshot writes st as a Snapshot.
func writeSnapshot(ctx context.Context, s Store, id ID, st *State) error {
	rec := st.Record
	rec.Kind, rec.Handed, rec.Unclean, rec.Owed, rec.Denied = Snapshot, false, false, false, false
	rec.N++
	rev, err := s.Append(ctx, id, st.Revision, &rec)
	if err != nil {
		return err
	}
	st.N, st.Kind, st.Revision, st.SinceSnapshot = rec.N, rec.Kind, rev, 0
	return nil
}

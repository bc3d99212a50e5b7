package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/wsresilience/wsresilience/internal/keyring"
)

// Implementation limits.
const (
	// maxRetries bounds how often one append is tried again after a busy or
	// stale answer: about a second with the pauses below. Then it is
	// ErrUnavailable and the caller's backoff.
	maxRetries = 30

	// The pause between two tries doubles from minPause to maxPause. A replica
	// is mostly behind by a millisecond or two, which a client may be waiting
	// for, and a write in flight has its answer after 20 to 50.
	minPause = 2 * time.Millisecond
	maxPause = 50 * time.Millisecond

	// maxRead is more than a ring holds: a cluster in trouble was seen to
	// keep more than the ring's size for a while (nats-server#6245).
	maxRead = 4 * Ring
)

// A SealedStore is the Store over a Backend: it splits records into parts and
// seals them, and opens, assembles and folds what it reads. It tells an
// owner's own lost writes from another owner's. It is safe for concurrent use.
type SealedStore struct {
	backend Backend
	ring    *keyring.Ring
}

// NewSealedStore makes a Store of a Backend, which it then owns: Close closes
// both. The keys are derived from ring, which may be the tokens' too.
func NewSealedStore(backend Backend, ring *keyring.Ring) *SealedStore {
	return &SealedStore{backend: backend, ring: ring.Derive("journal")}
}

// Limits implements Store.
func (s *SealedStore) Limits() Limits {
	part := s.backend.MaxData() - partOverhead
	return Limits{Part: part, Record: MaxParts * part}
}

// Ready implements Store.
func (s *SealedStore) Ready(ctx context.Context) error { return s.backend.Ready(ctx) }

// Close implements Store.
func (s *SealedStore) Close() error { return s.backend.Close() }

// Append implements Store.
func (s *SealedStore) Append(ctx context.Context, id ID, after Revision, rec *Record) (Revision, error) {
	r := *rec
	r.First = after == 0
	parts, err := split(&r, s.Limits().Part)
	if err != nil {
		return 0, err
	}
	w := write{store: s, id: id, after: after, parts: parts}
	if err := w.run(ctx); err != nil {
		return 0, fmt.Errorf("append %v after %d: %w", rec.Kind, after, err)
	}
	return w.after, nil
}

// Load implements Store.
func (s *SealedStore) Load(ctx context.Context, id ID) (*State, error) {
	messages, err := s.backend.Read(ctx, id, 0, maxRead)
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	return Fold(assemble(s.ring, id, messages))
}

// A write is one Append in progress: parts[:done] are in the backend, the last
// of them at after.
type write struct {
	store *SealedStore
	id    ID
	after Revision
	parts []part
	done  int
}

func (w *write) run(ctx context.Context) error {
	for misses := 0; w.done < len(w.parts); {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		err := w.send(ctx)
		var fenced *FencedError
		if errors.As(err, &fenced) {
			err = w.resolve(ctx, fenced)
		}
		switch {
		case err == nil:
			continue
		case !errors.Is(err, ErrBusy) && !errors.Is(err, ErrLost):
			return err
		case misses < maxRetries:
			misses++ // a new leader may still be applying what it knows
		case errors.Is(err, ErrLost):
			return err
		default:
			return fmt.Errorf("%w: no decision after %d tries", ErrUnavailable, maxRetries)
		}
		if err := pause(ctx, misses-1); err != nil {
			return err
		}
	}
	return nil
}

// send gives the backend the next part.
func (w *write) send(ctx context.Context) error {
	data := w.parts[w.done].seal(w.store.ring, w.id)
	rev, err := w.store.backend.Append(ctx, w.id, w.after, data)
	if err != nil {
		return err
	}
	w.advance(rev)
	return nil
}

func (w *write) advance(rev Revision) {
	w.after = rev
	w.done++
}

// resolve reads what is stored after w.after when the backend refused to
// append there. An earlier try whose answer was lost may have stored this very
// part, or another record of ours that this one supersedes; both are stepped
// over. Another owner's message means that we are fenced (I5). A message id
// for deduplication cannot do this: a single JetStream server checks the
// sequence first (DESIGN §6).
func (w *write) resolve(ctx context.Context, fenced *FencedError) error {
	if fenced.Known && fenced.Newest < w.after {
		return fmt.Errorf("%w: newest is %d, not %d", ErrLost, fenced.Newest, w.after)
	}
	next, err := w.store.backend.Read(ctx, w.id, w.after, 1)
	if err != nil {
		return err
	}
	if len(next) == 0 {
		return ErrBusy // the replica that answered is behind
	}
	own := &w.parts[w.done]
	stored, err := open(w.store.ring, w.id, next[0].Data)
	switch {
	case err != nil:
		// Not readable, so not ours: we seal with a key that we know.
		return fmt.Errorf("%w: %w", ErrFenced, err)
	case stored.equal(own):
		w.advance(next[0].Revision)
	case stored.epoch == own.epoch && stored.author == own.author:
		w.after, w.done = next[0].Revision, 0
	default:
		return fmt.Errorf("%w: epoch %d is at revision %d", ErrFenced, stored.epoch, next[0].Revision)
	}
	return nil
}

// pause waits before retry number n, from 0, or until ctx ends.
func pause(ctx context.Context, n int) error {
	limit := min(minPause<<min(n, 8), maxPause)
	timer := time.NewTimer(limit/2 + rand.N(limit/2))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
}

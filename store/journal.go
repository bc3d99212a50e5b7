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
	// tries bounds how often one call asks again after a busy or stale
	// answer: about a second with the pauses below. Then it is ErrUnavailable
	// and the caller's backoff.
	tries = 30

	// Pause between two tries: it doubles from the one to the other. A replica
	// is mostly behind by a millisecond or two, which a client may be waiting
	// for, and a write in flight has its answer after 20 to 50.
	pauseMin = 2 * time.Millisecond
	pauseMax = 50 * time.Millisecond

	// readMost is more than a ring holds: a cluster in trouble was seen to
	// keep more than the ring's size for a while (nats-server#6245).
	readMost = 4 * Ring
)

// A Journal is the Store over a Log. It seals, splits and folds, and tells an
// owner's own lost writes from another owner's. It is safe for concurrent
// use.
type Journal struct {
	log  Log
	ring *keyring.Ring
}

// NewJournal makes a Store of a Log and owns it. The keys are derived from
// ring, which may be the tokens' too.
func NewJournal(log Log, ring *keyring.Ring) *Journal {
	return &Journal{log: log, ring: ring.Derive("journal")}
}

// Limits implements Store.
func (j *Journal) Limits() Limits {
	most := j.log.MaxData() - partOverhead
	return Limits{Part: most, Record: MaxParts * most}
}

// Ready implements Store.
func (j *Journal) Ready(ctx context.Context) error { return j.log.Ready(ctx) }

// Close implements Store.
func (j *Journal) Close() error { return j.log.Close() }

// Append implements Store.
func (j *Journal) Append(ctx context.Context, id ID, after Revision, rec *Record) (Revision, error) {
	r := *rec
	r.First = after == 0
	parts, err := split(&r, j.Limits().Part)
	if err != nil {
		return 0, err
	}
	w := write{j: j, id: id, after: after, parts: parts}
	if err := w.run(ctx); err != nil {
		return 0, fmt.Errorf("append %v after %d: %w", rec.Kind, after, err)
	}
	return w.after, nil
}

// Load implements Store.
func (j *Journal) Load(ctx context.Context, id ID) (*State, error) {
	messages, err := j.log.Read(ctx, id, 0, readMost)
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	return Fold(assemble(j.ring, id, messages))
}

// A write is one Append on its way: parts[:done] stand in the log, the last
// of them at after.
type write struct {
	j     *Journal
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
		case misses < tries:
			misses++ // a new leader may still be applying what it knows
		case errors.Is(err, ErrLost):
			return err
		default:
			return fmt.Errorf("%w: no decision after %d tries", ErrUnavailable, tries)
		}
		if err := pause(ctx, misses-1); err != nil {
			return err
		}
	}
	return nil
}

// send gives the log the next part.
func (w *write) send(ctx context.Context) error {
	data := w.parts[w.done].seal(w.j.ring, w.id)
	rev, err := w.j.log.Append(ctx, w.id, w.after, data)
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

// resolve looks at what stands after w.after when the log refused to put
// something there. An earlier try whose answer was lost may have stored the
// very part, or another record of ours that this one supersedes; both are
// stepped over. Anybody else's message means that we are fenced. A message id
// for deduplication cannot do this: on a single server the sequence is
// checked first (DESIGN §6).
func (w *write) resolve(ctx context.Context, fenced *FencedError) error {
	if fenced.Known && fenced.Newest < w.after {
		return fmt.Errorf("%w: newest is %d, not %d", ErrLost, fenced.Newest, w.after)
	}
	next, err := w.j.log.Read(ctx, w.id, w.after, 1)
	if err != nil {
		return err
	}
	if len(next) == 0 {
		return ErrBusy // the replica that answered is behind
	}
	mine := &w.parts[w.done]
	stored, err := open(w.j.ring, w.id, next[0].Data)
	switch {
	case err != nil:
		// Not readable, so not ours: we seal with a key that we know.
		return fmt.Errorf("%w: %w", ErrFenced, err)
	case stored.same(mine):
		w.advance(next[0].Revision)
	case stored.epoch == mine.epoch && stored.author == mine.author:
		w.after, w.done = next[0].Revision, 0
	default:
		return fmt.Errorf("%w: epoch %d stands at %d", ErrFenced, stored.epoch, next[0].Revision)
	}
	return nil
}

// pause waits a moment before try number n, from 0, or until ctx ends.
func pause(ctx context.Context, n int) error {
	most := min(pauseMin<<min(n, 8), pauseMax)
	timer := time.NewTimer(most/2 + rand.N(most/2))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
}

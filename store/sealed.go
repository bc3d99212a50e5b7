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

	// maxResolve is how many messages are read at a time when an append was
	// refused: mostly it is one.
	maxResolve = 4

	// maxForeign is how many messages of no owner one append steps over before
	// the caller's backoff, and maxAmid how many between the parts of a record,
	// so that the ring has all of them and the part before.
	maxForeign = 4 * Ring
	maxAmid    = Ring - MaxParts - 1
)

// A SealedStore is the Store over a Backend: it splits records into parts and
// seals them, and opens, assembles and folds what it reads. It tells an
// owner's own lost writes from another owner's. It is safe for concurrent use.
type SealedStore struct {
	backend   Backend
	ring      *keyring.Ring
	onForeign func(Foreign)
	wait      func(context.Context, time.Duration) error
}

// OnForeign sets what is called for each message that is skipped because no
// owner wrote it, each time that it is met. It is called before the first use,
// and f must not block.
func (s *SealedStore) OnForeign(f func(Foreign)) { s.onForeign = f }

// PauseBy sets what waits between two tries of an append, for some time up to what it
// is given. It is called before the first use, by what has a clock of its own.
func (s *SealedStore) PauseBy(wait func(context.Context, time.Duration) error) { s.wait = wait }

// NewSealedStore makes a Store of a Backend, which it then owns: Close closes
// both. The keys are derived from ring, which may be the tokens' too.
func NewSealedStore(backend Backend, ring *keyring.Ring) *SealedStore {
	return &SealedStore{backend: backend, ring: ring.Derive("journal"), wait: pauseAbout}
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
	messages, err := s.read(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	chain := assemble(s.ring, id, messages)
	held := 0
	for i := range messages {
		held += len(messages[i].Data)
	}
	for i := range chain {
		if why := chain[i].Foreign; why != nil && i > 0 {
			s.foreign(id, chain[i].Revision, why)
		}
	}
	st, err := Fold(chain)
	if err == nil {
		st.Held = held
	}
	return st, err
}

// read returns the newest messages of the chain.
func (s *SealedStore) read(ctx context.Context, id ID) (messages []Message, err error) {
	after := Revision(0)
	for {
		page, err := s.backend.Read(ctx, id, after, maxRead)
		if err != nil {
			return nil, err
		}
		messages = append(messages, page...)
		if len(page) < maxRead {
			return messages, nil
		}
		// More than any ring should have: what counts is at the end.
		after = page[len(page)-1].Revision
		messages = messages[len(messages)-Ring:]
	}
}

// foreign tells the observer of a message that is skipped.
func (s *SealedStore) foreign(id ID, rev Revision, why error) {
	if s.onForeign != nil {
		s.onForeign(Foreign{ID: id, Revision: rev, Why: why})
	}
}

// A write is one Append in progress: parts[:done] are in the backend, and
// after is the revision that the next one goes behind.
type write struct {
	store   *SealedStore
	id      ID
	after   Revision
	parts   []part
	done    int
	foreign int // messages of no owner that were stepped over
	amid    int // of them, between the parts
}

func (w *write) run(ctx context.Context) error {
	var lost error // the newest answer that said so
	for misses := 0; w.done < len(w.parts); {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		if err := w.crowded(); err != nil {
			return err
		}
		err := w.send(ctx)
		var fenced *FencedError
		if errors.As(err, &fenced) {
			if fenced.Known && fenced.Newest >= w.after {
				lost = nil // the leader knows more by now
			}
			err = w.resolve(ctx, fenced)
		}
		if errors.Is(err, ErrLost) {
			lost = err
		}
		switch {
		case err == nil:
			lost = nil
			continue
		case !errors.Is(err, ErrBusy) && !errors.Is(err, ErrLost):
			return err
		case misses < maxRetries:
			misses++ // a new leader may still be applying what it knows
		case lost != nil:
			return lost // and what came since said nothing else
		default:
			return fmt.Errorf("%w: no decision after %d tries", ErrUnavailable, maxRetries)
		}
		if err := w.store.pause(ctx, misses-1); err != nil {
			return err
		}
	}
	return nil
}

// crowded returns why the record cannot be written behind what was stepped
// over. The ring counts messages of no owner as any other, so what a Delta
// rests on may be about to fall out, and so may a record's own first parts.
func (w *write) crowded() error {
	switch {
	case w.foreign > 0 && w.parts[0].kind == Delta, w.amid > maxAmid:
		return fmt.Errorf("%w: %w: %d of them in the way", ErrLost, ErrForeign, w.foreign)
	case w.foreign > maxForeign:
		return fmt.Errorf("%w: %w: %d of them in the way", ErrUnavailable, ErrForeign, w.foreign)
	}
	return nil
}

// send gives the backend the next part.
func (w *write) send(ctx context.Context) error {
	data := w.parts[w.done].seal(w.store.ring, w.id, w.after)
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
// append there, and steps over what does not fence us, as far as it read.
func (w *write) resolve(ctx context.Context, fenced *FencedError) error {
	if fenced.Known && fenced.Newest < w.after {
		return fmt.Errorf("%w: newest is %d, not %d", ErrLost, fenced.Newest, w.after)
	}
	next, err := w.store.backend.Read(ctx, w.id, w.after, maxResolve)
	if err != nil {
		return err
	}
	if len(next) == 0 {
		return ErrBusy // the replica that answered is behind
	}
	for _, m := range next {
		if w.done == len(w.parts) {
			break
		}
		if err := w.stepOver(&m); err != nil {
			return err
		}
	}
	return nil
}

// stepOver decides on one message behind w.after. An earlier try whose answer
// was lost may have stored this very part, or another record of ours that this
// one supersedes. A message id for deduplication cannot do this: a single
// JetStream server checks the sequence first (DESIGN §6).
//
// Another owner's record means that we are fenced (I5). Of an epoch above ours,
// or of ours and not by us, it does so wherever it is: none such was ever
// written while we are the owner, so it cannot be an old one that came again.
// What no key opens, what is not in its place, and what a fenced owner wrote is
// nobody's, and fences nobody.
func (w *write) stepOver(m *Message) error {
	own := &w.parts[w.done]
	stored, err := open(w.store.ring, w.id, m.Data)
	var foreign *foreignError
	switch {
	case errors.As(err, &foreign):
		w.skip(m, err)
	case stored.epoch > own.epoch, stored.epoch == own.epoch && stored.author != own.author:
		return fmt.Errorf("%w: epoch %d is at revision %d", ErrFenced, stored.epoch, m.Revision)
	case stored.after != w.after:
		w.skip(m, errMoved)
	case stored.epoch == own.epoch && err == nil && stored.equal(own):
		w.advance(m.Revision)
	case stored.epoch == own.epoch:
		w.after, w.done, w.amid = m.Revision, 0, 0
	case own.kind == Claim:
		// What we read was stale: the former owner has written since.
		return fmt.Errorf("%w: the former owner is at revision %d", ErrFenced, m.Revision)
	default:
		w.skip(m, errFencedOwner)
	}
	return nil
}

// skip steps over a message of no owner.
func (w *write) skip(m *Message, why error) {
	w.after = m.Revision
	w.foreign++
	if w.done > 0 {
		w.amid++
	}
	w.store.foreign(w.id, m.Revision, why)
}

// pause waits before retry number n, from 0, or until ctx ends.
func (s *SealedStore) pause(ctx context.Context, n int) error {
	limit := min(minPause<<min(n, 8), maxPause)
	if err := s.wait(ctx, limit); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}

// pauseAbout waits for between half of d and d.
func pauseAbout(ctx context.Context, d time.Duration) error { return Pause(ctx, d/2+rand.N(d/2)) }

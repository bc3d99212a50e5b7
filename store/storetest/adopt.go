package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/store"
)

// epochStart is the time of every adoption here; only its value matters.
var epochStart = time.UnixMilli(1_700_000_000_000)

// Bounds of AdoptLatest.
const (
	// maxAdoptTries is more than testAdoptRace has owners, and some for
	// replicas that lag.
	maxAdoptTries = 30

	// maxNotFound is how often in a row ErrNotFound is put down to a replica
	// that lags.
	maxNotFound = 3

	adoptPause = 20 * time.Millisecond
)

// AdoptLatest loads session id and adopts it, whatever owner it has, again after
// each race that it loses.
func AdoptLatest(ctx context.Context, s store.Store, id store.ID, owner string, now time.Time) (*store.State, error) {
	return adoptLatest(ctx, s, store.Adoption{ID: id, Owner: owner, Now: now})
}

func adoptLatest(ctx context.Context, s store.Store, a store.Adoption) (*store.State, error) {
	missing := 0
	for range maxAdoptTries {
		former, err := s.Load(ctx, a.ID)
		switch {
		case errors.Is(err, store.ErrNotFound) && missing < maxNotFound-1:
			missing++
		case err != nil:
			return nil, err
		default:
			a.From = former
			st, err := store.Adopt(ctx, s, a)
			if !errors.Is(err, store.ErrFenced) && !errors.Is(err, store.ErrLost) {
				return st, err
			}
		}
		time.Sleep(adoptPause) // replicas keep their own time
	}
	return nil, fmt.Errorf("lost %d races for the session", maxAdoptTries)
}

// testAdoptTwice: a hands over to b, which dies, and c adopts from b. Each
// claim keeps what was journaled and fences the owner before it.
func testAdoptTwice(t *testing.T, s store.Store) {
	if _, err := AdoptLatest(t.Context(), s, NewID(), "b", epochStart); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("an unknown session: %v", err)
	}
	a := begin(t, s, "a")
	a.delta(1, 3)
	a.append(func(r *store.Record) {
		r.Kind, r.InAcked, r.Handed = store.Delta, 17, true
		r.Context, r.ProvenEpoch, r.Proven = []byte("hello"), 1, 2
	})

	st, err := AdoptLatest(t.Context(), s, a.id, "b", epochStart)
	if err != nil {
		t.Fatal(err)
	}
	wantFrames(t, st, 1, 3, 10)
	wantAdopted(t, st, store.Record{Epoch: 2, Owner: "b", Handed: true, InAcked: 17})
	if st.Writer == a.rec.Writer {
		t.Error("b writes as a")
	}
	if string(st.Context) != "hello" || st.ProvenEpoch != 1 || st.Proven != 2 {
		t.Errorf("context %q, proven %d, %d", st.Context, st.ProvenEpoch, st.Proven)
	}
	if err := a.try(nil); !errors.Is(err, store.ErrFenced) {
		t.Errorf("the former owner's append: %v", err)
	}

	// b goes on, and dies without a hand-over: a's ended with the claim.
	b := owner{t: t, s: s, id: a.id, rev: st.Revision, rec: st.Record}
	if st := b.load(); !st.Handed || st.Released() {
		t.Errorf("b's claim says that a handed it over: %v, and that b did: %v", st.Handed, st.Released())
	}
	b.rec.Handed = false
	b.append(func(r *store.Record) { r.Kind, r.OutHead, r.Frames = store.Delta, 4, Frames(4, 4, 10) })
	st, err = AdoptLatest(t.Context(), s, a.id, "c", epochStart.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	wantFrames(t, st, 1, 4, 10)
	wantAdopted(t, st, store.Record{Epoch: 3, Owner: "c", InAcked: 17})
}

// testAdoptAfterClaim: a hands over to b, which dies right after its claim. What c
// adopts is as a left it, unless the client has heard of b, or b's app of the
// client.
func testAdoptAfterClaim(t *testing.T, s store.Store) {
	for _, tc := range []struct {
		early bool
		epoch uint32 // of the client's token when it comes to c
		want  bool
	}{{false, 1, true}, {false, 2, false}, {true, 1, false}, {false, 0, false}} {
		a := begin(t, s, "a")
		a.append(func(r *store.Record) { r.Kind, r.Handed, r.Owed = store.Delta, true, true })
		b, err := adoptLatest(t.Context(), s, store.Adoption{ID: a.id, Owner: "b", Now: epochStart, Epoch: 1, Early: tc.early})
		if err != nil {
			t.Fatal(err)
		}
		if !b.Handed || !b.Owed {
			t.Error("b does not know how a left the session")
		}
		c, err := adoptLatest(t.Context(), s, store.Adoption{ID: a.id, Owner: "c", Now: epochStart, Epoch: tc.epoch})
		if err != nil {
			t.Fatal(err)
		}
		if c.Handed != tc.want || c.Owed != tc.want || c.Released() {
			t.Errorf("%+v: handed over %v, owed %v, want %v", tc, c.Handed, c.Owed, tc.want)
		}
	}
}

// testAdoptProves: a's client has a token of a, and a's last record does not say so. b
// adopts the session and comes to nothing; what c adopts says from where on messages of
// a would be those of an owner that had been replaced.
func testAdoptProves(t *testing.T, s store.Store) {
	a := begin(t, s, "a")
	b, err := adoptLatest(t.Context(), s, store.Adoption{ID: a.id, Owner: "b", Now: epochStart, Received: 30, Epoch: 1, Generation: 2, Attempt: 4})
	if err != nil {
		t.Fatal(err)
	}
	c, err := adoptLatest(t.Context(), s, store.Adoption{ID: a.id, Owner: "c", Now: epochStart, Received: 30, Epoch: 1, Generation: 2, Attempt: 5})
	if err != nil {
		t.Fatal(err)
	}
	for _, st := range []*store.State{b, c} {
		if st.ProvenEpoch != 1 || st.Proven != 2 || st.FirstBase != 30 {
			t.Errorf("epoch %d: the client is known to have token %d of epoch %d, and the messages behind %d are of others; want 2, 1 and 30", st.Epoch, st.Proven, st.ProvenEpoch, st.FirstBase)
		}
	}
	if b.Attempt != 4 || c.Attempt != 4 {
		t.Errorf("the token came first with attempts %d and %d, want 4", b.Attempt, c.Attempt)
	}

	// An older token proves nothing, nor does one whose number is not known.
	for _, older := range []store.Adoption{{Generation: 1, Attempt: 9}, {Generation: 0, Attempt: 9}} {
		older.ID, older.Owner, older.Now, older.Received, older.Epoch = a.id, "d", epochStart, 30, 1
		st, err := adoptLatest(t.Context(), s, older)
		if err != nil {
			t.Fatal(err)
		}
		if st.Proven != 2 || st.Attempt != 4 {
			t.Errorf("token %d: the client is known to have token %d, of attempt %d, want 2 and 4", older.Generation, st.Proven, st.Attempt)
		}
	}
}

// testGiveBack: a hands over to b, whose app is away, and which gives the session
// back; c adopts what a has handed over.
func testGiveBack(t *testing.T, s store.Store) {
	a := begin(t, s, "a")
	a.delta(1, 3)
	a.append(func(r *store.Record) {
		r.Kind, r.InAcked, r.Handed, r.Owed, r.Context = store.Delta, 17, true, true, []byte("hello")
	})
	b, err := AdoptLatest(t.Context(), s, a.id, "b", epochStart)
	if err != nil {
		t.Fatal(err)
	}
	b.Denied = true
	if err := store.GiveBack(t.Context(), s, a.id, b); err != nil {
		t.Fatal(err)
	}
	c, err := AdoptLatest(t.Context(), s, a.id, "c", epochStart.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	wantFrames(t, c, 1, 3, 10)
	wantAdopted(t, c, store.Record{Epoch: 3, Owner: "c", Handed: true, InAcked: 17})
	if string(c.Context) != "hello" || !c.Owed || !c.Denied || c.Gap {
		t.Errorf("context %q, owed %v, denied %v, gap %v", c.Context, c.Owed, c.Denied, c.Gap)
	}
	if err := store.GiveBack(t.Context(), s, a.id, b); !errors.Is(err, store.ErrFenced) {
		t.Errorf("b gives back what is c's: %v", err)
	}
	c.Handed, c.Denied = false, false
	before := c.Revision
	if err := store.GiveBack(t.Context(), s, a.id, c); err != nil || c.Revision != before {
		t.Errorf("a session of a lost owner is given back: %v", err)
	}
}

// wantAdopted checks what an adoption changes and what it keeps. The session
// has been detached since the first adoption.
func wantAdopted(t *testing.T, st *store.State, want store.Record) {
	t.Helper()
	if st.Epoch != want.Epoch || st.N != 0 || st.Owner != want.Owner || st.InAcked != want.InAcked {
		t.Fatalf("state %+v", st.Record)
	}
	if st.Handed != want.Handed {
		t.Errorf("handed over: %v, want %v", st.Handed, want.Handed)
	}
	if st.DetachedAt != epochStart.UnixMilli() {
		t.Errorf("detached at %d, want %d: nobody is attached to the new owner", st.DetachedAt, epochStart.UnixMilli())
	}
}

// testAdoptRace: all claim at once. Each that succeeds has an epoch of its
// own, and only the highest can still write.
func testAdoptRace(t *testing.T, s store.Store) {
	const pods = 5
	a := begin(t, s, "a")
	a.delta(1, 3)
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		owns = map[uint32]*store.State{}
		top  uint32
	)
	for range pods {
		wg.Go(func() {
			// One name for all: the writer's number must tell them apart.
			st, err := AdoptLatest(t.Context(), s, a.id, "same", epochStart)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case errors.Is(err, store.ErrFenced):
			case err != nil:
				t.Error(err)
			case owns[st.Epoch] != nil:
				t.Errorf("epoch %d has two owners (I5)", st.Epoch)
			default:
				owns[st.Epoch] = st
				top = max(top, st.Epoch)
			}
		})
	}
	wg.Wait()
	for epoch, st := range owns {
		o := owner{t: t, s: s, id: a.id, rev: st.Revision, rec: st.Record}
		err := o.try(func(r *store.Record) { r.Kind = store.Delta })
		if (err == nil) != (epoch == top) {
			t.Errorf("epoch %d of %d: append: %v", epoch, top, err)
		}
	}
	if len(owns) == 0 {
		t.Error("nobody owns the session")
	}
}

// testAdoptRow: owners that die right after their claim do not push the
// frames out of the ring.
func testAdoptRow(t *testing.T, s store.Store) {
	a := begin(t, s, "a")
	a.append(func(r *store.Record) {
		r.Kind, r.OutHead, r.Frames, r.Context = store.Delta, 3, Frames(1, 3, 10), []byte("hello")
	})
	for i := range store.Ring + 8 {
		st, err := AdoptLatest(t.Context(), s, a.id, fmt.Sprint("pod ", i), epochStart)
		if err != nil {
			t.Fatalf("claim %d: %v", i+1, err)
		}
		wantFrames(t, st, 1, 3, 10)
		if string(st.Context) != "hello" {
			t.Fatalf("claim %d: context %q", i+1, st.Context)
		}
	}
}

// testAdopt: one attempt behind what was read. An owner that read before
// another one claimed is told so and has changed nothing.
func testAdopt(t *testing.T, s store.Store) {
	a := begin(t, s, "a")
	a.delta(1, 3)
	former := a.load()
	b, err := store.Adopt(t.Context(), s, store.Adoption{ID: a.id, From: former, Owner: "b", Now: epochStart})
	if err != nil {
		t.Fatal(err)
	}
	wantFrames(t, b, 1, 3, 10)
	if b.Epoch != 2 || b.Owner != "b" || former.Owner != "a" || former.Epoch != 1 {
		t.Fatalf("adopted %+v of %+v", b.Record, former.Record)
	}
	if st, err := store.Adopt(t.Context(), s, store.Adoption{ID: a.id, From: former, Owner: "c", Now: epochStart}); !errors.Is(err, store.ErrFenced) {
		t.Errorf("the slower one: %v, %v", st, err)
	}
	winner := owner{t: t, s: s, id: a.id, rev: b.Revision, rec: b.Record}
	winner.append(func(r *store.Record) { r.Kind = store.End })
	if _, err := store.Adopt(t.Context(), s, store.Adoption{ID: a.id, From: winner.load(), Owner: "c", Now: epochStart}); !errors.Is(err, store.ErrEnded) {
		t.Errorf("a session that is over: %v", err)
	}
}

func testEnded(t *testing.T, s store.Store) {
	a := begin(t, s, "a")
	a.delta(1, 3)
	a.append(func(r *store.Record) { r.Kind = store.End })
	if st := a.load(); st.Kind != store.End {
		t.Fatalf("loaded a %v", st.Kind)
	}
	if _, err := AdoptLatest(t.Context(), s, a.id, "b", epochStart); !errors.Is(err, store.ErrEnded) {
		t.Fatalf("adopt: %v, want ErrEnded", err)
	}
}

// testLarge: twice what one part holds, in a snapshot and in deltas.
func testLarge(t *testing.T, s store.Store) {
	size := s.Limits().Part / 2
	a := begin(t, s, "a")
	a.append(func(r *store.Record) {
		r.Kind, r.OutHead, r.Frames = store.Snapshot, 4, Frames(1, 4, size)
	})
	wantFrames(t, a.load(), 1, 4, size)
	a.append(func(r *store.Record) {
		r.Kind, r.OutHead, r.Frames = store.Delta, 6, Frames(5, 6, size)
	})
	before := a.rev
	a.append(func(r *store.Record) {
		r.Kind, r.OutHead, r.OutAcked, r.Frames = store.Delta, 9, 3, Frames(7, 9, size)
	})
	wantFrames(t, a.load(), 4, 9, size)
	again, err := s.Append(t.Context(), a.id, before, &a.rec)
	if err != nil || again != a.rev {
		t.Fatalf("the same parts again: revision %d, %v, want %d", again, err, a.rev)
	}
	st, err := AdoptLatest(t.Context(), s, a.id, "b", epochStart)
	if err != nil {
		t.Fatal(err)
	}
	wantFrames(t, st, 4, 9, size)
}

func testTooLarge(t *testing.T, s store.Store) {
	a := begin(t, s, "a")
	limit := s.Limits().Record
	err := a.try(func(r *store.Record) { r.Frames = Frames(1, 1, limit+1) })
	if !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("a frame of %d bytes: %v", limit+1, err)
	}
	err = a.try(func(r *store.Record) { r.CloseReason = string(make([]byte, store.MaxReason+1)) })
	if !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("a long close reason: %v", err)
	}
	a.delta(1, 1)
}

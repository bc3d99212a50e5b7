package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/wsresilience/wsresilience/store"
)

func testNotFound(t *testing.T, s store.Store) {
	if st, err := s.Load(t.Context(), NewID()); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("load: %v, %v", st, err)
	}
	rec := &store.Record{Kind: store.Delta, Epoch: 1, Owner: "a"}
	rev, err := s.Append(t.Context(), NewID(), 1<<40, rec)
	if !errors.Is(err, store.ErrLost) && !errors.Is(err, store.ErrFenced) {
		t.Fatalf("append after a revision that never was: %d, %v", rev, err)
	}
}

func testAppendLoad(t *testing.T, s store.Store) {
	o := begin(t, s, "10.0.0.1:15801")
	want := store.Record{
		Kind: store.Delta, Epoch: 1, N: 2, Owner: "10.0.0.1:15801", Writer: o.rec.Writer,
		InAcked: 4_000_000_000, OutAcked: 1, OutHead: 9,
		ProvenEpoch: 1, Proven: 3, Context: []byte("context"), DetachedAt: 1_700_000_000_000,
		Handed: true, Unclean: true, Owed: true, Denied: true, Closed: true, CloseCode: 4000, CloseReason: "kept for later",
		Subprotocol: "graphql-transport-ws", Extensions: "permessage-deflate",
	}
	o.append(func(r *store.Record) {
		*r = want
		r.Frames = Frames(1, 3, 100)
	})
	st := o.load()
	wantFrames(t, st, 2, 3, 100)
	got := st.Record
	got.Frames = nil
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("loaded\n%+v, want\n%+v", got, want)
	}
	if st.Revision != o.rev {
		t.Fatalf("revision %d, want %d", st.Revision, o.rev)
	}
}

// testPastRing fills three rings as Cadence decides and reads all the frames
// again; then it writes no snapshots, and the reader must notice.
func testPastRing(t *testing.T, s store.Store) {
	o := begin(t, s, "a")
	cadence := store.Cadence{Limits: s.Limits()}
	snapshots := 0
	for seq := uint32(1); seq <= 3*store.Ring; seq++ {
		o.append(func(r *store.Record) {
			r.OutHead = seq
			if r.Kind = cadence.Next(10, int(seq)*10); r.Kind == store.Snapshot {
				snapshots++
				r.Frames = Frames(1, seq, 10)
			} else {
				r.Frames = Frames(seq, seq, 10)
			}
		})
		cadence.Wrote(&o.rec, nil)
	}
	wantFrames(t, o.load(), 1, 3*store.Ring, 10)
	if snapshots > 2*3*store.Ring/store.SnapshotEvery {
		t.Errorf("%d snapshots in %d records", snapshots, 3*store.Ring)
	}
	for seq := uint32(3*store.Ring + 1); seq <= 5*store.Ring; seq++ {
		o.delta(seq, seq)
	}
	if st := o.load(); !st.Gap {
		t.Fatalf("frames pushed out of the ring, but no gap: %d frames, acked %d", len(st.Frames), st.OutAcked)
	}
}

func testFenced(t *testing.T, s store.Store) {
	a := begin(t, s, "a")
	a.delta(1, 3)
	b := *a
	b.append(func(r *store.Record) {
		r.Kind, r.Epoch, r.N, r.Owner, r.Writer = store.Claim, 2, 0, "b", store.NewWriter()
	})
	for range 2 {
		err := a.try(func(r *store.Record) { r.Kind, r.Frames = store.Delta, Frames(4, 4, 10) })
		if !errors.Is(err, store.ErrFenced) {
			t.Fatalf("the former owner's append: %v, want ErrFenced", err)
		}
	}
	st := b.load()
	wantFrames(t, st, 1, 3, 10) // the claim kept them
	if st.Owner != "b" || st.Epoch != 2 || st.Revision != b.rev {
		t.Fatalf("loaded %q, epoch %d at %d", st.Owner, st.Epoch, st.Revision)
	}
}

// testRace lets owners race for every revision of a chain: one wins each.
func testRace(t *testing.T, s store.Store) {
	const rounds, owners = 10, 4
	o := begin(t, s, "a")
	for round := range rounds {
		var (
			wg   sync.WaitGroup
			mu   sync.Mutex
			won  []store.Revision
			fail []error
		)
		for i := range owners {
			wg.Go(func() {
				rec := store.Record{Kind: store.Claim, Epoch: uint32(round) + 2, Owner: fmt.Sprint(i), Writer: uint64(i)}
				rev, err := s.Append(t.Context(), o.id, o.rev, &rec)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					won = append(won, rev)
				case !errors.Is(err, store.ErrFenced):
					fail = append(fail, err)
				}
			})
		}
		wg.Wait()
		if len(won) != 1 || fail != nil {
			t.Fatalf("round %d: %d winners, failures %v", round, len(won), fail)
		}
		o.rev = won[0]
	}
}

// testRetry repeats appends as an owner does whose answers were lost.
func testRetry(t *testing.T, s store.Store) {
	o := begin(t, s, "a")
	before := o.rev
	o.delta(1, 2)
	again, err := s.Append(t.Context(), o.id, before, &o.rec)
	if err != nil || again != o.rev {
		t.Fatalf("the same record again: revision %d, %v, want %d", again, err, o.rev)
	}
	// More became due before the retry: the record that supersedes is stored
	// behind the one it supersedes.
	o.rev = before
	o.append(func(r *store.Record) {
		r.Kind, r.OutHead, r.Frames = store.Delta, 4, Frames(1, 4, 10)
	})
	if o.rev <= again {
		t.Fatalf("the superseding record at %d, not behind %d", o.rev, again)
	}
	wantFrames(t, o.load(), 1, 4, 10)
}

func testCancelled(t *testing.T, s store.Store) {
	o := begin(t, s, "a")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Append(ctx, o.id, o.rev, &o.rec)
	if !errors.Is(err, context.Canceled) || !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("append: %v", err)
	}
	if _, err = s.Load(ctx, o.id); !errors.Is(err, context.Canceled) || !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("load: %v", err)
	}
	if _, err = AdoptLatest(ctx, s, o.id, "b", epochStart); !errors.Is(err, context.Canceled) {
		t.Errorf("adopt: %v", err)
	}
	o.delta(1, 1) // no harm was done
}

func testManySessions(t *testing.T, s store.Store) {
	const sessions, records = 24, 20
	var wg sync.WaitGroup
	for i := range sessions {
		wg.Go(func() {
			o := owner{t: t, s: s, id: NewID()}
			o.rec = store.Record{Epoch: 1, Owner: fmt.Sprint(i)}
			for seq := uint32(1); seq <= records; seq++ {
				err := o.try(func(r *store.Record) {
					r.Kind, r.OutHead, r.Frames = store.Delta, seq, Frames(seq, seq, 10+i)
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
			var st *store.State
			var err error
			seen := eventually(func() bool {
				st, err = s.Load(t.Context(), o.id)
				return err == nil && st.Revision == o.rev
			})
			if !seen || st.Owner != fmt.Sprint(i) || len(st.Frames) != records {
				t.Errorf("session %d: %v, %v", i, st, err)
			}
		})
	}
	wg.Wait()
}

func testClosed(t *testing.T, open func(t *testing.T) store.Store) {
	s := open(t)
	o := begin(t, s, "a")
	if err := s.Ready(t.Context()); err != nil {
		t.Fatalf("not ready: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	if err := o.try(nil); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("append: %v", err)
	}
	if _, err := s.Load(t.Context(), o.id); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("load: %v", err)
	}
	if err := s.Ready(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("ready: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
}

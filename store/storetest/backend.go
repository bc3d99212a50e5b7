package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/wsresilience/wsresilience/store"
)

// RunBackend tests a Backend: by itself, under a SealedStore, and under one to
// which answers get lost. open may return the same backend each time.
func RunBackend(t *testing.T, open func(t *testing.T) store.Backend) {
	t.Run("store", func(t *testing.T) {
		Run(t, func(t *testing.T) store.Store { return store.NewSealedStore(open(t), Ring(t)) })
	})
	t.Run("ring", func(t *testing.T) { testRing(t, open(t)) })
	t.Run("foreign", func(t *testing.T) { testForeign(t, open(t)) })
	t.Run("unfinished", func(t *testing.T) { testUnfinished(t, open(t)) })
	t.Run("lost answers", func(t *testing.T) { testLostAnswers(t, open(t)) })
}

func testRing(t *testing.T, b store.Backend) {
	id := NewID()
	var revs []store.Revision
	after := store.Revision(0)
	for i := range store.Ring + 5 {
		after = put(t, b, id, after, fmt.Append(nil, "message ", i))
		revs = append(revs, after)
	}
	var fenced *store.FencedError
	var err error
	eventually(func() bool {
		_, err = b.Append(t.Context(), id, revs[0], []byte("late"))
		return !errors.Is(err, store.ErrBusy)
	})
	if !errors.As(err, &fenced) || fenced.Known && fenced.Newest != after {
		t.Errorf("append after an old revision: %v", err)
	}
	want := revs[len(revs)-store.Ring:]
	got := readUntil(t, b, id, after)
	if len(got) != len(want) || got[0].Revision != want[0] || string(got[0].Data) != "message 5" {
		t.Errorf("%d messages from %d, want %d from %d", len(got), got[0].Revision, len(want), want[0])
	}
	two := eventually(func() bool {
		got, err = b.Read(t.Context(), id, want[2], 2)
		return err == nil && len(got) == 2 && got[0].Revision == want[3] && got[1].Revision == want[4]
	})
	if !two {
		t.Errorf("two after %d: %v, %v", want[2], got, err)
	}
	if got, err = b.Read(t.Context(), id, after, 2); err != nil || len(got) != 0 {
		t.Errorf("nothing after the newest: %v, %v", got, err)
	}
}

// put appends to b as a SealedStore does: a busy one is asked again. A cluster
// may still be busy with an append that it has already acknowledged.
func put(t *testing.T, b store.Backend, id store.ID, after store.Revision, data []byte) (rev store.Revision) {
	t.Helper()
	var err error
	decided := eventually(func() bool {
		rev, err = b.Append(t.Context(), id, after, data)
		return !errors.Is(err, store.ErrBusy)
	})
	if !decided || err != nil {
		t.Fatal(err)
	}
	return rev
}

// readUntil reads all, when the newest has arrived where it is read from.
func readUntil(t *testing.T, b store.Backend, id store.ID, newest store.Revision) (got []store.Message) {
	t.Helper()
	var err error
	seen := eventually(func() bool {
		got, err = b.Read(t.Context(), id, 0, 2*store.Ring)
		return err == nil && len(got) > 0 && got[len(got)-1].Revision >= newest
	})
	if !seen {
		t.Fatalf("revision %d never seen: %v", newest, err)
	}
	return got
}

// testUnfinished: a writer that dies within a record of several parts leaves
// what was there before, and a chain that can be adopted.
func testUnfinished(t *testing.T, b store.Backend) {
	a := begin(t, store.NewSealedStore(b, Ring(t)), "a")
	a.delta(1, 3)
	dying := &flaky{Backend: b, failAt: 3}
	a.s = store.NewSealedStore(dying, Ring(t))
	size := a.s.Limits().Part
	err := a.try(func(r *store.Record) {
		r.Kind, r.OutAcked, r.OutHead, r.Frames = store.Snapshot, 1, 4, Frames(2, 4, size)
	})
	if !errors.Is(err, store.ErrUnavailable) || dying.appends != 3 {
		t.Fatalf("%d appends, %v", dying.appends, err)
	}
	s := store.NewSealedStore(b, Ring(t))
	st, err := AdoptLatest(t.Context(), s, a.id, "b", epochStart)
	if err != nil {
		t.Fatal(err)
	}
	wantFrames(t, st, 1, 3, 10)
	if st.OutAcked != 0 || st.Epoch != 2 {
		t.Errorf("acked %d in epoch %d: the unfinished record shows", st.OutAcked, st.Epoch)
	}
}

// testLostAnswers: every second answer of the backend is lost after the message
// was stored, and the owner's next record has more in it than the last.
func testLostAnswers(t *testing.T, b store.Backend) {
	s := store.NewSealedStore(&flaky{Backend: b, loseEvery: 2}, Ring(t))
	o := &owner{t: t, s: s, id: NewID(), rec: store.Record{Epoch: 1, Owner: "a", Writer: 9}}
	journaled, failures := uint32(0), 0
	for head := uint32(1); head <= 20; head++ {
		err := o.try(func(r *store.Record) {
			r.Kind, r.OutHead, r.Frames = store.Delta, head, Frames(journaled+1, head, 10)
		})
		switch {
		case err == nil:
			journaled = head
		case errors.Is(err, store.ErrUnavailable):
			failures++
		default:
			t.Fatal(err)
		}
	}
	if failures == 0 || journaled < 10 {
		t.Fatalf("%d failures, %d frames journaled: not what was to be tested", failures, journaled)
	}
	st := o.load() // once: another load may be answered by another replica
	wantFrames(t, st, 1, max(journaled, st.OutHead), 10)
}

// A flaky backend loses answers, or dies.
type flaky struct {
	store.Backend
	loseEvery int // this many appends: stored, but the answer is lost
	failAt    int // from this append on nothing is stored

	mu      sync.Mutex
	appends int
}

func (f *flaky) Append(ctx context.Context, id store.ID, after store.Revision, data []byte) (store.Revision, error) {
	f.mu.Lock()
	f.appends++
	lose := f.loseEvery > 0 && f.appends%f.loseEvery == 0
	dead := f.failAt > 0 && f.appends >= f.failAt
	f.mu.Unlock()
	if dead {
		return 0, fmt.Errorf("%w: the test cut it off", store.ErrUnavailable)
	}
	rev, err := f.Backend.Append(ctx, id, after, data)
	if lose && err == nil {
		return 0, fmt.Errorf("%w: the test lost the answer", store.ErrUnavailable)
	}
	return rev, err
}

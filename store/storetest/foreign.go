package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/wsresilience/wsresilience/store"
)

// A tenant may write to the backend like any owner, and has no key.
type tenant struct {
	t *testing.T
	b store.Backend
}

// messages is all that the chain of session id has.
func (w tenant) messages(id store.ID) []store.Message {
	w.t.Helper()
	got, err := w.b.Read(w.t.Context(), id, 0, 4*store.Ring)
	if err != nil {
		w.t.Fatal(err)
	}
	return got
}

// publish puts data at the end of the chain, n times.
func (w tenant) publish(id store.ID, data []byte, n int) {
	w.t.Helper()
	for range n {
		done := eventually(func() bool {
			after := store.Revision(0)
			if all := w.messages(id); len(all) > 0 {
				after = all[len(all)-1].Revision
			}
			_, err := w.b.Append(w.t.Context(), id, after, data)
			return err == nil // a replica may be behind
		})
		if !done {
			w.t.Fatal("the tenant cannot publish")
		}
	}
}

// testForeign: what a tenant puts into a chain fences nobody, ends no chain and
// brings nothing back.
func testForeign(t *testing.T, b store.Backend) {
	w := tenant{t, b}
	var mu sync.Mutex
	met := map[store.ID]int{}
	s := store.NewSealedStore(b, Ring(t))
	s.OnForeign(func(f store.Foreign) {
		if !errors.Is(f.Why, store.ErrForeign) {
			t.Errorf("%v is no reason", f.Why)
		}
		mu.Lock()
		met[f.ID]++
		mu.Unlock()
	})
	stranger := begin(t, s, "z")
	stranger.delta(1, 1)
	for name, junk := range map[string]func(o *owner) []byte{
		"empty":      func(*owner) []byte { return []byte{} },
		"text":       func(*owner) []byte { return []byte("junk") },
		"zeros":      func(*owner) []byte { return make([]byte, 100) },
		"ones":       func(*owner) []byte { return bytes.Repeat([]byte{0xff}, 300) },
		"newer":      func(o *owner) []byte { d := w.newest(o.id); d[0]++; return d },
		"former":     func(o *owner) []byte { d := w.newest(o.id); d[0]--; return d },
		"bit":        func(o *owner) []byte { d := w.newest(o.id); d[len(d)-1] ^= 1; return d },
		"cut":        func(o *owner) []byte { d := w.newest(o.id); return d[:len(d)/2] },
		"longer":     func(o *owner) []byte { return append(w.newest(o.id), 0) },
		"repeated":   func(o *owner) []byte { return w.newest(o.id) },
		"first":      func(o *owner) []byte { return bytes.Clone(w.messages(o.id)[0].Data) },
		"stranger's": func(*owner) []byte { return w.newest(stranger.id) },
		"large":      func(*owner) []byte { return make([]byte, b.MaxData()) },
	} {
		t.Run(name, func(t *testing.T) {
			o := begin(t, s, "a")
			o.delta(1, 2)
			w.publish(o.id, junk(o), 1)
			if st := o.load(); st.OutHead != 2 || st.Owner != "a" {
				t.Fatalf("head %d of %q", st.OutHead, st.Owner)
			}
			o.goOn(3, 4)
			wantFrames(t, o.load(), 1, 4, 10)
			w.publish(o.id, junk(o), 2)
			adopted, err := AdoptLatest(t.Context(), s, o.id, "b", epochStart)
			if err != nil {
				t.Fatal(err)
			}
			wantFrames(t, adopted, 1, 4, 10)
			if err := o.try(nil); !errors.Is(err, store.ErrFenced) {
				t.Fatalf("the former owner: %v, want ErrFenced", err)
			}
			mu.Lock()
			defer mu.Unlock()
			if met[o.id] == 0 {
				t.Error("nobody was told")
			}
		})
	}
	t.Run("before the first record", func(t *testing.T) {
		o := &owner{t: t, s: s, id: NewID(), rec: store.Record{Kind: store.Snapshot, Epoch: 1, Owner: "a", Writer: store.NewWriter()}}
		w.publish(o.id, []byte("junk"), 3)
		o.append(func(r *store.Record) { r.OutHead, r.Frames = 2, Frames(1, 2, 10) })
		wantFrames(t, o.load(), 1, 2, 10)
	})
	t.Run("rolled back", func(t *testing.T) { testRolledBack(t, s, w) })
	t.Run("parts", func(t *testing.T) { testForeignAmid(t, s, w) })
	t.Run("flood", func(t *testing.T) { testForeignFlood(t, s, w) })
	t.Run("ended", func(t *testing.T) {
		o := begin(t, s, "a")
		o.delta(1, 1)
		before := w.messages(o.id)
		o.append(func(r *store.Record) { r.Kind = store.End })
		end := w.newest(o.id)
		for _, m := range before {
			w.publish(o.id, m.Data, 1)
		}
		if _, err := AdoptLatest(t.Context(), s, o.id, "b", epochStart); !errors.Is(err, store.ErrEnded) {
			t.Errorf("its records came again behind the End: %v", err)
		}
		other := begin(t, s, "a")
		w.publish(other.id, end, 1)
		other.goOn(1, 1)
		wantFrames(t, other.load(), 1, 1, 10)
	})
}

func (w tenant) newest(id store.ID) []byte {
	w.t.Helper()
	all := w.messages(id)
	return bytes.Clone(all[len(all)-1].Data)
}

// goOn writes frames from..to as a living owner does: when its place in the
// chain is in doubt, it loads, and goes on with a Snapshot of all.
func (o *owner) goOn(from, to uint32) {
	o.t.Helper()
	err := o.try(func(r *store.Record) { r.Kind, r.OutHead, r.Frames = store.Delta, to, Frames(from, to, 10) })
	for tries := 0; errors.Is(err, store.ErrLost) && tries < 20; tries++ {
		st, loadErr := o.s.Load(o.t.Context(), o.id)
		switch {
		case loadErr == nil && st.Epoch == o.rec.Epoch && st.Writer == o.rec.Writer:
			o.rev = st.Revision
		case errors.Is(loadErr, store.ErrNotFound), errors.Is(loadErr, store.ErrCorrupt):
			o.rev = 0
		default:
			o.t.Fatalf("the living owner loads %+v, %v", st, loadErr)
		}
		err = o.try(func(r *store.Record) { r.Kind, r.OutHead, r.Frames = store.Snapshot, to, Frames(1, to, 10) })
	}
	if err != nil {
		o.t.Fatal(err)
	}
}

// testRolledBack publishes each record of a session again, at each moment, alone
// and behind enough to push all else out of the ring: no state comes back.
func testRolledBack(t *testing.T, s *store.SealedStore, w tenant) {
	o := begin(t, s, "a")
	var old []store.Message
	for proven := uint32(1); proven <= 4; proven++ {
		o.append(func(r *store.Record) {
			r.Kind, r.Proven = store.Delta, proven
			if proven%2 == 0 {
				r.Kind, r.Context = store.Snapshot, []byte{}
			}
		})
		old = w.messages(o.id)
		for _, m := range old {
			w.publish(o.id, m.Data, 1)
			if st := o.load(); st.Proven != proven {
				t.Fatalf("proven %d instead of %d", st.Proven, proven)
			}
		}
		o.goOnIdle()
	}
	old = w.messages(o.id)
	for _, m := range old {
		// The old record is the first in the ring, in the middle, and the last.
		for _, before := range []int{store.Ring, store.Ring / 2, 0} {
			w.publish(o.id, []byte("junk"), store.Ring)
			w.publish(o.id, m.Data, 1)
			w.publish(o.id, []byte("junk"), store.Ring-1-min(before, store.Ring-1))
			st, err := s.Load(t.Context(), o.id)
			if !errors.Is(err, store.ErrCorrupt) && !errors.Is(err, store.ErrNotFound) {
				t.Fatalf("an old record is the session's state: %+v, %v", st, err)
			}
		}
	}
	o.goOn(1, 3) // the living owner writes all of it anew
	wantFrames(t, o.load(), 1, 3, 10)
}

// goOnIdle writes a record of a session with nothing outstanding.
func (o *owner) goOnIdle() {
	o.t.Helper()
	proven := o.rec.Proven
	st, err := o.s.Load(o.t.Context(), o.id)
	if err != nil {
		o.t.Fatal(err)
	}
	o.rev = st.Revision
	o.append(func(r *store.Record) { r.Kind, r.Proven = store.Snapshot, proven })
}

// testForeignAmid puts junk between the parts of a record.
func testForeignAmid(t *testing.T, s *store.SealedStore, w tenant) {
	for _, n := range []int{1, 3} {
		o := begin(t, s, "a")
		o.delta(1, 1)
		old := w.newest(o.id)
		between := store.NewSealedStore(&interposed{Backend: w.b, put: func(id store.ID) { w.publish(id, old, n) }}, Ring(t))
		size := between.Limits().Part
		o.s = between
		o.append(func(r *store.Record) {
			r.Kind, r.OutAcked, r.OutHead, r.Frames = store.Snapshot, 1, 4, Frames(2, 4, size)
		})
		o.s = s
		wantFrames(t, o.load(), 2, 4, size)
	}
}

// An interposed backend puts something before each message that is stored.
type interposed struct {
	store.Backend
	put  func(store.ID)
	done bool // for the one that is next
}

func (i *interposed) Append(ctx context.Context, id store.ID, after store.Revision, data []byte) (store.Revision, error) {
	if !i.done {
		i.put(id)
	}
	rev, err := i.Backend.Append(ctx, id, after, data)
	i.done = err != nil
	return rev, err
}

// testForeignFlood fills the ring again and again. A living owner writes its
// session anew; of one that has none nothing is left, which is told.
func testForeignFlood(t *testing.T, s *store.SealedStore, w tenant) {
	for _, n := range []int{store.Ring - 1, store.Ring, store.Ring + 1, 2 * store.Ring} {
		o := begin(t, s, "a")
		o.delta(1, 2)
		w.publish(o.id, fmt.Append(nil, "junk ", n), n)
		o.goOn(3, 3)
		wantFrames(t, o.load(), 1, 3, 10)
		if _, err := AdoptLatest(t.Context(), s, o.id, "b", epochStart); err != nil {
			t.Fatal(err)
		}
		w.publish(o.id, slices.Repeat([]byte{9}, 50), store.Ring)
		if _, err := AdoptLatest(t.Context(), s, o.id, "c", epochStart); !errors.Is(err, store.ErrCorrupt) {
			t.Fatalf("nothing is left, and it is adopted: %v", err)
		}
	}
}

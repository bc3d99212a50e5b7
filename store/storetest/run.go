// Package storetest is the contract of a journal as a test: a Store is
// whatever passes Run, and a Backend whatever passes RunBackend.
package storetest

import (
	"bytes"
	"crypto/rand"
	"slices"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/internal/keyring"
	"github.com/wsresilience/wsresilience/store"
)

// Run tests a Store. open may return the same store each time: every test
// uses sessions of its own. It closes the store by t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	for name, test := range map[string]func(*testing.T, store.Store){
		"not found":            testNotFound,
		"append and load":      testAppendLoad,
		"fold past the ring":   testPastRing,
		"fenced":               testFenced,
		"race":                 testRace,
		"retry":                testRetry,
		"adopt":                testAdopt,
		"adopt twice":          testAdoptTwice,
		"adopt after claim":    testAdoptAfterClaim,
		"adopt proves a token": testAdoptProves,
		"give back":            testGiveBack,
		"adopt race":           testAdoptRace,
		"adopt in a row":       testAdoptRow,
		"ended":                testEnded,
		"large":                testLarge,
		"too large":            testTooLarge,
		"cancelled":            testCancelled,
		"many sessions":        testManySessions,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
	t.Run("closed", func(t *testing.T) { testClosed(t, open) })
}

// Ring returns a ring of one fixed key.
func Ring(t testing.TB) *keyring.Ring {
	t.Helper()
	ring, err := keyring.New([][]byte{bytes.Repeat([]byte{7}, keyring.KeySize)})
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// NewID returns a random session id.
func NewID() (id store.ID) {
	rand.Read(id[:])
	return id
}

// Frames returns frames from..to with size bytes each that tell them apart.
func Frames(from, to uint32, size int) (out []store.Frame) {
	for seq := from; seq != to+1; seq++ {
		data := bytes.Repeat([]byte{byte(seq)}, size)
		out = append(out, store.Frame{Seq: seq, Data: data})
	}
	return out
}

// An owner writes one session's chain as a proxy does.
type owner struct {
	t   *testing.T
	s   store.Store
	id  store.ID
	rev store.Revision
	rec store.Record // the newest
}

// begin writes the first record of a new session.
func begin(t *testing.T, s store.Store, name string) *owner {
	t.Helper()
	o := &owner{t: t, s: s, id: NewID()}
	o.rec = store.Record{Kind: store.Snapshot, Epoch: 1, Owner: name, Writer: store.NewWriter()}
	o.append(nil)
	return o
}

// append changes the record and appends it.
func (o *owner) append(change func(*store.Record)) {
	o.t.Helper()
	if err := o.try(change); err != nil {
		o.t.Fatal(err)
	}
}

func (o *owner) try(change func(*store.Record)) error {
	rec := o.rec
	rec.Frames = nil
	rec.N++
	if change != nil {
		change(&rec)
	}
	rev, err := o.s.Append(o.t.Context(), o.id, o.rev, &rec)
	if err == nil {
		if rev <= o.rev {
			o.t.Fatalf("revision %d after %d", rev, o.rev)
		}
		o.rev, o.rec = rev, rec
	}
	return err
}

// delta appends frames from..to.
func (o *owner) delta(from, to uint32) {
	o.t.Helper()
	o.append(func(r *store.Record) {
		r.Kind, r.OutHead, r.Frames = store.Delta, to, Frames(from, to, 10)
	})
}

// load loads until the state is as new as what the owner wrote: a read may be
// stale, but not for long.
func (o *owner) load() *store.State {
	o.t.Helper()
	var st *store.State
	var err error
	seen := eventually(func() bool {
		st, err = o.s.Load(o.t.Context(), o.id)
		return err == nil && st.Revision >= o.rev
	})
	if !seen {
		o.t.Fatalf("revision %d never seen: %v", o.rev, err)
	}
	return st
}

// eventually asks until done or for two seconds. Replicas apply what the
// leader has acknowledged on their own time, which no virtual clock drives.
func eventually(done func() bool) bool {
	for range 100 {
		if done() {
			return true
		}
		time.Sleep(20 * time.Millisecond)
	}
	return false
}

// wantFrames checks that st has exactly frames from..to and no gap.
func wantFrames(t *testing.T, st *store.State, from, to uint32, size int) {
	t.Helper()
	want := Frames(from, to, size)
	same := slices.EqualFunc(st.Frames, want, func(a, b store.Frame) bool {
		return a.Seq == b.Seq && bytes.Equal(a.Data, b.Data)
	})
	if !same || st.Gap {
		t.Fatalf("%d frames, gap %v, want %d to %d", len(st.Frames), st.Gap, from, to)
	}
}

package store_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/store/storetest"
)

// A verdict is what a backend answers to an append.
type verdict string

const (
	busy   verdict = "busy"   // another write is on its way, as a cluster says
	lower  verdict = "lower"  // the newest message is before the one that was named
	higher verdict = "higher" // it is behind it
)

// told is a backend that refuses appends: as said first, and then as it says always.
type told struct {
	store.Backend
	first []verdict
	then  verdict
}

func (b *told) Append(_ context.Context, _ store.ID, after store.Revision, _ []byte) (store.Revision, error) {
	v := b.then
	if len(b.first) > 0 {
		v, b.first = b.first[0], b.first[1:]
	}
	switch v {
	case lower:
		return 0, &store.FencedError{Newest: after - 1, Known: true}
	case higher:
		return 0, &store.FencedError{Newest: after + 1, Known: true}
	}
	return 0, store.ErrBusy
}

// Read implements store.Backend: the replica that is asked has nothing.
func (b *told) Read(context.Context, store.ID, store.Revision, int) ([]store.Message, error) {
	return nil, nil
}

// A journal that has lost records says so, also if the last of many answers is that it
// is busy: otherwise the owner writes the same record behind what is gone, again and
// again.
func TestLostIsHeardAmongBusy(t *testing.T) {
	for name, tc := range map[string]struct {
		first []verdict
		then  verdict
		want  error
	}{
		"lost":               {nil, lower, store.ErrLost},
		"busy":               {nil, busy, store.ErrUnavailable},
		"lost, then busy":    {[]verdict{busy, lower}, busy, store.ErrLost},
		"busy, then lost":    {[]verdict{busy, busy}, lower, store.ErrLost},
		"a leader caught up": {[]verdict{lower, higher}, busy, store.ErrUnavailable},
		"it is behind":       {[]verdict{lower}, higher, store.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &told{Backend: storetest.NewMemory(storetest.MemoryConfig{}), first: tc.first, then: tc.then}
				s := store.NewSealedStore(b, storetest.Ring(t))
				_, err := s.Append(t.Context(), store.ID{1}, 75, &store.Record{Kind: store.End, Epoch: 1, N: 1, Owner: "a", Writer: 1})
				if !errors.Is(err, tc.want) || errors.Is(err, store.ErrLost) != (tc.want == store.ErrLost) {
					t.Errorf("the append fails with %v, want %v", err, tc.want)
				}
			})
		})
	}
}

package proxy

import (
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/internal/peer"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

// leased says the same of every owner.
type leased store.LeaseState

func (l leased) Lease(string) store.LeaseState { return store.LeaseState(l) }

// adopter is an arrival at a sidecar that believes that of the others.
func adopter(lease store.LeaseState) *arrival {
	s := &Server{log: slog.New(slog.DiscardHandler)}
	s.cfg = Config{Peers: leased(lease), LeaseTTL: time.Minute, SessionTTL: 5 * time.Minute}
	return &arrival{s: s}
}

// When an owner may be replaced.
func TestOwnerIsGone(t *testing.T) {
	for _, tc := range []struct {
		end    peer.Result
		lease  store.LeaseState
		silent time.Duration // for how long it was out of reach
		want   bool
	}{
		{peer.Refused, store.LeaseLive, 0, true},
		{peer.Refused, store.LeaseUnknown, 0, true},
		{peer.NotOwner, store.LeaseLive, 0, true},
		{peer.Unreachable, store.LeaseGone, 0, true},
		{peer.Unreachable, store.LeaseLive, 0, false},
		{peer.Unreachable, store.LeaseLive, 59 * time.Second, false},
		{peer.Unreachable, store.LeaseLive, 61 * time.Second, true},
		{peer.Unreachable, store.LeaseUnknown, 0, false},
		{peer.Unreachable, store.LeaseUnknown, 9 * time.Minute, false},
	} {
		if got := ownerGone(tc.end, tc.lease, tc.silent, time.Minute); got != tc.want {
			t.Errorf("%v, lease %v, silent for %v: %v, want %v", tc.end, tc.lease, tc.silent, got, tc.want)
		}
	}
}

// What is wrong with a session that cannot be adopted.
func TestAdoptable(t *testing.T) {
	token := &wire.Token{Owner: "a:1", Epoch: 3, Generation: 7}
	good := func(change func(*store.State)) *store.State {
		st := &store.State{Record: store.Record{Kind: store.Snapshot, Epoch: 3, Owner: "a:1", ProvenEpoch: 3, Proven: 7}}
		if change != nil {
			change(st)
		}
		return st
	}
	ago := func(d time.Duration) func(*store.State) {
		return func(st *store.State) { st.DetachedAt = time.Now().Add(-d).UnixMilli() }
	}
	for name, tc := range map[string]struct {
		state *store.State
		err   error
		lease store.LeaseState
		end   peer.Result
		want  wire.ResetReason
	}{
		"good":                   {state: good(nil)},
		"detached for a while":   {state: good(ago(4 * time.Minute))},
		"position behind":        {state: good(func(st *store.State) { st.OutAcked = 6 }), want: wire.ResetLost},
		"used up and behind":     {state: good(func(st *store.State) { st.Proven, st.OutAcked = 8, 6 }), want: wire.ResetToken},
		"frames missing":         {state: good(func(st *store.State) { st.Gap = true }), want: wire.ResetLost},
		"expired":                {state: good(ago(6 * time.Minute)), want: wire.ResetUnknown},
		"ended":                  {state: good(func(st *store.State) { st.Kind = store.End }), want: wire.ResetUnknown},
		"token used up":          {state: good(func(st *store.State) { st.Proven = 8 }), want: wire.ResetToken},
		"token of an old epoch":  {state: good(func(st *store.State) { st.Epoch, st.ProvenEpoch, st.Proven = 4, 4, 0 }), want: wire.ResetToken},
		"adopted, not shown yet": {state: good(func(st *store.State) { st.Epoch = 4 })},
		"not found, owner gone":  {err: store.ErrNotFound, end: peer.Unreachable, lease: store.LeaseGone, want: wire.ResetUnknown},
		"not found, asked":       {err: store.ErrNotFound, end: peer.NotOwner, lease: store.LeaseLive, want: wire.ResetUnknown},
		"not found, owner lives": {err: store.ErrNotFound, end: peer.Unreachable, lease: store.LeaseLive, want: wire.ResetTryAgain},
		"not found, unknown":     {err: store.ErrNotFound, end: peer.Unreachable, lease: store.LeaseUnknown, want: wire.ResetTryAgain},
		"away":                   {err: fmt.Errorf("x: %w", store.ErrUnavailable), want: wire.ResetTryAgain},
		"full":                   {err: store.ErrFull, want: wire.ResetTryAgain},
		"corrupt":                {err: store.ErrCorrupt, want: wire.ResetLost},
		"anything else":          {err: errors.New("x"), want: wire.ResetTryAgain},
	} {
		h := adopter(tc.lease)
		h.offer.Resume = &wire.Resume{Received: 5}
		if got := h.adoptable(token, tc.state, tc.err, owners{"a:1": tc.end}); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

package store

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"
)

// answers is a Store that answers as it is told, one after the other, the last one
// again and again.
type answers struct {
	loads  []answer
	append error
	after  []Revision // of each append
}

type answer struct {
	state *State
	err   error
}

func (a *answers) Append(_ context.Context, _ ID, after Revision, _ *Record) (Revision, error) {
	a.after = append(a.after, after)
	return after + 1, a.append
}

func (a *answers) Load(context.Context, ID) (*State, error) {
	next := a.loads[0]
	if len(a.loads) > 1 {
		a.loads = a.loads[1:]
	}
	return next.state, next.err
}

func (a *answers) Limits() Limits              { return Limits{} }
func (a *answers) Ready(context.Context) error { return nil }
func (a *answers) Close() error                { return nil }

// A replica that is behind is asked again, and what it says at first is not believed.
func TestLoadKnown(t *testing.T) {
	of := func(epoch uint32) answer { return answer{&State{Record: Record{Epoch: epoch}}, nil} }
	unknown := answer{nil, ErrNotFound}
	corrupt := answer{nil, ErrCorrupt}
	for _, tc := range []struct {
		name   string
		loads  []answer
		epoch  uint32
		err    error
		pauses int
	}{
		{"known at once", []answer{of(3)}, 3, nil, 0},
		{"of a later owner", []answer{of(4)}, 4, nil, 0},
		{"not known at first", []answer{unknown, unknown, of(3)}, 3, nil, 2},
		{"of an earlier owner at first", []answer{of(2), of(3)}, 3, nil, 1},
		{"never known", []answer{unknown}, 0, ErrNotFound, 6},
		{"never of that owner", []answer{of(2)}, 0, ErrUnavailable, 6},
		{"unreadable", []answer{corrupt}, 0, ErrCorrupt, 0},
	} {
		var pauses []time.Duration
		st, err := LoadKnown(context.Background(), &answers{loads: tc.loads}, ID{}, 3, func(_ context.Context, d time.Duration) error {
			pauses = append(pauses, d)
			return nil
		})
		if !errors.Is(err, tc.err) || err == nil && st.Epoch != tc.epoch || len(pauses) != tc.pauses || !slices.IsSorted(pauses) {
			t.Errorf("%s: %+v, %v after %v", tc.name, st, err, pauses)
		}
	}
	canceled := errors.New("canceled")
	if _, err := LoadKnown(context.Background(), &answers{loads: []answer{unknown}}, ID{}, 3, func(context.Context, time.Duration) error { return canceled }); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a wait that ends: %v", err)
	}
}

// After a loss an owner goes on behind what is left, if that is its own.
func TestChainLost(t *testing.T) {
	of := func(epoch uint32, writer uint64) answer {
		return answer{&State{Revision: 7, Record: Record{Epoch: epoch, Writer: writer}}, nil}
	}
	for _, tc := range []struct {
		name string
		load answer
		err  error
		next Revision
	}{
		{"its own", of(3, 5), ErrLost, 7},
		{"of an earlier owner", of(2, 9), ErrLost, 7},
		{"of another owner of its epoch", of(3, 9), ErrFenced, 4},
		{"of a later owner", of(4, 5), ErrFenced, 4},
		{"nothing", answer{nil, ErrNotFound}, ErrLost, 0},
		{"nothing that can be read", answer{nil, ErrCorrupt}, ErrLost, 0},
		{"no answer", answer{nil, ErrUnavailable}, ErrUnavailable, 4},
	} {
		c := Chain{Writer: 5, Revision: 4}
		s := &answers{loads: []answer{tc.load}, append: ErrLost}
		if err := c.Append(context.Background(), s, ID{}, &Record{Epoch: 3}); !errors.Is(err, tc.err) || c.Revision != tc.next {
			t.Errorf("%s: %v, and it goes on behind %d", tc.name, err, c.Revision)
		}
	}
}

package console

import (
	"slices"
	"sync"
	"sync/atomic"
)

// Implementation limits of those who follow events.
const (
	// maxFollowers is how many there may be: each costs the one who observes a
	// little.
	maxFollowers = 16

	// maxBehind is how many events wait for one that reads slowly. It loses those
	// beyond, and is told how many.
	maxBehind = 256
)

// followers are those who hear of events as they happen. It is safe for concurrent
// use.
type followers struct {
	mu   sync.Mutex                  // for those who come and go
	list atomic.Pointer[[]*follower] // replaced, not changed
}

// A follower hears of events on its channel.
type follower struct {
	wanted func(*record) bool
	events chan record
	lost   atomic.Uint64
}

// add makes a follower; nil: there are too many.
func (f *followers) add(wanted func(*record) bool) *follower {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := f.all()
	if len(list) >= maxFollowers {
		return nil
	}
	one := &follower{wanted: wanted, events: make(chan record, maxBehind)}
	list = append(slices.Clip(list), one)
	f.list.Store(&list)
	return one
}

func (f *followers) remove(one *follower) {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := slices.DeleteFunc(slices.Clone(f.all()), func(o *follower) bool { return o == one })
	f.list.Store(&list)
}

func (f *followers) all() []*follower {
	if list := f.list.Load(); list != nil {
		return *list
	}
	return nil
}

// tell passes an event to all who want it. It waits for none of them.
func (f *followers) tell(r record) {
	for _, one := range f.all() {
		if !one.wanted(&r) {
			continue
		}
		select {
		case one.events <- r:
		default:
			one.lost.Add(1)
		}
	}
}

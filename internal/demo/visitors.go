package demo

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

const (
	// maxVisitors bounds the visitors at a time: each has a network, a balancer
	// and four streams of messages. More than one talk has open pages.
	maxVisitors = 16

	// visitorGrace is how long a visitor whose page is gone may come back to it:
	// browsers open a broken stream of events again after some seconds.
	visitorGrace = 15 * time.Second
)

// errFull is what too many visitors are told.
var errFull = errors.New("too many pages are open: close one")

// visitors are those of the page. It is safe for concurrent use.
type visitors struct {
	// Immutable.
	fleet *fleet
	life  context.Context
	end   context.CancelFunc
	work  sync.WaitGroup

	mu     sync.Mutex
	byName map[string]*visitor
}

func newVisitors(f *fleet) *visitors {
	r := &visitors{fleet: f, byName: map[string]*visitor{}}
	r.life, r.end = context.WithCancel(context.Background())
	r.work.Go(func() {
		for r.life.Err() == nil {
			r.sweep(visitorGrace)
			_ = proc.Sleep(r.life, time.Second)
		}
	})
	return r
}

// open begins a visit. One whose page is gone makes room when there is none.
func (r *visitors) open() (*visitor, error) {
	r.mu.Lock()
	full := len(r.byName) >= maxVisitors
	r.mu.Unlock()
	if full {
		r.sweep(0)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.byName) >= maxVisitors {
		return nil, errFull
	}
	if err := r.life.Err(); err != nil {
		return nil, err
	}
	v, err := newVisitor(r.fleet)
	if err == nil {
		r.byName[v.name] = v
	}
	return v, err
}

// named returns the visitor of a name, or nil.
func (r *visitors) named(name string) *visitor {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.byName[name]
}

// sweep ends the visits whose page has been gone for longer than grace.
func (r *visitors) sweep(grace time.Duration) {
	var over []*visitor
	r.mu.Lock()
	for name, v := range r.byName {
		if v.away() > grace {
			delete(r.byName, name)
			over = append(over, v)
		}
	}
	r.mu.Unlock()
	for _, v := range over {
		v.close()
	}
}

// close ends all visits.
func (r *visitors) close() {
	r.end()
	r.work.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, v := range r.byName {
		v.close()
		delete(r.byName, name)
	}
}

package proxy

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"time"
)

// Implementation limits of what is remembered of other sidecars.
const (
	// newsLife is how long one attempt speaks for others: long enough for a
	// crowd that comes back at once, and below a client's patience.
	newsLife = time.Second

	// silenceLife is how long it is remembered since when an owner is silent.
	// It is far beyond any lease.
	silenceLife = 10 * time.Minute
)

// peers remembers which sidecars do not answer, so that of a crowd of clients
// that were theirs not each waits for a dead address. The zero value knows of
// none; it is safe for concurrent use.
type peers struct {
	mu   sync.Mutex
	news map[string]*peerNews
	cert peerCertificate
}

// peerNews is what is known of one address. Times are monotonic.
type peerNews struct {
	trying  chan struct{} // closed when the attempt to connect is over; nil: none
	reached time.Time     // when somebody listened there last
	heard   time.Time     // when it answered a request last
	since   time.Time     // of the first silence after that; zero: none
	last    time.Time     // of the newest silence
}

// admit lets one caller try to connect while the others wait for what comes
// of it; where somebody listens they need not. Without ok the owner was found
// silent just now, or ctx is over. With it, done must be called with what came
// of connecting.
func (p *peers) admit(ctx context.Context, owner string) (done func(error), ok bool) {
	for {
		p.mu.Lock()
		n := p.of(owner)
		wait := n.trying
		switch {
		case n.is(n.last):
			p.mu.Unlock()
			return nil, false
		case n.is(n.reached):
			p.mu.Unlock()
			return func(err error) { p.connected(ctx, owner, err) }, true
		case wait == nil:
			mine := make(chan struct{})
			n.trying = mine
			p.mu.Unlock()
			return func(err error) {
				p.connected(ctx, owner, err)
				p.mu.Lock()
				defer p.mu.Unlock()
				n.trying = nil
				close(mine)
			}, true
		}
		p.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, false
		}
	}
}

// is tells whether what happened at t still counts.
func (n *peerNews) is(t time.Time) bool { return !t.IsZero() && time.Since(t) < newsLife }

// of returns what is known of owner. A new entry is the moment to forget old
// ones. The caller holds mu.
func (p *peers) of(owner string) *peerNews {
	if n := p.news[owner]; n != nil {
		return n
	}
	for address, n := range p.news {
		if n.trying == nil && !n.is(n.reached) && !n.silent() {
			delete(p.news, address)
		}
	}
	if p.news == nil {
		p.news = make(map[string]*peerNews)
	}
	n := new(peerNews)
	p.news[owner] = n
	return n
}

func (n *peerNews) silent() bool {
	return !n.since.IsZero() && time.Since(n.last) < silenceLife
}

// connected notes what came of connecting. A client that went away meanwhile
// tells nothing, and a refusal is an answer of the host's.
func (p *peers) connected(ctx context.Context, owner string, err error) {
	switch {
	case err == nil, errors.Is(err, syscall.ECONNREFUSED):
		p.mu.Lock()
		defer p.mu.Unlock()
		p.of(owner).reached = time.Now()
	case ctx.Err() == nil:
		p.unheard(owner, time.Now())
	}
}

// answered notes that owner answered a request.
func (p *peers) answered(owner string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.of(owner)
	n.heard, n.since, n.last = time.Now(), time.Time{}, time.Time{}
}

// unheard notes that owner did not answer what was begun then. When it has
// answered somebody else since, one session hangs there and not the sidecar.
func (p *peers) unheard(owner string, began time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.of(owner)
	if n.heard.After(began) {
		return
	}
	if n.last = time.Now(); n.since.IsZero() {
		n.since = n.last
	}
}

// silentFor tells for how long owner has been out of reach without a success
// in between; 0 means that nothing bad is known. It is forgotten silenceLife
// after the last attempt.
func (s *Server) silentFor(owner string) time.Duration {
	p := &s.peers
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := p.news[owner]; n != nil && n.silent() {
		return time.Since(n.since)
	}
	return 0
}

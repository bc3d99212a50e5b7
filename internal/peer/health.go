package peer

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"time"
)

// Implementation limits of what is remembered of other sidecars.
const (
	// healthTTL is how long one attempt speaks for others: long enough for a
	// crowd that comes back at once, and below a client's patience.
	healthTTL = time.Second

	// outageTTL is how long it is remembered since when an owner is silent.
	// It is far beyond any lease.
	outageTTL = 10 * time.Minute
)

// health remembers which sidecars do not answer, so that of a crowd of clients
// that were theirs not each waits for a dead address. The zero value knows of
// none; it is safe for concurrent use.
type health struct {
	mu    sync.Mutex
	peers map[string]*peerHealth
}

// peerHealth is what is known of one address. Times are monotonic.
type peerHealth struct {
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
func (p *health) admit(ctx context.Context, owner string) (done func(error), ok bool) {
	for {
		p.mu.Lock()
		n := p.getLocked(owner)
		wait := n.trying
		switch {
		case n.fresh(n.last):
			p.mu.Unlock()
			return nil, false
		case n.fresh(n.reached):
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

// fresh reports whether what happened at t still counts.
func (n *peerHealth) fresh(t time.Time) bool { return !t.IsZero() && time.Since(t) < healthTTL }

// getLocked returns what is known of owner. A new entry is the moment to forget
// old ones.
func (p *health) getLocked(owner string) *peerHealth {
	if n := p.peers[owner]; n != nil {
		return n
	}
	for address, n := range p.peers {
		if n.trying == nil && !n.fresh(n.reached) && !n.silent() {
			delete(p.peers, address)
		}
	}
	if p.peers == nil {
		p.peers = make(map[string]*peerHealth)
	}
	n := new(peerHealth)
	p.peers[owner] = n
	return n
}

func (n *peerHealth) silent() bool {
	return !n.since.IsZero() && time.Since(n.last) < outageTTL
}

// connected notes what came of connecting. A client that went away meanwhile
// tells nothing, and a refusal is an answer of the host's.
func (p *health) connected(ctx context.Context, owner string, err error) {
	switch {
	case err == nil, errors.Is(err, syscall.ECONNREFUSED):
		p.mu.Lock()
		defer p.mu.Unlock()
		p.getLocked(owner).reached = time.Now()
	case ctx.Err() == nil:
		p.noAnswer(owner, time.Now())
	}
}

// answered notes that owner answered a request.
func (p *health) answered(owner string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.getLocked(owner)
	n.heard, n.since, n.last = time.Now(), time.Time{}, time.Time{}
}

// noAnswer notes that owner did not answer what was begun then. When it has
// answered somebody else since, one session hangs there and not the sidecar.
func (p *health) noAnswer(owner string, began time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.getLocked(owner)
	if n.heard.After(began) {
		return
	}
	if n.last = time.Now(); n.since.IsZero() {
		n.since = n.last
	}
}

// silentFor is SilentFor of a Forwarder.
func (p *health) silentFor(owner string) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := p.peers[owner]; n != nil && n.silent() {
		return time.Since(n.since)
	}
	return 0
}

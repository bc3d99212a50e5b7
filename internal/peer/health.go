package peer

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"time"

	"github.com/wsresilience/wsresilience/internal/admission"
)

// health remembers which sidecars do not answer, so that of a crowd of clients
// that were theirs not each waits for a dead address. The zero value knows of
// none; it is safe for concurrent use.
type health struct {
	mu    sync.Mutex
	peers map[string]*peerHealth
}

// peerHealth is what is known of one address.
type peerHealth struct {
	admission.Contact
	trying chan struct{} // closed when the attempt to connect is over; nil: none
}

// admit lets one caller try to connect while the others wait for what comes
// of it; where a process listens they need not. Without ok the owner could not
// be reached just now, or ctx is over. With it, done must be called with what came
// of connecting.
func (p *health) admit(ctx context.Context, owner string) (done func(error), ok bool) {
	for {
		now := time.Now()
		p.mu.Lock()
		n := p.getLocked(owner)
		wait := n.trying
		switch {
		case n.Down(now):
			p.mu.Unlock()
			return nil, false
		case n.Up(now):
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

// getLocked returns what is known of owner. A new entry is the moment to forget
// old ones.
func (p *health) getLocked(owner string) *peerHealth {
	if n := p.peers[owner]; n != nil {
		return n
	}
	now := time.Now()
	for address, n := range p.peers {
		if n.trying == nil && n.Forgettable(now) {
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

// connected notes what came of connecting. A client that went away meanwhile
// tells nothing, and a refusal is an answer of the host's.
func (p *health) connected(ctx context.Context, owner string, err error) {
	switch {
	case err == nil, errors.Is(err, syscall.ECONNREFUSED):
		p.mu.Lock()
		defer p.mu.Unlock()
		p.getLocked(owner).Connected(time.Now())
	case ctx.Err() == nil:
		p.noAnswer(owner, time.Now())
	}
}

// answered notes that owner answered a request.
func (p *health) answered(owner string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.getLocked(owner).Answered(time.Now())
}

// noAnswer notes that owner did not answer what was begun then.
func (p *health) noAnswer(owner string, began time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.getLocked(owner).Failed(time.Now(), began)
}

// silentFor is SilentFor of a Forwarder.
func (p *health) silentFor(owner string) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := p.peers[owner]; n != nil {
		return n.UnreachableFor(time.Now())
	}
	return 0
}

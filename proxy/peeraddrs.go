package proxy

import (
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/internal/clientaddr"
	"github.com/wsresilience/wsresilience/internal/peer"
)

// Implementation limits of the addresses that are known for sidecars'.
const (
	// provedFor is how long an address counts as a sidecar's since one has proved
	// there that it has the keys, and maxProved how many do. Those of leases count
	// beside them.
	provedFor = time.Hour
	maxProved = 1024
)

// peerAddresses are those from which sidecars came: behind NAT they are others than
// leases say. The zero value is empty; it is safe for concurrent use.
type peerAddresses struct {
	mu     sync.Mutex
	proved map[netip.Addr]time.Time // until when
}

// add takes in that a sidecar has proved itself at a.
func (p *peerAddresses) add(a netip.Addr, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.proved == nil {
		p.proved = map[netip.Addr]time.Time{}
	}
	a = clientaddr.Plain(a)
	if _, ok := p.proved[a]; !ok && len(p.proved) >= maxProved {
		p.forgetLocked(now)
	}
	p.proved[a] = now.Add(provedFor)
}

// forgetLocked removes those whose time is over, or else the one whose time is over
// first.
func (p *peerAddresses) forgetLocked(now time.Time) {
	var first netip.Addr
	for a, until := range p.proved {
		if !until.After(now) {
			delete(p.proved, a)
		} else if !first.IsValid() || until.Before(p.proved[first]) {
			first = a
		}
	}
	if len(p.proved) >= maxProved {
		delete(p.proved, first)
	}
}

// has reports whether a sidecar has proved itself at a within provedFor.
func (p *peerAddresses) has(a netip.Addr, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.proved[clientaddr.Plain(a)].After(now)
}

// knownPeer reports whether a is a sidecar's address: a lease says so, or one has
// proved itself there.
func (s *Server) knownPeer(a netip.Addr) bool {
	return s.cfg.Peers != nil && s.cfg.Peers.At(a) || s.peerAddresses.has(a, time.Now())
}

// peerProved takes in that r is a request that another sidecar has forwarded.
func (s *Server) peerProved(r *http.Request) {
	p, ok := peer.Forwarded(r)
	if !ok {
		return
	}
	if at, err := netip.ParseAddrPort(p.Peer); err == nil {
		s.peerAddresses.add(at.Addr(), time.Now())
	}
}

package proxy

import (
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/clientaddr"
	"github.com/wsresilience/wsresilience/internal/upgrade"
)

// Implementation limits on handshakes under way.
const (
	// handshakeCost is what one holds at most times while the app is asked: its
	// head, its goroutine, buffers for both ends.
	handshakeCost = 32 << 10

	// leastHandshakes may be under way whatever the memory budget.
	leastHandshakes = 256
)

// maxHandshakes is how many handshakes may be under way with a memory budget: a
// quarter of it, since an app that hangs keeps them for as long as it may.
func maxHandshakes(budget int64) int32 {
	if budget <= 0 {
		return 1<<31 - 1
	}
	return int32(min(max(budget/4/handshakeCost, leastHandshakes), 1<<31-1))
}

// A sessionLimit counts sessions, plain connections among them, in all and by the
// address of their client, of IPv6 by its network. It is safe for concurrent use. Whoever holds a
// session's lock may call it.
type sessionLimit struct {
	on atomic.Bool // otherwise nothing is counted

	mu             sync.Mutex
	all, perClient int // 0: any number
	clients        map[netip.Addr]int
	of             map[*sessionDriver]netip.Addr
}

// set changes the limits. Sessions that live while nothing is counted have to be
// told by addLiving.
func (l *sessionLimit) set(all, perClient int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all, l.perClient = all, perClient
	l.on.Store(all > 0 || perClient > 0)
	if l.off() {
		l.of, l.clients = nil, nil
	}
}

func (l *sessionLimit) off() bool { return !l.on.Load() }

// full reports whether a client could have no other session.
func (l *sessionLimit) full(client netip.Addr) bool {
	if l.off() {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fullLocked(clientaddr.Network(client))
}

func (l *sessionLimit) fullLocked(client netip.Addr) bool {
	return l.all > 0 && len(l.of) >= l.all || l.perClient > 0 && l.clients[client] >= l.perClient
}

// add counts a session. It fails when there are too many, unless it is one that
// lived before.
func (l *sessionLimit) add(c *sessionDriver, client netip.Addr, lived bool) bool {
	if l.off() {
		return true
	}
	client = clientaddr.Network(client)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !lived && l.fullLocked(client) {
		return false
	}
	l.countLocked(c, client)
	return true
}

// unknownClient is that of a session which began while nothing was counted: it
// counts in all, and for nobody. No client has this address.
var unknownClient = netip.IPv6Unspecified()

// addLiving counts a session that lives, if it is not counted. The caller holds its
// lock, so that it does not end meanwhile.
func (l *sessionLimit) addLiving(c *sessionDriver) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.countLocked(c, unknownClient)
}

func (l *sessionLimit) countLocked(c *sessionDriver, client netip.Addr) {
	if l.off() {
		return
	}
	if l.of == nil {
		l.of, l.clients = map[*sessionDriver]netip.Addr{}, map[netip.Addr]int{}
	}
	if _, counted := l.of[c]; !counted {
		l.of[c] = client
		l.clients[client]++
	}
}

// remove forgets a session, if it was counted.
func (l *sessionLimit) remove(c *sessionDriver) {
	if l.off() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	client, ok := l.of[c]
	if !ok {
		return
	}
	delete(l.of, c)
	if l.clients[client]--; l.clients[client] == 0 {
		delete(l.clients, client)
	}
}

var tooManySessions = upgrade.Refusal{Status: 503, Reason: "too many sessions", Label: event.RefusedSessions}

// refusesNew says why nothing new is begun for a client now, or nil: those that
// are there come first.
func (s *Server) refusesNew(client netip.Addr) *upgrade.Refusal {
	switch {
	case s.scarce():
		s.evictSoon()
		return &upgrade.Refusal{Status: 503, Reason: "out of session memory", Label: event.RefusedMemory}
	case s.handshakes.Load() > maxHandshakes(s.pool.Budget()):
		return &upgrade.Refusal{Status: 503, Reason: "too many handshakes are under way", Label: event.RefusedHandshakes}
	case s.limit.full(client):
		return &tooManySessions
	}
	return nil
}

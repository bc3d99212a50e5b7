package proxy

import (
	"container/list"
	"net"
	"net/http"
	"net/netip"
	"sync"

	"github.com/wsresilience/wsresilience/internal/clientaddr"
)

// maxPeersWaiting bounds connections on the port for other sidecars that have not
// sent a request, or another one: each costs some ten kilobytes, for whoever can
// reach the port. Of the address that has most of them the one that has waited
// longest makes way; a sidecar says what it wants at once. Those of sidecars stay
// while there are others.
const maxPeersWaiting = 1024

// A peerRoom knows the connections of the port for other sidecars that wait for a
// request. With known set it is ready; it is safe for concurrent use.
type peerRoom struct {
	known func(netip.Addr) bool // whether an address is a sidecar's

	mu    sync.Mutex
	lines map[netip.Addr]*peerLine
	at    map[net.Conn]waitingPeer
}

// A peerLine has the connections of one address that wait.
type peerLine struct {
	source  netip.Addr
	waiting list.List // of net.Conn, the first has waited longest
}

// A waitingPeer is a connection's place.
type waitingPeer struct {
	line *peerLine
	at   *list.Element
}

// state is http.Server.ConnState.
func (r *peerRoom) state(c net.Conn, s http.ConnState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.removeLocked(c)
	if s != http.StateNew && s != http.StateIdle {
		return
	}
	r.addLocked(c)
	if len(r.at) <= maxPeersWaiting {
		return
	}
	oldest := r.longestLocked().waiting.Front().Value.(net.Conn)
	r.removeLocked(oldest)
	go oldest.Close() // TLS says good-bye, which may take a while
}

func (r *peerRoom) addLocked(c net.Conn) {
	if r.at == nil {
		r.at, r.lines = map[net.Conn]waitingPeer{}, map[netip.Addr]*peerLine{}
	}
	source := r.sourceOf(c)
	line := r.lines[source]
	if line == nil {
		line = &peerLine{source: source}
		r.lines[source] = line
	}
	r.at[c] = waitingPeer{line, line.waiting.PushBack(c)}
}

func (r *peerRoom) removeLocked(c net.Conn) {
	w, ok := r.at[c]
	if !ok {
		return
	}
	delete(r.at, c)
	if w.line.waiting.Remove(w.at); w.line.waiting.Len() == 0 {
		delete(r.lines, w.line.source)
	}
}

// longestLocked returns the line that one has to leave: the longest of those that
// are no sidecars', or else of all.
func (r *peerRoom) longestLocked() (longest *peerLine) {
	known := false
	for source, line := range r.lines {
		k := r.known(source)
		if longest == nil || known && !k || known == k && line.waiting.Len() > longest.waiting.Len() {
			longest, known = line, k
		}
	}
	return longest
}

// sourceOf is who has a connection: a sidecar, or a network.
func (r *peerRoom) sourceOf(c net.Conn) netip.Addr {
	at, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	if a := clientaddr.Plain(at.Addr()); r.known(a) {
		return a
	}
	return clientaddr.Network(at.Addr())
}

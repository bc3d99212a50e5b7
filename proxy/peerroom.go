package proxy

import (
	"container/list"
	"net"
	"net/http"
	"sync"
)

// maxPeersWaiting bounds connections on the port for other sidecars that have not
// sent a request, or another one: each costs some ten kilobytes, for whoever can
// reach the port. Those that have waited longest make way; a sidecar says what it
// wants at once.
const maxPeersWaiting = 1024

// A peerRoom knows the connections of the port for other sidecars that wait for a
// request. The zero value is ready; it is safe for concurrent use.
type peerRoom struct {
	mu      sync.Mutex
	waiting list.List // of net.Conn, the first has waited longest
	at      map[net.Conn]*list.Element
}

// state is http.Server.ConnState.
func (r *peerRoom) state(c net.Conn, s http.ConnState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.at[c]; e != nil {
		r.waiting.Remove(e)
		delete(r.at, c)
	}
	if s != http.StateNew && s != http.StateIdle {
		return
	}
	if r.at == nil {
		r.at = map[net.Conn]*list.Element{}
	}
	r.at[c] = r.waiting.PushBack(c)
	if r.waiting.Len() <= maxPeersWaiting {
		return
	}
	e := r.waiting.Front()
	oldest := r.waiting.Remove(e).(net.Conn)
	delete(r.at, oldest)
	go oldest.Close() // TLS says good-bye, which may take a while
}

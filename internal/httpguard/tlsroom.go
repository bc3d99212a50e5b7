package httpguard

import (
	"container/list"
	"sync"
	"time"
)

// A tlsRoom is what handshakes keep beyond what is free to each, and which of them
// compute: a handshake takes a thousand times as long as a message, and sessions
// that live are to have a processor meanwhile.
type tlsRoom struct {
	Handshakes
	known, others turns

	mu    sync.Mutex
	used  int64
	turns list.List // of *tlsTurn, the first has been there longest
}

type tlsTurn struct {
	m     *tlsMeter
	since time.Time
}

// hold makes what m keeps n bytes, and reports whether it may. Others that have been
// there for long make way. The caller holds m.mu.
func (r *tlsRoom) hold(m *tlsMeter, n int64) bool {
	if n <= 0 {
		return true
	}
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	most := r.Memory.Limit() / handshakeShare
	for n > m.held && most > 0 && r.used+n-m.held > most {
		first := r.turns.Front()
		if first == nil {
			break // a budget as small as this lets one through
		}
		t := first.Value.(*tlsTurn)
		if t.m == m || now.Sub(t.since) < handshakeLeast {
			return false
		}
		r.dropLocked(t.m)
		go t.m.makeWay()
	}
	if m.turn == nil {
		m.turn = r.turns.PushBack(&tlsTurn{m, now})
	}
	r.used += n - m.held
	r.Memory.Charge(n - m.held)
	m.held = n
	return true
}

func (r *tlsRoom) release(m *tlsMeter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dropLocked(m)
}

func (r *tlsRoom) dropLocked(m *tlsMeter) {
	if m.turn == nil {
		return
	}
	r.turns.Remove(m.turn)
	r.used -= m.held
	r.Memory.Charge(-m.held)
	m.turn, m.held = nil, 0
}

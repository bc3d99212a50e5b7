package proxy

import (
	"bytes"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/wire"
)

// moveGrace is how long the connection of a client is kept whose session was
// handed over: the client uses it until it has the WELCOME of the next owner,
// who loads the session and dials the app meanwhile, and then closes it.
const moveGrace = 2 * time.Second

// movedConns are such connections. The zero value has none; it is safe for
// concurrent use.
type movedConns struct {
	mu   sync.Mutex
	legs map[*leg]chan struct{} // closed when the client has closed it
}

func (m *movedConns) add(l *leg) (gone chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.legs == nil {
		m.legs = make(map[*leg]chan struct{})
	}
	gone = make(chan struct{})
	m.legs[l] = gone
	return gone
}

// gone notes that the connection has ended, if it is one of them.
func (m *movedConns) gone(l *leg) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if gone := m.legs[l]; gone != nil {
		delete(m.legs, l)
		close(gone)
	}
}

// take forgets the connection, and reports whether it is still there.
func (m *movedConns) take(l *leg) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.legs[l]
	delete(m.legs, l)
	return ok
}

// closeMovedLocked closes the connection of a client whose session goes on elsewhere,
// when the client has left it, or with the last frames after moveGrace. A client that
// has not come elsewhere yet is asked to. The caller holds the lock.
func (l *leg) closeMovedLocked(last []byte, moves bool) {
	if !moves && !l.askToMove() {
		l.close(last)
		return
	}
	last = bytes.Clone(last)
	gone := l.c.srv.moved.add(l)
	l.c.srv.work.Go(func() {
		grace := time.NewTimer(moveGrace)
		defer grace.Stop()
		select {
		case <-gone:
			return
		case <-grace.C:
		}
		l.c.enter()
		defer l.c.leave()
		if l.c.srv.moved.take(l) {
			l.close(last)
		}
	})
}

// askToMove writes GOAWAY, and reports whether it went out whole.
func (l *leg) askToMove() bool {
	ask := frame.Append(nil, ws.Header{Fin: true, OpCode: ws.OpBinary}, wire.AppendGoAway(nil, wire.GoAwayDraining, 0))
	return l.t.Write([][]byte{ask}) == len(ask)
}

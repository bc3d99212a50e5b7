package proxy

import (
	"iter"
	"runtime"
	"time"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/snapshot"
	"github.com/wsresilience/wsresilience/wire"
)

// A SessionView is what an operator may see of a session, or of a plain
// connection, at a moment (I9). It is a copy.
type SessionView struct {
	ID      wire.SessionID
	Kind    event.ClientKind
	Owner   string         // the sidecar that holds its app socket
	Began   time.Time      // when the handshake came that began it here
	Subject *event.Subject // whose it is
	Link    LinkView

	// What the machine says. Of a plain connection only Phase, Attached and
	// Counters mean something.
	session.View
}

// Resilient reports whether it is a session, and no plain connection.
func (v *SessionView) Resilient() bool { return v.Kind == event.Resilient }

// A LinkView is what heartbeats tell of the way to the client.
type LinkView struct {
	State     heartbeat.State
	RTT       time.Duration // smoothed; 0: not measured yet
	Deviation time.Duration // of the latest round trips
	Loss      float64       // share of the latest heartbeats without an answer in time, 0 to 1
	Interval  time.Duration // between heartbeats now
}

// viewsAtOnce is how many sessions are looked at before others have their turn at
// the processor: some 100 µs.
const viewsAtOnce = 256

// Views yields what may be seen of each session and plain connection that lives
// here, in no order. It holds the lock of one session at a time, and no other
// while it yields.
func (s *Server) Views() iter.Seq[SessionView] {
	return func(yield func(SessionView) bool) {
		for i, c := range s.sessions.all() {
			if v, ok := c.view(); ok && !yield(v) {
				return
			}
			if i%viewsAtOnce == viewsAtOnce-1 {
				runtime.Gosched()
			}
		}
	}
}

// View returns what may be seen of one session or plain connection, with what a
// fresh app socket of the session would hear first, without payloads. It returns
// false if it is not here.
func (s *Server) View(id wire.SessionID) (v SessionView, context snapshot.View, ok bool) {
	c := s.sessions.named(id)
	if c == nil {
		return v, context, false
	}
	if v, ok = c.view(); !ok {
		return v, context, false
	}
	return v, c.context(), true
}

// Appending returns how many records are on their way to the journal, and how many
// bytes they hold.
func (s *Server) Appending() (records int, bytes int64) {
	return s.appends.load()
}

func (c *sessionDriver) view() (v SessionView, ok bool) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return v, false
	}
	v = SessionView{ID: c.id, Owner: c.srv.cfg.Advertise, Began: c.born.Time(), Subject: c.subject, Link: linkView(c.m.Link())}
	if m, ok := c.m.(*session.Session); ok {
		v.Kind, v.View = event.Resilient, m.View(now)
		return v, true
	}
	v.Kind, v.View = event.Plain, session.View{Phase: session.PhaseAttached, Attached: c.client != nil, Counters: *c.m.Counters()}
	return v, true
}

func linkView(m *heartbeat.Monitor) LinkView {
	v := LinkView{State: m.State(), Loss: m.Loss(), Interval: m.Interval()}
	v.RTT, v.Deviation = m.RTT()
	return v
}

// context is the zero View where nothing is kept.
func (c *sessionDriver) context() (v snapshot.View) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m, ok := c.m.(*session.Session); ok {
		v, _ = m.Context()
	}
	return v
}

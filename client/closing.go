package client

import (
	"fmt"
	"net"
	"time"

	"github.com/wsresilience/wsresilience/wire"
)

// closing is how the session comes to its end (PROTOCOL §7).
type closing struct {
	local  bool // this program closed
	remote bool // the app did, or a peer without a sidecar
	code   uint16
	reason string    // with code: what the side that closed first said
	by     time.Time // when waiting ends; zero is never
	failed error     // what Close returns, if not nil
}

func (c *closing) begun() bool { return c.local || c.remote }

func (c *closing) byRemote(code uint16, reason string) {
	if !c.begun() {
		c.code, c.reason = code, reason
	}
	c.remote = true
}

// over is what Read and Write return once nothing more can come or go.
func (m *machine) over() error {
	switch {
	case m.err != nil:
		return m.err
	case m.closing.begun():
		return m.closing.err()
	}
	return nil
}

// err is what Read and Write return from then on.
func (c *closing) err() error {
	e := &CloseError{Code: int(c.code), Reason: c.reason, Remote: !c.local}
	if c.local {
		e.cause = net.ErrClosed
	}
	return e
}

// close begins the end by this program. Whatever has not been read will not
// be, so it is acknowledged: it must not keep the answer from coming.
func (m *machine) close(now time.Time, code uint16, reason string) {
	if m.err != nil || m.closing.local {
		return
	}
	if !m.closing.remote {
		m.closing.code, m.closing.reason = code, reason
	}
	m.closing.local = true
	m.closing.by = now.Add(closeWait)
	m.in.discard(now)
	m.setState(StateClosing)
}

// closed takes CLOSE.
func (m *machine) closed(now time.Time, g *leg, code uint16, reason string) {
	if m.closing.local && g.closeSent {
		// Both have spoken, and all data came before.
		m.closing.remote = true
		m.end(m.closing.err())
		return
	}
	m.closing.byRemote(code, reason)
	m.setState(StateClosing)
	if m.closing.by.IsZero() && g.closeSent {
		m.closing.by = now.Add(closeWait)
	}
}

// closeDue tells that CLOSE is to be sent: because this program closed, now
// that all data was sent, or as the answer once it has read what came before.
// Then nobody reads any more what waits in the outbox, and the window would
// not open for it.
func (m *machine) closeDue(g *leg) bool {
	return g.welcomed && !g.closeSent && !m.midMessage(g) &&
		(m.closing.local && m.out.idle() || m.closing.remote && m.in.empty())
}

// sayClose appends CLOSE, or without a sidecar the close frame.
func (m *machine) sayClose(now time.Time, g *leg, dst []byte) []byte {
	g.closeSent = true
	if m.bare {
		return m.closeFrame(dst, &wire.CloseError{Code: m.closing.code, Reason: m.closing.reason})
	}
	if m.closing.by.IsZero() {
		// The sidecar now closes the connection; if it breaks before that, a
		// resume delivers our answer again.
		m.closing.by = now.Add(closeWait)
	}
	return m.own(dst, wire.AppendClose(nil, m.closing.code, m.closing.reason))
}

// closeTimeout is the end of waiting for the other side.
func (m *machine) closeTimeout() {
	if m.closing.local {
		m.closing.failed = fmt.Errorf("client: close: %v: %w", closeWait, ErrCloseTimeout)
	}
	m.end(m.closing.err())
}

// abandon ends the session at once. The sidecar is told, if the connection
// takes it, so that it need not keep the session for its time to live.
func (m *machine) abandon(code uint16, reason string) {
	if m.err != nil {
		return
	}
	if !m.closing.begun() {
		m.closing.code, m.closing.reason = code, reason
	}
	m.closing.local = true
	if m.bare {
		m.endWith(m.closing.err(), code)
		return
	}
	if g := m.leg; g != nil && g.welcomed && !g.closeSent && !m.midMessage(g) {
		g.parting = m.own(g.parting, wire.AppendClose(nil, m.closing.code, m.closing.reason))
	}
	m.end(m.closing.err())
}

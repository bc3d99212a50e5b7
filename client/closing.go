package client

import (
	"fmt"
	"net"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/wire"
)

// closing is the state of the session's close (PROTOCOL §7).
type closing struct {
	local    bool // this program closed
	remote   bool // the app did, or a peer without a sidecar
	code     ws.StatusCode
	reason   string    // with code: what the side that closed first said
	deadline time.Time // when waiting for the other side ends; zero is never
	failed   error     // what Close returns, if not nil
	retried  bool      // an attempt to resume that was stuck has been given up for the close
}

func (c *closing) started() bool { return c.local || c.remote }

func (c *closing) byRemote(code ws.StatusCode, reason string) {
	if !c.started() {
		c.code, c.reason = code, reason
	}
	c.remote = true
}

// over returns what Read and Write return once the session has ended or is
// closing, and nil before.
func (m *machine) over() error {
	switch {
	case m.err != nil:
		return m.err
	case m.closing.started():
		return m.closing.err()
	}
	return nil
}

// err returns the error of Read and Write from the first close on.
func (c *closing) err() error {
	e := &CloseError{Code: int(c.code), Reason: c.reason, Remote: !c.local}
	if c.local {
		e.cause = net.ErrClosed
	}
	return e
}

// close starts the close by this program. Messages that have not been read
// will not be, so they are acknowledged: otherwise the sidecar's window could
// stay full, and the answer to CLOSE behind it.
func (m *machine) close(now time.Time, code ws.StatusCode, reason string) {
	if m.err != nil || m.closing.local {
		return
	}
	if !m.closing.remote {
		m.closing.code, m.closing.reason = code, reason
	}
	m.closing.local = true
	m.closing.deadline = now.Add(maxCloseWait)
	m.in.discard(now)
	m.setState(StateClosing)
	switch conn := m.current; {
	case m.plain:
	case conn == nil:
		m.tryNow(now) // the wait for the next attempt may be longer than that for the close
	case conn.welcomed: // it may be dead, and the close said to nobody
		m.probe(now, conn, closeProbeWait)
	}
}

// closeReceived handles CLOSE (PROTOCOL §4.7).
func (m *machine) closeReceived(now time.Time, conn *connection, code ws.StatusCode, reason string) {
	if m.closing.local && conn.closeSent {
		// Each side has sent CLOSE, and all data came before.
		m.closing.remote = true
		m.end(m.closing.err())
		return
	}
	m.closing.byRemote(code, reason)
	m.setState(StateClosing)
	if m.closing.deadline.IsZero() && conn.closeSent {
		m.closing.deadline = now.Add(maxCloseWait)
	}
}

// closeDue reports whether CLOSE must be sent now: after this program's close
// once all data was sent, or in answer to the app's once the program has read
// what came before it. In answer, the outbox is not waited for: the app does
// not read any more, and the sidecar's window would not open.
func (m *machine) closeDue(conn *connection) bool {
	return conn.welcomed && !conn.closeSent && !m.midMessage(conn) &&
		(m.closing.local && m.out.idle() && !m.restore.active || m.closing.remote && m.in.empty())
}

// appendClose appends CLOSE, or for a plain connection the close frame.
func (m *machine) appendClose(now time.Time, conn *connection, dst []byte) []byte {
	conn.closeSent = true
	if m.plain {
		return m.appendCloseFrame(dst, &wire.CloseError{Code: m.closing.code, Reason: m.closing.reason})
	}
	if m.closing.deadline.IsZero() {
		// The sidecar closes the connection next. If the connection breaks
		// before that, our answer is sent again after a resume.
		m.closing.deadline = now.Add(maxCloseWait)
	}
	return m.appendControl(dst, wire.AppendClose(nil, m.closing.code, m.closing.reason))
}

// closeTimeout ends the session: the other side has not answered in time.
func (m *machine) closeTimeout() {
	if m.closing.local {
		m.closing.failed = fmt.Errorf("client: close: %v: %w", maxCloseWait, ErrCloseTimeout)
	}
	m.end(m.closing.err())
}

// abandon ends the session at once. CLOSE is sent if the connection can take
// it, so that the sidecar need not keep the session for its time to live.
func (m *machine) abandon(code ws.StatusCode, reason string) {
	if m.err != nil {
		return
	}
	if !m.closing.started() {
		m.closing.code, m.closing.reason = code, reason
	}
	m.closing.local = true
	if m.plain {
		m.endWith(m.closing.err(), code)
		return
	}
	if conn := m.current; conn != nil && conn.welcomed && !conn.closeSent && !m.midMessage(conn) {
		conn.finalBytes = m.appendControl(conn.finalBytes, wire.AppendClose(nil, m.closing.code, m.closing.reason))
	}
	m.end(m.closing.err())
}

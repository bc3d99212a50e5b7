package client

import (
	"time"

	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/wire"
)

// deadline returns when tick must be called; zero is never.
func (m *machine) deadline() time.Time {
	var at time.Time
	sooner := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	if m.err != nil {
		return at
	}
	for _, conn := range [...]*connection{m.current, m.next} {
		if conn != nil && !conn.welcomed {
			sooner(m.welcomeBy(conn))
		}
	}
	if conn := m.current; conn != nil && conn.welcomed && !m.plain {
		if handled := m.in.handled(); !conn.ackDue && seqwindow.LessEq(handled, m.ackLimit(conn)) {
			sooner(m.in.AckDeadline())
		}
		sooner(m.silenceDeadline(conn))
	}
	sooner(m.closing.deadline)
	sooner(m.owed.by)
	sooner(m.closeRetryAt())
	if !m.dial.busy {
		if !m.durable.waiting {
			sooner(m.dial.at)
		}
		sooner(m.expires)
	}
	return at
}

// silenceDeadline returns when the sidecar's silence must be acted upon.
func (m *machine) silenceDeadline(conn *connection) time.Time {
	switch {
	case m.full():
		return time.Time{} // we do not read
	case !conn.answerBy.IsZero():
		return conn.answerBy
	case m.interval == 0:
		return time.Time{} // the sidecar may be silent
	case conn.probed:
		return conn.lastReceived.Add(deadIntervals * m.interval)
	}
	return conn.lastReceived.Add(silentIntervals * m.interval)
}

// maxProbeWait is how long the answer to a probe may take after the network has
// changed: a needless resume costs less than a longer wait.
const maxProbeWait = 2 * time.Second

// closeProbeWait is how long nothing may come once the program has closed, until
// another connection is made: Close does not wait for long.
const closeProbeWait = time.Second

// stuckClose is the age from which an attempt to resume is given up for a new one
// once the program has closed, which waits for maxCloseWait only.
const stuckClose = 500 * time.Millisecond

// closeRetryAt returns when the attempt under way is given up for another one, since
// the program has closed and does not wait long; zero is never.
func (m *machine) closeRetryAt() time.Time {
	if !m.closing.local || m.closing.retried || !m.dial.busy || m.current != nil && m.current.welcomed {
		return time.Time{}
	}
	return m.dial.since.Add(stuckClose)
}

// tick does what is due at now. late is how much later than the deadline that
// is.
func (m *machine) tick(now time.Time, late time.Duration) {
	if m.err != nil {
		return
	}
	if by := m.closing.deadline; !by.IsZero() && !now.Before(by) {
		m.closeTimeout()
		return
	}
	for _, conn := range [...]*connection{m.current, m.next} {
		if conn != nil && !conn.welcomed && !now.Before(m.welcomeBy(conn)) {
			m.welcomeTimeout(now, conn)
		}
	}
	if conn := m.current; conn != nil && conn.welcomed && !m.plain {
		if _, due := m.ackDue(now, conn); due {
			conn.ackDue = true
		}
		m.checkSilence(now, conn, late)
	}
	if at := m.closeRetryAt(); !at.IsZero() && !now.Before(at) {
		m.closing.retried = true
		m.giveUpAttempt(now)
		m.tryNow(now)
	}
	m.tickOutcomes(now)
	m.tickRenewal(now)
	if !m.dial.busy && !m.expires.IsZero() && !now.Before(m.expires) {
		m.lost(LostExpired)
	}
}

// welcomeBy returns when WELCOME must have come. Where it takes longer than
// maxWelcomeWait, the next attempts wait longer.
func (m *machine) welcomeBy(conn *connection) time.Time {
	return conn.since.Add(time.Duration(min(m.unwelcomed, maxUnwelcomed-1)+1) * maxWelcomeWait)
}

// welcomeTimeout handles that no WELCOME came in time: it may be late, so the
// connection never counts as a plain one (PROTOCOL §2.3).
func (m *machine) welcomeTimeout(now time.Time, conn *connection) {
	m.unwelcomed++
	m.violation(now, conn, noWelcome)
}

const noWelcome = "no WELCOME"

// checkSilence probes a silent connection, or gives it up (PROTOCOL §6.2).
func (m *machine) checkSilence(now time.Time, conn *connection, late time.Duration) {
	at := m.silenceDeadline(conn)
	if at.IsZero() || now.Before(at) {
		return
	}
	if late > maxTimerDelay {
		// This process was stopped, and what the sidecar sent meanwhile may
		// wait in the socket: probe before giving up.
		conn.lastReceived = now.Add(-silentIntervals * m.interval)
		conn.probed = false
		if !conn.answerBy.IsZero() {
			conn.answerBy = now.Add(maxProbeWait)
			return
		}
	}
	if m.closing.local && !conn.answerBy.IsZero() {
		// A path that is only slow may bring the answer all the same, so this
		// connection stays until the other one works.
		conn.answerBy = time.Time{}
		m.tryNow(now)
		return
	}
	if !conn.probed && conn.answerBy.IsZero() {
		conn.probed, conn.probeDue = true, true
		return
	}
	m.drop(now, conn, &wire.CloseError{Code: wire.CodeTimeout, Reason: "no heartbeat"}, false)
}

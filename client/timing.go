package client

import (
	"time"

	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/wire"
)

// deadline returns when tick has something to do; zero is never.
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
	for _, g := range [...]*leg{m.leg, m.next} {
		if g != nil && !g.welcomed {
			sooner(g.since.Add(welcomeWait))
		}
	}
	if g := m.leg; g != nil && g.welcomed && !m.bare {
		if handled := m.in.handled(); !g.ackDue && seqwindow.LessEq(handled, m.ackLimit(g)) {
			sooner(m.in.AckDeadline())
		}
		sooner(m.silenceEnds(g))
	}
	sooner(m.closing.by)
	if !m.dial.busy {
		sooner(m.dial.at)
		sooner(m.expires)
	}
	return at
}

// silenceEnds is when the sidecar's silence is to be acted upon.
func (m *machine) silenceEnds(g *leg) time.Time {
	switch {
	case m.interval == 0 || m.full():
		return time.Time{} // it is us who do not listen
	case g.probed:
		return g.heard.Add(deadIntervals * m.interval)
	}
	return g.heard.Add(silentIntervals * m.interval)
}

// tick does what is due. late is by how much the timer missed the deadline.
func (m *machine) tick(now time.Time, late time.Duration) {
	if m.err != nil {
		return
	}
	if by := m.closing.by; !by.IsZero() && !now.Before(by) {
		m.closeTimeout()
		return
	}
	for _, g := range [...]*leg{m.leg, m.next} {
		if g != nil && !g.welcomed && !now.Before(g.since.Add(welcomeWait)) {
			m.unwelcome(now, g)
		}
	}
	if g := m.leg; g != nil && g.welcomed && !m.bare {
		if _, due := m.ackDue(now, g); due {
			g.ackDue = true
		}
		m.listen(now, g, late)
	}
	if !m.dial.busy && !m.expires.IsZero() && !now.Before(m.expires) {
		m.lost(LostExpired)
	}
}

// unwelcome concludes that nobody will say WELCOME.
func (m *machine) unwelcome(now time.Time, g *leg) {
	if g.offer.first {
		m.becomeBare(g, "")
		return
	}
	m.violation(now, g, "no WELCOME")
}

// listen judges the silence of a connection (PROTOCOL §6.2).
func (m *machine) listen(now time.Time, g *leg, late time.Duration) {
	at := m.silenceEnds(g)
	if at.IsZero() || now.Before(at) {
		return
	}
	if late > stallSlack {
		// This process stood still, and what the sidecar said meanwhile may
		// wait in the socket: start over with a probe.
		g.heard = now.Add(-silentIntervals * m.interval)
		g.probed = false
	}
	if !g.probed {
		g.probed, g.probe = true, true
		return
	}
	m.drop(now, g, &wire.CloseError{Code: wire.CodeTimeout, Reason: "no heartbeat"}, false)
}

package client

import (
	"math/rand/v2"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/backoff"
	"github.com/wsresilience/wsresilience/wire"
)

// How long a connection must have lived for the first attempt after its loss
// to be immediate, and for the waits between attempts to be short again. What
// accepts connections and drops them again and again, be it at once or after a
// while, would otherwise be dialled in a loop.
const (
	minConnectionLifetime = time.Second
	stableLifetime        = 3 * time.Second
)

// stuckAttempt is the age from which an attempt to resume may be given up for a
// new one, when something says that the new one may fare better.
const stuckAttempt = 2 * time.Second

// redial schedules the dials of resumes.
type redial struct {
	at    time.Time // of the next attempt; zero is none
	busy  bool      // an attempt is under way: a dial, or its connection before WELCOME
	since time.Time // when the attempt under way began

	changed time.Time // when networkChanged last wanted an attempt
	tried   bool      // an attempt was made since the series began
	bare    int       // answers of servers without a sidecar since one with a sidecar answered
	series  backoff.Backoff

	random   *rand.Rand
	first    time.Duration // within which the first attempt after a loss is made
	settable bool          // the sidecar may say how long waits become
}

func (d *redial) init(cfg *settings, random *rand.Rand) {
	d.random, d.settable = random, !cfg.ownMaxWait
	d.series = backoff.New(cfg.backoff, random.Float64)
}

// asked takes over what the sidecar asks for in WELCOME; zeros leave things as
// they are. A longest wait that the program has chosen stands.
func (d *redial) asked(w *wire.WelcomeMessage) {
	d.first = min(time.Duration(w.RetryFirstMillis)*time.Millisecond, backoff.Longest)
	if d.settable && w.RetryMostMillis != 0 {
		d.series.SetMax(time.Duration(w.RetryMostMillis) * time.Millisecond)
	}
}

// connectionLost schedules a dial after the loss of a connection that lived so
// long; fault is that of machine.drop. alone reports whether nothing suggests
// that other clients lost theirs in this moment (PROTOCOL §4.2).
func (d *redial) connectionLost(now time.Time, lived time.Duration, fault, alone bool) {
	if !fault && lived >= stableLifetime {
		d.reset()
	}
	if d.busy {
		return // the attempt under way may replace it
	}
	d.at = now
	if !alone {
		d.at = now.Add(time.Duration(d.random.Float64() * float64(d.first)))
	}
	if fault || d.tried || lived < minConnectionLifetime {
		d.backOff(now)
	}
	d.tried = true
	d.series.Succeeded() // an attempt did
}

// reset begins the series of waits anew.
func (d *redial) reset() {
	d.series.Reset()
	d.tried = false
}

// backOff schedules the next attempt after a wait, and reports whether there is
// one.
func (d *redial) backOff(now time.Time) bool {
	d.tried = true
	after, ok := d.series.Next()
	d.at = now.Add(after)
	return ok
}

// tryNow makes an attempt now, if none is under way.
func (m *machine) tryNow(now time.Time) {
	if d := &m.dial; !d.busy && m.err == nil {
		d.reset()
		d.at = now
	}
}

// giveUpAttempt ends the attempt under way.
func (m *machine) giveUpAttempt(now time.Time) {
	if conn := m.awaitingWelcome(); conn != nil {
		m.drop(now, conn, &wire.CloseError{Code: ws.StatusNormalClosure}, false)
	}
	m.dial.busy = false
}

// awaitingWelcome returns the connection of the attempt under way, if its
// handshake was answered.
func (m *machine) awaitingWelcome() *connection {
	for _, conn := range [...]*connection{m.next, m.current} {
		if conn != nil && !conn.welcomed {
			return conn
		}
	}
	return nil
}

// networkChanged handles that the network may have changed, or that this process
// stood still: finds out which connection still works.
func (m *machine) networkChanged(now time.Time) {
	switch conn := m.current; {
	case m.plain || m.err != nil || m.token == "":
	case conn == nil || !conn.welcomed:
		if m.dial.busy && now.Sub(m.dial.since) >= stuckAttempt {
			m.giveUpAttempt(now)
		}
		if now.Sub(m.dial.changed) >= backoff.Shortest {
			m.dial.changed = now
			m.tryNow(now)
		}
	default:
		m.probe(now, conn, maxProbeWait)
	}
}

// probe asks the sidecar for an answer, which must come within wait.
func (m *machine) probe(now time.Time, conn *connection, wait time.Duration) {
	conn.probeDue = true
	if by := now.Add(wait); conn.answerBy.IsZero() || by.Before(conn.answerBy) {
		conn.answerBy = by
	}
}

// An offer is what a handshake offers (PROTOCOL §2.1).
type offer struct {
	wire.Offer
	first  bool // no session yet
	renews bool // the session is lost, and another one takes its place
}

// early reports whether data may be sent before WELCOME.
func (o *offer) early() bool { return o.Resume != nil && o.Resume.Next != 0 }

func (m *machine) firstOffer() offer {
	return offer{Offer: wire.Offer{App: m.cfg.protocols, Resilient: true, Adopt: m.cfg.adopt, Keys: m.cfg.keys, Share: m.cfg.share}, first: true}
}

// wantDial reports whether to dial now, and with which offer; attach or
// dialFailed must follow.
func (m *machine) wantDial(now time.Time) (offer, bool) {
	if m.err != nil || m.dial.busy || m.durable.waiting || m.dial.at.IsZero() || now.Before(m.dial.at) {
		return offer{}, false
	}
	m.dial.busy, m.dial.since, m.dial.at = true, now, time.Time{}
	o := m.firstOffer()
	o.first = false
	m.attempts++
	m.saveSoon()
	if m.renewal.active {
		o.renews, m.renewal.tried = true, true
		return o, true
	}
	o.Resume = &wire.Resume{Token: m.token, Received: uint32(m.claim()), Attempt: m.attempts}
	switch {
	case m.current != nil:
		// Data is still sent on the current connection, so the next number is
		// not known before WELCOME.
		m.current.superseding = true
	case m.restore.active: // what restores the app's context goes first (PROTOCOL §8.6)
	case m.durable.unknown: // what was never sent stays so if the session is lost
	case m.out.keyed > 0: // no KEY goes before WELCOME (PROTOCOL §4.12)
	case m.out.oneByOne(): // WELCOME tells whether the refused message arrived after all
	default:
		// PROTOCOL §2.1: 0 means that no data is sent before WELCOME. After a
		// wrap the number itself can be 0, and means the same.
		o.Resume.Next = m.out.next()
	}
	return o, true
}

// dialFailed handles an attempt that did not lead to WELCOME.
func (m *machine) dialFailed(now time.Time) {
	if m.err != nil {
		return
	}
	m.dial.busy = false
	if m.dial.backOff(now) {
		return
	}
	m.dial.at = time.Time{}
	if m.current == nil {
		m.lost(LostAttempts)
	}
}

// maxBare is how many answers in a row without wsr.v1 end a session: while pods
// get or lose their sidecars, some of them have none.
const maxBare = 5

// answeredBare notes that a server without a sidecar answered an attempt, and
// ends the session when there is no sidecar any more (PROTOCOL §2.3).
func (m *machine) answeredBare() {
	if m.dial.bare++; m.dial.bare >= maxBare && m.current == nil {
		m.lost(LostNoSidecar)
	}
}

// retryAfter handles that the server that refused an attempt asks for a longer
// wait. A close does not wait for it.
func (m *machine) retryAfter(d time.Duration) {
	if !m.dial.at.IsZero() && !m.closing.local {
		m.dial.at = m.dial.at.Add(min(d, backoff.Longest))
	}
}

// underWay reports whether o is that of the attempt under way, and not of one
// that was given up.
func (m *machine) underWay(o *offer) bool {
	return m.err == nil && (o.Resume == nil || m.dial.busy && o.Resume.Attempt == m.attempts)
}

// goAway schedules the move to another connection while this one works, at a
// random time within delay, so that all clients do not move at once (PROTOCOL
// §4.6).
func (m *machine) goAway(now time.Time, delay time.Duration) {
	m.events = append(m.events, Event{Kind: EventGoAway, State: m.state})
	m.current.leaving = true
	if !m.dial.busy {
		m.dial.at = now.Add(time.Duration(m.random.Float64() * float64(delay)))
	}
}

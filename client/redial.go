package client

import (
	"math/rand/v2"
	"time"

	"github.com/wsresilience/wsresilience/internal/backoff"
	"github.com/wsresilience/wsresilience/wire"
)

// settled is how long a connection must have lived for its loss to be an
// accident, after which the first attempt is immediate. Somebody who accepts
// and drops us at once would otherwise be dialled in a loop.
const settled = time.Second

// redial decides when to dial again.
type redial struct {
	at     time.Time // the next attempt; zero is none
	busy   bool      // one is under way: a dial, or its connection before WELCOME
	series backoff.Backoff
}

func (d *redial) init(p backoff.Policy, random *rand.Rand) {
	d.series = backoff.New(p, random.Float64)
}

// broken takes the loss of a connection that lived so long.
func (d *redial) broken(now time.Time, lived time.Duration, fault bool) {
	if !fault {
		d.series.Reset()
	}
	if d.busy {
		return // what is under way may become its successor
	}
	d.at = now
	if fault || lived < settled {
		d.wait(now)
	}
}

// wait puts the next attempt off; false means that there is none.
func (d *redial) wait(now time.Time) bool {
	after, ok := d.series.Next()
	d.at = now.Add(after)
	return ok
}

// An offer is what a handshake offers (PROTOCOL §2.1).
type offer struct {
	wire.Offer
	first bool // no session yet
}

// early tells that data may be sent before WELCOME.
func (o *offer) early() bool { return o.Resume != nil && o.Resume.Next != 0 }

func (m *machine) firstOffer() offer {
	return offer{Offer: wire.Offer{App: m.cfg.protocols, Resilient: true, Adopt: m.cfg.adopt}, first: true}
}

// wantDial tells whether to dial now, and with which offer; attach or
// dialFailed must follow.
func (m *machine) wantDial(now time.Time) (offer, bool) {
	if m.err != nil || m.dial.busy || m.dial.at.IsZero() || now.Before(m.dial.at) {
		return offer{}, false
	}
	m.dial.busy, m.dial.at = true, time.Time{}
	o := m.firstOffer()
	o.first = false
	o.Resume = &wire.Resume{Token: m.token, Received: uint32(m.in.claim())}
	if m.leg == nil {
		// After a wrap the number can really be 0; then we wait (PROTOCOL §2.1).
		o.Resume.Next = m.out.next()
	} else {
		// The old connection still carries data, so what comes next is not
		// known before WELCOME.
		m.leg.rival = true
	}
	return o, true
}

// dialFailed takes an attempt that did not lead to WELCOME.
func (m *machine) dialFailed(now time.Time) {
	if m.err != nil {
		return
	}
	m.dial.busy = false
	if m.dial.wait(now) {
		return
	}
	m.dial.at = time.Time{}
	if m.leg == nil {
		m.lost(LostAttempts)
	}
}

// goAway plans the move to another connection while this one works (PROTOCOL
// §4.6).
func (m *machine) goAway(now time.Time, delay time.Duration) {
	m.events = append(m.events, Event{Kind: EventGoAway, State: m.state})
	if !m.dial.busy {
		m.dial.at = now.Add(time.Duration(m.random.Float64() * float64(delay)))
	}
}

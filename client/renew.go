package client

import (
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/wire"
)

// renewal is the way from a session that is lost to another one, in which what was
// not acknowledged is sent again: each message has a key, so that none acts twice
// (PROTOCOL §4.13).
type renewal struct {
	active bool
	tried  bool       // another session was asked for
	done   bool       // the session is another one
	reason LostReason // of the lost session
	status int
}

// begins reports whether another session is about to be asked for.
func (r *renewal) begins() bool { return r.active && !r.tried }

// maxRenewal is how long a session is looked for at least.
const maxRenewal = 5 * time.Minute

// renews reports whether the session that is lost gives way to another one.
func (m *machine) renews(reason LostReason) bool {
	if !m.cfg.renew || m.renewal.active || m.plain || m.closing.started() || m.token == "" {
		return false
	}
	switch reason {
	case LostUnknown, LostToken, LostMessages, LostExpired:
	default:
		return false
	}
	all := true
	m.out.remaining(func(raw []byte, _ bool) {
		if _, _, ok := original(raw); ok { // what was rejected is for nobody
			size, _ := keyFrame(raw)
			all = all && size > 0
		}
	})
	return all
}

// renew gives the session up for another one.
func (m *machine) renew(reason LostReason, status int) {
	m.renewal = renewal{active: true, reason: reason, status: status}
	for _, conn := range [...]*connection{m.current, m.next} {
		if conn != nil {
			m.drop(time.Time{}, conn, &wire.CloseError{Code: ws.StatusNormalClosure}, false)
		}
	}
	m.current, m.next = nil, nil
	m.restore = restore{}
	m.dial.busy, m.dial.at, m.expires = false, time.Time{}, time.Time{}
	m.setState(StateReconnecting)
}

// tickRenewal begins to look for another session.
func (m *machine) tickRenewal(now time.Time) {
	if m.renewal.active && m.current == nil && !m.dial.busy && m.dial.at.IsZero() {
		m.expires = now.Add(max(m.ttl, maxRenewal))
		m.dial.backOff(now)
	}
}

// renewed handles the WELCOME of the other session.
func (m *machine) renewed(now time.Time, conn *connection, w *wire.WelcomeMessage) {
	if w.Status != wire.StatusNew {
		m.violation(now, conn, "WELCOME "+w.Status.String()+" to a new session")
		return
	}
	if w.Options&wire.OptionKeys == 0 {
		m.drop(now, conn, &wire.CloseError{Code: ws.StatusNormalClosure}, false)
		m.lostWith(m.renewal.reason, m.renewal.status)
		return
	}
	m.in.renew(seqwindow.Serial(w.NextOutbound - 1))
	m.durable.received, m.durable.told = m.in.Received(), m.in.Received()
	m.out.renew(seqwindow.Serial(w.InboundAck))
	m.missOutcomes(m.out.acked)
	reason := m.renewal.reason
	m.renewal, m.members = renewal{done: true}, wire.Members{}
	m.dial.busy, m.attempts = false, 0
	m.applyWelcome(now, conn, w)
	m.events = append(m.events, Event{Kind: EventRenewed, State: m.state, Reason: string(reason)})
}

// renew begins a new count, behind what the program has not read yet.
func (b *inbox) renew(received seqwindow.Serial) {
	for i := range b.queue.len() {
		m := b.queue.at(i)
		m.former, m.passed = true, false
		b.queue.set(i, m)
	}
	b.Receiver.Init(received)
	b.claimed = received
}

// renew begins to send what is not acknowledged anew, to a peer that has everything
// up to number acked. Positions stay what they are, in the Store too.
func (o *outbox) renew(acked seqwindow.Serial) {
	if seqwindow.Less(o.former, o.highest) {
		o.former = o.highest
	}
	o.shift = acked - o.acked
	o.highest, o.awaited, o.singly, o.refusal = o.acked, o.acked, o.acked, refusal{}
	if err := o.restart(o.acked); err != nil {
		panic(err) // it has what is not acknowledged
	}
}

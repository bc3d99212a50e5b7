package client

import (
	"time"

	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/wire"
)

// greet takes the first message of a connection: it tells who is there.
func (m *machine) greet(now time.Time, g *leg, typ MessageType, msg []byte) {
	t, ours := wire.TypeOf(msg)
	switch ours = ours && typ == MessageBinary; {
	case ours && t == wire.Welcome:
		w, err := wire.ParseWelcome(msg)
		if err != nil {
			m.violation(now, g, err.Error())
			return
		}
		m.welcome(now, g, w)
	case ours && t == wire.Reset:
		m.reset(now, g, msg)
	case g.offer.first:
		// PROTOCOL §2.3: the connection is an ordinary one, and this is data.
		m.becomeBare(g, "")
		m.data(now, g, typ, msg)
	default:
		m.violation(now, g, "first message is not WELCOME")
	}
}

// welcome takes the first WELCOME of a connection.
func (m *machine) welcome(now time.Time, g *leg, w *wire.WelcomeMessage) {
	if w.Token == "" {
		m.violation(now, g, "WELCOME without a token")
		return
	}
	if g.offer.first {
		if w.Status != wire.StatusNew {
			m.violation(now, g, "WELCOME "+w.Status.String()+" to a new session")
			return
		}
		m.in.init(&m.cfg.ack, seqwindow.Serial(w.NextOutbound-1))
		m.out.init(m.cfg.outbox, seqwindow.Serial(w.InboundAck), announced(w.Window))
		m.welcomed(now, g, w)
		return
	}
	if w.Status == wire.StatusNew {
		m.violation(now, g, "WELCOME new to a resume")
		return
	}
	if seqwindow.Less(seqwindow.Serial(w.Epoch), seqwindow.Serial(m.epoch)) {
		// I5: an owner that was replaced and does not know it yet.
		m.violation(now, g, "WELCOME of an older epoch")
		return
	}
	if w.NextOutbound != g.offer.Resume.Received+1 {
		// PROTOCOL §4.2: its idea of the session is not ours.
		m.violation(now, g, "WELCOME with a wrong position")
		m.lost(LostViolation)
		return
	}
	if w.Reason == wire.AdoptOwnerLost && m.in.Received() != seqwindow.Serial(g.offer.Resume.Received) {
		// What came on the old connection since then has numbers that the new
		// owner may give to others (PROTOCOL §8.3).
		m.lost(LostMessages)
		return
	}
	if !m.position(g, w) {
		m.violation(now, g, "WELCOME with an inbound ack that cannot be")
		return
	}
	m.promote(g)
	m.welcomed(now, g, w)
	e := Event{Kind: EventResumed, State: m.state}
	if w.Status == wire.StatusAdopted {
		e.Kind, e.Reason = EventAdopted, w.Reason.String()
	}
	m.events = append(m.events, e)
}

// promote makes g the connection. What it replaces has been superseded
// (PROTOCOL §8.1), and a message that the old one carries in part is sent anew.
func (m *machine) promote(g *leg) {
	if g == m.next {
		if m.leg != nil {
			m.leg.dead = &wire.CloseError{Code: wire.CodeNormal, Reason: "moved"}
		}
		m.leg, m.next = g, nil
	}
	m.dial.busy = false
}

// position moves the outbox to where WELCOME says the sidecar is.
func (m *machine) position(g *leg, w *wire.WelcomeMessage) bool {
	at := seqwindow.Serial(w.InboundAck) - m.out.shift
	behind := seqwindow.Less(at, m.out.acked)
	switch {
	case behind && (w.Status != wire.StatusAdopted || g.offer.early()):
		return false
	case g.offer.early():
		err := m.out.ack(w.InboundAck)
		return err == nil
	case behind:
		// PROTOCOL §8.3: the journal lacks acknowledgements that we have, and
		// the new owner counts our outbox from its own position.
		m.out.shift = seqwindow.Serial(w.InboundAck) - m.out.acked
		at = m.out.acked
	}
	return m.out.restart(at) == nil
}

// welcomed notes what every WELCOME tells.
func (m *machine) welcomed(now time.Time, g *leg, w *wire.WelcomeMessage) {
	if !g.welcomed {
		g.welcomed, g.since, g.heard = true, now, now
	}
	g.ackDue = true // PROTOCOL §8.4: it shows that the token has arrived
	g.count = seqwindow.Serial(w.NextOutbound - 1)
	m.expires = time.Time{}
	m.token, m.epoch, m.session, m.subprotocol = w.Token, w.Epoch, w.Session, w.Subprotocol
	m.interval = time.Duration(w.HeartbeatMillis) * time.Millisecond
	m.ttl = time.Duration(w.TTLMillis) * time.Millisecond
	m.maxMessage = announced(w.MaxMessage)
	m.out.limit = announced(w.Window)
	g.messages.Max = m.readLimit()
	if !m.closing.begun() {
		m.setState(StateConnected)
	}
}

func announced(n uint32) int { return int(min(n, unlimited)) }

// again takes a later WELCOME on the same connection: the app's socket is new
// (PROTOCOL §4.2).
func (m *machine) again(now time.Time, g *leg, msg []byte) {
	w, err := wire.ParseWelcome(msg)
	if err != nil {
		m.violation(now, g, err.Error())
		return
	}
	if w.Token == "" || w.Status != wire.StatusAdopted || seqwindow.Serial(w.NextOutbound) != g.count+1 ||
		seqwindow.Less(seqwindow.Serial(w.Epoch), seqwindow.Serial(m.epoch)) {
		m.violation(now, g, "second WELCOME does not continue the connection")
		return
	}
	if err := m.out.ack(w.InboundAck); err != nil {
		m.violation(now, g, err.Error())
		return
	}
	m.welcomed(now, g, w)
	m.events = append(m.events, Event{Kind: EventAdopted, State: m.state, Reason: w.Reason.String()})
}

// reset takes RESET (PROTOCOL §4.8).
func (m *machine) reset(now time.Time, g *leg, msg []byte) {
	reason, err := wire.ParseReset(msg)
	if err != nil {
		m.violation(now, g, err.Error())
		return
	}
	// While the old connection works, a refusal of its successor is not the
	// end; the last word is had when it is gone.
	old := m.leg != nil && g == m.next
	m.drop(now, g, &wire.CloseError{Code: wire.CodeReset, Reason: reason.String(), Remote: true}, false)
	if why, over := lostReasons[reason]; over && !old {
		m.lost(why)
	}
}

package client

import (
	"strconv"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/wire"
)

// firstMessage handles the first message of a connection, which shows whether
// there is a sidecar.
func (m *machine) firstMessage(now time.Time, conn *connection, typ MessageType, msg []byte) {
	t, ours := wire.TypeOf(msg)
	if ours = ours && typ == MessageBinary; ours {
		m.dial.bare, m.unwelcomed = 0, 0
	}
	switch {
	case ours && t == wire.Welcome:
		w, err := m.parseWelcome(msg)
		if err != nil {
			m.violation(now, conn, err.Error())
			return
		}
		m.welcome(now, conn, w)
	case ours && t == wire.Reset:
		m.reset(now, conn, msg)
	case conn.offer.first && !ours:
		// PROTOCOL §2.3: the connection is a plain one, and this is data.
		m.becomePlain(conn, "")
		m.data(now, conn, typ, msg)
	default:
		m.violation(now, conn, "first message is not WELCOME")
		if !ours { // it selects whatever is offered
			m.answeredBare()
		}
	}
}

// welcome handles the first WELCOME of a connection (PROTOCOL §4.2).
func (m *machine) welcome(now time.Time, conn *connection, w *wire.WelcomeMessage) {
	if w.Token == "" {
		m.violation(now, conn, "WELCOME without a token")
		return
	}
	if conn.offer.first {
		if w.Status != wire.StatusNew {
			m.violation(now, conn, "WELCOME "+w.Status.String()+" to a new session")
			return
		}
		m.in.init(&m.cfg.ack, seqwindow.Serial(w.NextOutbound-1))
		m.durable.received = m.in.Received()
		m.out.init(m.cfg.outbox, seqwindow.Serial(w.InboundAck), announced(w.Window))
		m.applyWelcome(now, conn, w)
		return
	}
	if conn.offer.renews {
		m.renewed(now, conn, w)
		return
	}
	if w.Status == wire.StatusNew {
		m.violation(now, conn, "WELCOME new to a resume")
		return
	}
	if seqwindow.Less(seqwindow.Serial(w.Epoch), seqwindow.Serial(m.epoch)) {
		// I5: it comes from an owner that was replaced and does not know it yet.
		m.violation(now, conn, "WELCOME of an older epoch")
		return
	}
	if w.NextOutbound != conn.offer.Resume.Received+1 {
		// PROTOCOL §4.2: the sidecar's state of the session is not ours.
		m.violation(now, conn, "WELCOME with a wrong position")
		m.lost(LostViolation)
		return
	}
	if w.Reason == wire.AdoptOwnerLost && m.in.Received() != seqwindow.Serial(conn.offer.Resume.Received) {
		// PROTOCOL §8.3: the new owner may give the numbers of what came on the
		// old connection since then to other messages.
		m.lost(LostMessages)
		return
	}
	if !m.reposition(conn, w) {
		m.violation(now, conn, "WELCOME with an inbound ack that cannot be")
		return
	}
	var away time.Duration
	if !m.expires.IsZero() {
		away = now.Sub(m.lostAt)
	}
	m.promote(conn)
	m.applyWelcome(now, conn, w)
	if w.Status != wire.StatusAdopted {
		m.restore.active, m.restore.conn = false, nil // the sidecar waits for nothing
		m.confirmRestored(conn)
	}
	e := Event{Kind: EventResumed, State: m.state, Away: away}
	if w.Status == wire.StatusAdopted {
		e.Kind, e.Reason = EventAdopted, w.Reason.String()
		m.adopted(conn)
	}
	if w.Reason == wire.AdoptOwnerLost {
		m.durable.told = m.durable.received
		m.oweOutcomes(now)
	}
	m.events = append(m.events, e)
	m.reject()
	m.unkey()
}

// reject sets the message aside that ended two connections (PROTOCOL §9.1).
func (m *machine) reject() {
	raw, code := m.out.reject(m.appendControl(nil, wire.AppendSkipped(nil)))
	if raw == nil {
		return
	}
	m.rejectOutcome(m.out.window.Acked() + 1)
	if m.durable.on {
		m.durable.rejected = append(m.durable.rejected, m.out.window.Acked()+1)
	}
	typ, p, _ := original(raw)
	m.events = append(m.events, Event{
		Kind: EventRejected, State: m.state, Reason: strconv.Itoa(int(code)),
		Rejected: &RejectedMessage{Type: typ, Data: p, Code: int(code)},
	})
}

// promote makes conn the current connection. The one that it replaces has been
// superseded (PROTOCOL §8.1), and a message that was sent there in part is sent
// again.
func (m *machine) promote(conn *connection) {
	if conn == m.next {
		if m.current != nil {
			m.current.closed = &wire.CloseError{Code: ws.StatusNormalClosure, Reason: "moved"}
		}
		m.current, m.next = conn, nil
	}
	m.dial.busy = false
}

// reposition moves the outbox to the sidecar's position, and reports whether
// that position is possible.
func (m *machine) reposition(conn *connection, w *wire.WelcomeMessage) bool {
	at := seqwindow.Serial(w.InboundAck) - m.out.shift
	behind := seqwindow.Less(at, m.out.acked)
	switch {
	case behind && (w.Status != wire.StatusAdopted || conn.offer.early()):
		return false
	case conn.offer.early():
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

// applyWelcome takes over the fields of a WELCOME.
func (m *machine) applyWelcome(now time.Time, conn *connection, w *wire.WelcomeMessage) {
	if !conn.welcomed {
		conn.welcomed, conn.since, conn.lastReceived = true, now, now
	}
	conn.ackDue = true // PROTOCOL §8.4: it confirms the token
	m.durable.waiting, m.durable.due = m.durable.on, m.durable.on
	conn.lastSeq = seqwindow.Serial(w.NextOutbound - 1)
	m.expires = time.Time{}
	m.token, m.epoch, m.session, m.subprotocol = w.Token, w.Epoch, w.Session, w.Subprotocol
	m.interval = time.Duration(w.HeartbeatMillis) * time.Millisecond
	m.ttl = time.Duration(w.TTLMillis) * time.Millisecond
	m.maxMessage = announced(w.MaxMessage)
	m.out.limit = announced(w.Window)
	conn.probeDue = conn.probeDue || m.cfg.share // the sidecar hears of our clock (PROTOCOL §2.1)
	m.takesKeys = w.Options&wire.OptionKeys != 0
	m.dial.asked(w)
	conn.messages.Max = m.readLimit()
	if !m.closing.started() {
		m.setState(StateConnected)
	}
}

// parseWelcome reads WELCOME, with options if they were asked for.
func (m *machine) parseWelcome(msg []byte) (*wire.WelcomeMessage, error) {
	if m.cfg.keys || m.cfg.share {
		return wire.ParseWelcomeOptions(msg)
	}
	return wire.ParseWelcome(msg)
}

func announced(n uint32) int { return int(min(n, unlimited)) }

// laterWelcome handles another WELCOME on a connection: the app's socket is new
// (PROTOCOL §4.2).
func (m *machine) laterWelcome(now time.Time, conn *connection, msg []byte) {
	w, err := m.parseWelcome(msg)
	if err != nil {
		m.violation(now, conn, err.Error())
		return
	}
	if w.Token == "" || w.Status != wire.StatusAdopted || seqwindow.Serial(w.NextOutbound) != conn.lastSeq+1 ||
		seqwindow.Less(seqwindow.Serial(w.Epoch), seqwindow.Serial(m.epoch)) {
		m.violation(now, conn, "second WELCOME does not continue the connection")
		return
	}
	if err := m.out.ack(w.InboundAck); err != nil {
		m.violation(now, conn, err.Error())
		return
	}
	m.applyWelcome(now, conn, w)
	m.events = append(m.events, Event{Kind: EventAdopted, State: m.state, Reason: w.Reason.String()})
	m.adopted(conn)
}

// reset handles RESET (PROTOCOL §4.8).
func (m *machine) reset(now time.Time, conn *connection, msg []byte) {
	reason, status, err := wire.ParseReset(msg)
	if err != nil {
		m.violation(now, conn, err.Error())
		return
	}
	// While the current connection works, a refusal of the next one does not
	// end the session; but the app's refusal has ended it, and so may a
	// close whose answer did not come.
	stillConnected := m.current != nil && conn == m.next && status == 0 && (!m.closing.local || m.out.unacked() > 0)
	m.drop(now, conn, &wire.CloseError{Code: wire.CodeReset, Reason: reason.String(), Remote: true}, false)
	if why, over := lostReasons[reason]; over && !stillConnected {
		m.lostWith(why, int(status))
	}
}

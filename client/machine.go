package client

import (
	"math/rand/v2"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/wire"
)

// Protocol constants.
const (
	// maxWelcomeWait is how long the sidecar may take to send WELCOME on a new
	// connection (PROTOCOL §2.3, §11).
	maxWelcomeWait = 5 * time.Second

	// maxCloseWait is how long the other side may take to answer a CLOSE
	// (PROTOCOL §7, §11).
	maxCloseWait = 5 * time.Second

	// After silentIntervals without a byte from the sidecar a connection is
	// probed with a HEARTBEAT, and after deadIntervals it is given up (PROTOCOL
	// §6.2): the sidecar may have stretched its interval up to three times
	// without saying so.
	silentIntervals = 3
	deadIntervals   = 4
)

// maxTimerDelay is how late our own timer may fire. If it is later, this
// process was stopped, and bytes of the sidecar may wait in the socket.
const maxTimerDelay = 500 * time.Millisecond

// machine is the client's end of wsr.v1, or of a plain WebSocket where there
// is no sidecar. It does no I/O, starts no goroutine and reads no clock.
//
// Its driver feeds it what happens and then performs what is pending, in this
// order: it posts events; writes the finalBytes of connections that are closed
// and closes their sockets; writes to connections that are pending what fill
// returns; dials if wantDial reports so; sets a timer to deadline and calls
// tick when it fires. It is not safe for concurrent use.
type machine struct {
	cfg    settings
	random *rand.Rand // masks and jitter

	state  State
	plain  bool // there is no sidecar
	events []Event
	err    error // why the session is over

	current *connection // nil while detached
	next    *connection // a second one that waits for WELCOME, after GOAWAY (PROTOCOL §4.6)

	out     outbox
	in      inbox
	dial    redial
	closing closing
	restore restore
	renewal renewal
	durable durable

	// From the last WELCOME.
	token       string
	takesKeys   bool
	members     wire.Members // of a shared session
	epoch       uint32
	session     wire.SessionID
	subprotocol string
	interval    time.Duration
	ttl         time.Duration
	maxMessage  int // the largest that the peer accepts

	outcomes []*outcomeWait
	told     int // outcomes, of which somebody waited
	owed     struct {
		to seqwindow.Serial // outcomes of messages up to here may be gone
		by time.Time        // when they are; zero: none is
	}

	// unwelcomed is how many connections in a row ended without WELCOME.
	unwelcomed int

	lostAt   time.Time // when the last connection was lost, while detached
	expires  time.Time // when the session ends, while detached
	attempts uint32    // handshakes that offered a token

	buffers    frame.Buffers
	heartbeats uint32
	scratch    []byte
}

func newMachine(cfg settings, random *rand.Rand) *machine {
	m := &machine{cfg: cfg, random: random, maxMessage: unlimited}
	m.dial.init(&m.cfg, random)
	return m
}

// attach adds a connection whose handshake, with the offer of wantDial or
// firstOffer, was answered with wsr.v1. It returns nil if the session has
// ended, or the attempt was given up.
func (m *machine) attach(now time.Time, o offer) *connection {
	if !m.underWay(&o) {
		return nil
	}
	conn := &connection{offer: o, since: now, lastReceived: now}
	conn.messages.Buffers = &m.buffers
	conn.messages.Max = m.readLimit()
	if m.current != nil {
		m.next = conn
		return conn
	}
	if o.early() {
		if err := m.out.restart(m.out.acked); err != nil {
			panic(err) // acked is never beyond what was sent
		}
	}
	m.current = conn
	return conn
}

// attachPlain adds a connection to a server that does not speak wsr.v1
// (PROTOCOL §2.3).
func (m *machine) attachPlain(now time.Time, subprotocol string) *connection {
	conn := m.attach(now, offer{first: true})
	if conn != nil {
		m.becomePlain(conn, subprotocol)
	}
	return conn
}

func (m *machine) becomePlain(conn *connection, subprotocol string) {
	m.plain, m.subprotocol = true, subprotocol
	m.durable = durable{} // there is no session to keep
	conn.welcomed = true
	m.out.init(m.cfg.outbox, 0, unlimited)
	m.in.init(&m.cfg.ack, 0)
	m.setState(StateConnected)
}

// readLimit returns the largest message that a connection may carry. An escaped
// one is longer than the app's, and control messages must fit in any case.
func (m *machine) readLimit() int { return max(m.dataLimit()+wire.EscapeLen, wire.MaxControl) }

// dataLimit returns the largest message of the app that is accepted.
func (m *machine) dataLimit() int {
	limit := m.cfg.maxMessage
	if limit == 0 {
		limit = DefaultMaxMessage
		if m.token != "" {
			limit = max(limit, min(m.maxMessage, maxAnnounced))
		}
	}
	return limit
}

// drop ends a connection because of ce; CodeAbnormal says that it broke. fault
// reports whether the peer did what it is likely to do again, so that the next
// dial waits.
func (m *machine) drop(now time.Time, conn *connection, ce *wire.CloseError, fault bool) {
	if conn.closed != nil {
		return
	}
	conn.closed = ce
	if conn == m.current && !m.plain && ce.Remote && refuses(ce.Code) {
		m.refused(conn, ce.Code)
	}
	if !m.midMessage(conn) && !(m.plain && conn.closeSent) {
		conn.finalBytes = m.appendCloseFrame(conn.finalBytes, ce)
	}
	conn.messages.Reset()
	m.restoreBroken(conn)
	switch conn {
	case m.next:
		m.next = nil
		m.dialFailed(now)
	case m.current:
		m.current = nil
		m.detached(now, conn, ce, fault)
	}
}

// refuses reports whether a connection that ends with this code may do so because
// of a message (PROTOCOL §9.1).
func refuses(code ws.StatusCode) bool {
	return code == ws.StatusUnsupportedData || code == ws.StatusInvalidFramePayloadData || code == ws.StatusMessageTooBig
}

func (m *machine) detached(now time.Time, conn *connection, ce *wire.CloseError, fault bool) {
	switch {
	case m.err != nil, m.renewal.active && !conn.offer.renews:
	case m.plain && conn.closeSent, conn.closeSent && m.closing.remote && ce.Remote:
		m.end(m.closing.err())
	case m.plain, conn.offer.first && !conn.welcomed:
		m.end(ended(ce, conn.cause))
	case !conn.welcomed:
		m.dialFailed(now)
	default:
		m.lostAt, m.expires = now, now.Add(m.ttl)
		if m.state == StateConnected {
			m.setState(StateReconnecting)
		}
		m.dial.connectionLost(now, now.Sub(conn.since), fault, conn.alone(ce.Code))
	}
}

// broken handles the loss of a connection without a close frame.
func (m *machine) broken(now time.Time, conn *connection, why error) {
	if conn.closed == nil {
		conn.cause = why
	}
	m.drop(now, conn, &wire.CloseError{Code: ws.StatusAbnormalClosure}, false)
}

// violation ends a connection on which the sidecar violated PROTOCOL.
func (m *machine) violation(now time.Time, conn *connection, why string) {
	m.drop(now, conn, &wire.CloseError{Code: wire.CodeViolation, Reason: why}, true)
}

// midMessage reports whether a part of a message was written to conn, so that
// nothing else may follow.
func (m *machine) midMessage(conn *connection) bool {
	return conn == m.current && m.out.window.MidMessage()
}

// end ends the session. What was received stays for Read.
func (m *machine) end(err error) { m.endWith(err, ws.StatusNormalClosure) }

// endWith is end with the code to close the connections with.
func (m *machine) endWith(err error, code ws.StatusCode) {
	if m.err != nil {
		return
	}
	m.err = err
	for _, conn := range [...]*connection{m.current, m.next} {
		if conn != nil {
			m.drop(time.Time{}, conn, &wire.CloseError{Code: code}, false)
		}
	}
	if m.out.sizes.len() > 0 {
		m.out.window.Reset()
		m.out.sizes = fifo[int]{}
	}
	m.setState(StateClosed)
}

// lost ends a session that cannot be resumed. If it was closing and nothing is
// missing, it ends as closed.
func (m *machine) lost(reason LostReason) { m.lostWith(reason, 0) }

// lostWith is lost with the status of an app that refused the client.
func (m *machine) lostWith(reason LostReason, status int) {
	if m.renews(reason) {
		m.renew(reason, status)
		return
	}
	if m.closing.remote || m.closing.local && m.out.unacked() == 0 {
		m.end(m.closing.err())
		return
	}
	err := &SessionLostError{Reason: reason, Status: status}
	m.out.remaining(func(raw []byte, sent bool) {
		_, key := keyFrame(raw)
		if typ, p, ok := original(raw); ok {
			err.Messages = append(err.Messages, UnackedMessage{Type: typ, Data: p, Key: key, Sent: sent})
		}
	})
	err.Unacked = len(err.Messages)
	m.closing.failed = err
	m.end(err)
	m.events = append(m.events, Event{Kind: EventReset, State: m.state, Reason: string(reason)})
}

func (m *machine) setState(s State) {
	if s != m.state {
		m.state = s
		m.events = append(m.events, Event{Kind: EventState, State: s})
	}
}

// full reports whether the connection must not be read until Read makes room.
func (m *machine) full() bool {
	if m.plain {
		// Only pings can wait behind the data of a plain WebSocket, so TCP's
		// flow control may reach the sender early.
		return m.in.bytes >= plainQueue
	}
	return m.in.bytes >= m.cfg.queueBytes
}

// plainQueue is the read-ahead without a sidecar.
const plainQueue = 64 << 10

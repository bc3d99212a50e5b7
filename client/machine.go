package client

import (
	"io"
	"math/rand/v2"
	"time"

	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/wire"
)

// Protocol constants.
const (
	// welcomeWait is how long a new connection may take to say WELCOME
	// (PROTOCOL §2.3, §11).
	welcomeWait = 5 * time.Second

	// closeWait is how long the other side may take to answer a CLOSE
	// (PROTOCOL §7, §11).
	closeWait = 5 * time.Second

	// silentIntervals without a byte from the sidecar make a connection
	// suspect (PROTOCOL §6.2). It is then probed, and given up after
	// deadIntervals: the sidecar may have stretched its interval up to three
	// times without telling.
	silentIntervals = 3
	deadIntervals   = 4
)

// stallSlack is how late our own timer may be before we take it that this
// process was stopped, and that the silence may be ours.
const stallSlack = 500 * time.Millisecond

// machine is the client's end of wsr.v1, and the ordinary WebSocket where
// there is no sidecar. It does no I/O, starts nothing and reads no clock.
//
// Its driver feeds it what happens and then acts on what it wants, in this
// order: events are posted; legs that are dead get their parting bytes and
// are closed; legs that are pending are written to with fill; if wantDial
// says so, a dial is begun; a timer is set to deadline, and tick called when
// it fires. One owner at a time calls it.
type machine struct {
	cfg    settings
	random *rand.Rand // masks and jitter

	state  State
	bare   bool // no sidecar
	events []Event
	err    error // why the session is over

	leg  *leg // the connection; nil while detached
	next *leg // a second one that waits for WELCOME, see GOAWAY

	out     outbox
	in      inbox
	dial    redial
	closing closing

	// What the last WELCOME said.
	token       string
	epoch       uint32
	session     wire.SessionID
	subprotocol string
	interval    time.Duration
	ttl         time.Duration
	maxMessage  int // that the peer takes

	expires time.Time // of the session, while detached

	buffers frame.Buffers
	beats   uint32
	scratch []byte
}

func newMachine(cfg settings, random *rand.Rand) *machine {
	m := &machine{cfg: cfg, random: random, maxMessage: unlimited}
	m.dial.init(cfg.backoff, random)
	return m
}

// attach takes a connection whose handshake, made with the offer of wantDial
// or firstOffer, was answered with wsr.v1. It returns nil if it is not wanted any
// more.
func (m *machine) attach(now time.Time, o offer) *leg {
	if m.err != nil {
		return nil
	}
	g := &leg{offer: o, since: now, heard: now}
	g.messages.Buffers = &m.buffers
	g.messages.Max = m.readLimit()
	if m.leg != nil {
		m.next = g
		return g
	}
	if o.early() {
		if err := m.out.restart(m.out.acked); err != nil {
			panic(err) // acked is never beyond what was sent
		}
	}
	m.leg = g
	return g
}

// attachBare takes a connection to a server that does not speak wsr.v1
// (PROTOCOL §2.3).
func (m *machine) attachBare(now time.Time, subprotocol string) *leg {
	g := m.attach(now, offer{first: true})
	if g != nil {
		m.becomeBare(g, subprotocol)
	}
	return g
}

func (m *machine) becomeBare(g *leg, subprotocol string) {
	m.bare, m.subprotocol = true, subprotocol
	g.welcomed = true
	m.out.init(m.cfg.outbox, 0, unlimited)
	m.in.init(&m.cfg.ack, 0)
	m.setState(StateConnected)
}

// readLimit is what the assembler of a leg is given.
func (m *machine) readLimit() int {
	limit := m.cfg.maxMessage
	if limit == 0 {
		limit = DefaultMaxMessage
		if m.token != "" {
			limit = max(limit, min(m.maxMessage, announcedMax))
		}
	}
	// What is escaped is longer than the application's message, and control
	// messages must fit in any case.
	return max(limit+wire.EscapeLen, wire.MaxControl)
}

// drop ends a connection: because of ce, or because it broke, which is
// CodeAbnormal. fault says that the peer behaved in a way that is likely to
// repeat itself, so that there is no hurry to meet it again.
func (m *machine) drop(now time.Time, g *leg, ce *wire.CloseError, fault bool) {
	if g.dead != nil {
		return
	}
	g.dead = ce
	if !m.midMessage(g) && !(m.bare && g.closeSent) {
		g.parting = m.closeFrame(g.parting, ce)
	}
	g.messages.Reset()
	switch g {
	case m.next:
		m.next = nil
		m.dialFailed(now)
	case m.leg:
		m.leg = nil
		m.detached(now, g, ce, fault)
	}
}

func (m *machine) detached(now time.Time, g *leg, ce *wire.CloseError, fault bool) {
	switch {
	case m.err != nil:
	case m.bare && g.closeSent, g.closeSent && m.closing.remote && ce.Remote:
		m.end(m.closing.err())
	case m.bare, g.offer.first && !g.welcomed:
		m.end(&CloseError{Code: int(ce.Code), Reason: ce.Reason, Remote: ce.Remote, cause: io.ErrUnexpectedEOF})
	case !g.welcomed:
		m.dialFailed(now)
	default:
		m.expires = now.Add(m.ttl)
		if m.state == StateConnected {
			m.setState(StateReconnecting)
		}
		m.dial.broken(now, now.Sub(g.since), fault)
	}
}

// broken takes the end of a connection that nobody announced.
func (m *machine) broken(now time.Time, g *leg, why string) {
	m.drop(now, g, &wire.CloseError{Code: wire.CodeAbnormal, Reason: why}, false)
}

// violation takes a breach of PROTOCOL by the sidecar.
func (m *machine) violation(now time.Time, g *leg, why string) {
	m.drop(now, g, &wire.CloseError{Code: wire.CodeViolation, Reason: why}, true)
}

// midMessage tells that g carries a message in part, so nothing else may
// follow on it.
func (m *machine) midMessage(g *leg) bool { return g == m.leg && m.out.window.MidMessage() }

// end is the end of the session. What was received stays for Read.
func (m *machine) end(err error) { m.endWith(err, wire.CodeNormal) }

// endWith is end with the code that the connection is closed with.
func (m *machine) endWith(err error, code uint16) {
	if m.err != nil {
		return
	}
	m.err = err
	for _, g := range [...]*leg{m.leg, m.next} {
		if g != nil {
			m.drop(time.Time{}, g, &wire.CloseError{Code: code}, false)
		}
	}
	if m.out.sizes.len() > 0 {
		m.out.window.Reset()
		m.out.sizes = fifo[int]{}
	}
	m.setState(StateClosed)
}

// lost ends a session that cannot go on. If it was closed before and nothing
// is missing, then that is the news.
func (m *machine) lost(reason LostReason) {
	if m.closing.remote || m.closing.local && m.out.unacked() == 0 {
		m.end(m.closing.err())
		return
	}
	err := &SessionLostError{Reason: reason, Unacked: m.out.unacked()}
	m.end(err)
	m.events = append(m.events, Event{Kind: EventReset, State: m.state, Reason: string(reason)})
}

func (m *machine) setState(s State) {
	if s != m.state {
		m.state = s
		m.events = append(m.events, Event{Kind: EventState, State: s})
	}
}

// full tells that the connection must not be read until Read has made room.
func (m *machine) full() bool {
	if m.bare {
		// Nothing stands behind the data of an ordinary WebSocket but its
		// pings, so its own flow control is what the sender should feel.
		return m.in.bytes >= bareQueue
	}
	return m.in.bytes >= m.cfg.queueBytes
}

// bareQueue is the read-ahead without a sidecar.
const bareQueue = 64 << 10

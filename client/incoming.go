package client

import (
	"errors"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/wire"
)

// receive handles the messages in conn's input, as far as the queue has room.
func (m *machine) receive(now time.Time, conn *connection) {
	for conn.closed == nil && !m.full() {
		msg, n, ok, err := conn.messages.Next(conn.input.bytes())
		if err != nil {
			m.malformed(now, conn, err)
			return
		}
		if ok {
			m.handle(now, conn, &msg)
		}
		conn.input.consumed(n)
		if !ok {
			return
		}
	}
}

// received handles n bytes that were read into conn's input.
func (m *machine) received(now time.Time, conn *connection, n int) {
	conn.input.added(n)
	conn.lastReceived, conn.probed, conn.answerBy = now, false, time.Time{}
	m.receive(now, conn)
}

// malformed handles bytes that are no WebSocket, or a message above our limit.
func (m *machine) malformed(now time.Time, conn *connection, err error) {
	if !errors.Is(err, frame.ErrTooBig) {
		m.drop(now, conn, &wire.CloseError{Code: ws.StatusProtocolError, Reason: err.Error()}, true)
		return
	}
	if !conn.welcomed {
		m.drop(now, conn, &wire.CloseError{Code: ws.StatusMessageTooBig, Reason: err.Error()}, true)
		return
	}
	m.tooBig()
}

// tooBig ends the session: a resume would bring the same message again.
func (m *machine) tooBig() {
	m.abandon(ws.StatusMessageTooBig, "message above the limit of the client")
}

func (m *machine) handle(now time.Time, conn *connection, msg *frame.Message) {
	p := msg.Payload()
	switch msg.OpCode {
	case ws.OpPing:
		// Only the newest needs an answer (RFC 6455 §5.5.3).
		conn.pong = append(conn.pong[:0:0], p...)
		if conn.pong == nil {
			conn.pong = []byte{}
		}
	case ws.OpPong:
	case ws.OpClose:
		m.closeFrameReceived(now, conn, p)
	case ws.OpText:
		m.message(now, conn, MessageText, p)
	case ws.OpBinary:
		m.message(now, conn, MessageBinary, p)
	}
}

// message handles a whole message: a control message, or the app's.
func (m *machine) message(now time.Time, conn *connection, typ MessageType, p []byte) {
	switch {
	case !conn.welcomed:
		m.firstMessage(now, conn, typ, p)
	case !m.plain && typ == MessageBinary && wire.IsMagic(p):
		m.control(now, conn, p)
	default:
		m.data(now, conn, typ, p)
	}
}

func (m *machine) control(now time.Time, conn *connection, p []byte) {
	var err error
	switch t, _ := wire.TypeOf(p); t {
	case wire.Escaped:
		var orig []byte
		if orig, err = wire.Unescape(p); err == nil {
			m.data(now, conn, MessageBinary, orig)
		}
	case wire.Welcome:
		m.laterWelcome(now, conn, p)
	case wire.Outcome:
		err = m.outcome(now, conn, p)
	case wire.Shared:
		err = m.shared(now, conn, p)
	case wire.Ack:
		var seq uint32
		if seq, err = wire.ParseAck(p); err == nil {
			err = m.acked(conn, seq)
		}
	case wire.Heartbeat, wire.HeartbeatAck:
		var b wire.Beat
		if b, err = wire.ParseBeat(p, t); err == nil {
			err = m.beat(conn, t, &b)
		}
	case wire.GoAway:
		var millis uint32
		if _, millis, err = wire.ParseGoAway(p); err == nil && conn == m.current {
			m.goAway(now, time.Duration(millis)*time.Millisecond)
		}
	case wire.Close:
		var code ws.StatusCode
		var reason string
		if code, reason, err = wire.ParseClose(p); err == nil {
			m.closeReceived(now, conn, code, reason)
		}
	default: // RESET is out of place after WELCOME
		err = errors.New(t.String() + " out of place")
	}
	if err != nil {
		m.violation(now, conn, err.Error())
	}
}

// acked handles an acknowledgement. Nothing is handed to the app, and so none
// comes, before RESTORED (PROTOCOL §8.6).
func (m *machine) acked(conn *connection, seq uint32) error {
	before := m.out.acked
	err := m.out.ack(seq)
	if m.out.acked != before {
		m.confirmRestored(conn)
	}
	return err
}

var errCount = errors.New("client: heartbeat: sent differs from our count")

// beat handles HEARTBEAT and HEARTBEAT_ACK (PROTOCOL §4.4, §4.5).
func (m *machine) beat(conn *connection, t wire.Type, b *wire.Beat) error {
	if seqwindow.Serial(b.Sent) != conn.lastSeq {
		return errCount
	}
	if err := m.acked(conn, b.Ack); err != nil {
		return err
	}
	if t == wire.HeartbeatAck {
		return nil // that something came is enough (received)
	}
	payload, err := heartbeat.ParsePayload(b.Payload[:])
	if err == nil && conn.newestBeat.Accept(payload) == nil {
		conn.heartbeatReply = &b.Payload
	}
	return nil
}

// data handles a message of the app.
func (m *machine) data(now time.Time, conn *connection, typ MessageType, p []byte) {
	if len(p) > m.dataLimit() {
		m.tooBig()
		return
	}
	conn.lastSeq++
	// A duplicate came on an earlier connection. There can be no gap, since
	// WELCOME started this count at ours.
	if m.in.put(now, conn.lastSeq, typ, p) == seqwindow.Gap {
		m.violation(now, conn, "message out of order")
	}
}

// closeFrameReceived handles a close frame. It ends the connection, and of a
// plain one the session (RFC 6455 §5.5.1).
func (m *machine) closeFrameReceived(now time.Time, conn *connection, p []byte) {
	code, reason, err := wire.ParseClosePayload(p)
	if err != nil {
		m.drop(now, conn, err, true)
		return
	}
	ce := &wire.CloseError{Code: code, Reason: reason, Remote: true}
	switch {
	case m.plain:
		m.closing.byRemote(code, reason)
		// The peer may answer a message before its Write has returned.
		_ = m.out.ack(m.out.sent())
		if !conn.closeSent && !m.midMessage(conn) {
			conn.finalBytes, conn.closeSent = m.appendCloseFrame(conn.finalBytes, ce), true
		}
		m.end(m.closing.err())
	case code == wire.CodeSuperseded && conn == m.current && !conn.superseding && conn.welcomed:
		// PROTOCOL §8.1: another holder of the token has the session.
		m.lost(LostSuperseded)
	default:
		fault := code == ws.StatusProtocolError || code == wire.CodeViolation || refuses(code)
		m.drop(now, conn, ce, fault)
	}
}

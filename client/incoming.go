package client

import (
	"encoding/binary"
	"errors"
	"time"
	"unicode/utf8"

	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/wire"
)

// receive works off what g's input holds, as far as the queue has room.
func (m *machine) receive(now time.Time, g *leg) {
	for g.dead == nil && !m.full() {
		msg, n, _, ok, err := g.messages.Next(g.buf.bytes())
		if err != nil {
			m.malformed(now, g, err)
			return
		}
		if ok {
			m.handle(now, g, &msg)
		}
		g.buf.consumed(n)
		if !ok {
			return
		}
	}
}

// received notes that n bytes were read into g's input.
func (m *machine) received(now time.Time, g *leg, n int) {
	g.buf.added(n)
	g.heard, g.probed = now, false
	m.receive(now, g)
}

// malformed takes what is no WebSocket, or a message above our limit.
func (m *machine) malformed(now time.Time, g *leg, err error) {
	if !errors.Is(err, frame.ErrTooBig) {
		m.drop(now, g, &wire.CloseError{Code: wire.CodeProtocol, Reason: err.Error()}, true)
		return
	}
	if !g.welcomed {
		m.drop(now, g, &wire.CloseError{Code: wire.CodeTooBig, Reason: err.Error()}, true)
		return
	}
	// A resume would bring the same message again, so the session ends here.
	m.abandon(wire.CodeTooBig, "message above the limit of the client")
}

func (m *machine) handle(now time.Time, g *leg, msg *frame.Message) {
	p := msg.Payload()
	switch msg.Opcode {
	case frame.Ping:
		// Only the newest needs an answer (RFC 6455 §5.5.3).
		g.pong = append(g.pong[:0:0], p...)
		if g.pong == nil {
			g.pong = []byte{}
		}
	case frame.Pong:
	case frame.Close:
		m.closeCame(now, g, p)
	case frame.Text:
		m.message(now, g, MessageText, p)
	case frame.Binary:
		m.message(now, g, MessageBinary, p)
	}
}

// message takes a whole message: the session's, or the app's.
func (m *machine) message(now time.Time, g *leg, typ MessageType, p []byte) {
	switch {
	case !g.welcomed:
		m.greet(now, g, typ, p)
	case !m.bare && typ == MessageBinary && wire.IsMagic(p):
		m.control(now, g, p)
	default:
		m.data(now, g, typ, p)
	}
}

func (m *machine) control(now time.Time, g *leg, p []byte) {
	var err error
	switch t, _ := wire.TypeOf(p); t {
	case wire.Escaped:
		var orig []byte
		if orig, err = wire.Unescape(p); err == nil {
			m.data(now, g, MessageBinary, orig)
		}
	case wire.Welcome:
		m.again(now, g, p)
	case wire.Ack:
		var seq uint32
		if seq, err = wire.ParseAck(p); err == nil {
			err = m.out.ack(seq)
		}
	case wire.Heartbeat, wire.HeartbeatAck:
		var b wire.Beat
		if b, err = wire.ParseBeat(p, t); err == nil {
			err = m.beat(g, t, &b)
		}
	case wire.GoAway:
		var millis uint32
		if _, millis, err = wire.ParseGoAway(p); err == nil && g == m.leg {
			m.goAway(now, time.Duration(millis)*time.Millisecond)
		}
	case wire.Close:
		var code uint16
		var reason string
		if code, reason, err = wire.ParseClose(p); err == nil {
			m.closed(now, g, code, reason)
		}
	default: // RESET is out of place after WELCOME
		err = errors.New(t.String() + " out of place")
	}
	if err != nil {
		m.violation(now, g, err.Error())
	}
}

var errCount = errors.New("client: heartbeat: sent differs from our count")

// beat takes HEARTBEAT and HEARTBEAT_ACK (PROTOCOL §4.4, §4.5).
func (m *machine) beat(g *leg, t wire.Type, b *wire.Beat) error {
	if seqwindow.Serial(b.Sent) != g.count {
		return errCount
	}
	if err := m.out.ack(b.Ack); err != nil {
		return err
	}
	if t == wire.HeartbeatAck {
		return nil // its bytes were the sign of life
	}
	payload, err := heartbeat.ParsePayload(b.Payload[:])
	if err == nil && g.newest.Accept(payload) == nil {
		g.answer = &b.Payload
	}
	return nil
}

// data takes a message of the app.
func (m *machine) data(now time.Time, g *leg, typ MessageType, p []byte) {
	g.count++
	// A duplicate came on the connection before; a gap cannot be, since
	// WELCOME started this count where ours stood.
	if m.in.put(now, g.count, typ, p) == seqwindow.Gap {
		m.violation(now, g, "message out of order")
	}
}

// closeCame takes a close frame. It ends the connection, and without a sidecar
// the conversation (RFC 6455 §5.5.1).
func (m *machine) closeCame(now time.Time, g *leg, p []byte) {
	code, reason := wire.CodeNoStatus, ""
	if len(p) > 0 {
		code = 0
		if len(p) >= 2 {
			code, reason = binary.BigEndian.Uint16(p), string(p[2:])
		}
		if !wire.ValidFrameCode(code) || !utf8.ValidString(reason) {
			m.drop(now, g, &wire.CloseError{Code: wire.CodeProtocol, Reason: "bad close frame"}, true)
			return
		}
	}
	ce := &wire.CloseError{Code: code, Reason: reason, Remote: true}
	switch {
	case m.bare:
		m.closing.byRemote(code, reason)
		// The peer may answer a message before its writer is back from it.
		_ = m.out.ack(m.out.sent())
		if !g.closeSent && !m.midMessage(g) {
			g.parting, g.closeSent = m.closeFrame(g.parting, ce), true
		}
		m.end(m.closing.err())
	case code == wire.CodeSuperseded && g == m.leg && !g.rival && g.welcomed:
		// PROTOCOL §8.1: another holder of the token has the session.
		m.lost(LostSuperseded)
	default:
		fault := code == wire.CodeProtocol || code == wire.CodeViolation || code == wire.CodeTooBig
		m.drop(now, g, ce, fault)
	}
}

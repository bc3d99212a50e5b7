package client

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/wire"
)

// sidecar is a naive other end of wsr.v1: it keeps all messages for ever and
// finds its place by number. Tests compare what it holds with what was said.
type sidecar struct {
	t testing.TB

	outBase, inBase seqwindow.Serial // seq before the first message
	outbound        []string         // what the app sent
	inbound         []string         // what the app's socket took
	acked           int              // of outbound
	window          uint32
	ttl             uint32
	heartbeat       uint32
	generation      int
	conn            *sidecarConn // the newest connection
	closed          *wire.CloseError
	violations      []string
}

// sidecarConn is one connection; out are its bytes to the client.
type sidecarConn struct {
	s      *sidecar
	in     []byte
	cut    frame.Messages
	count  seqwindow.Serial // last inbound message that came here
	sent   int              // of outbound, here
	out    []byte
	beats  uint32
	closes bool // CLOSE was sent
	ended  bool
}

func newSidecar(t testing.TB) *sidecar {
	return &sidecar{t: t, window: 1 << 20, ttl: 60_000, heartbeat: 5000}
}

// attach answers an offer with WELCOME, and replays.
func (s *sidecar) attach(o wire.Offer) *sidecarConn {
	conn := &sidecarConn{s: s}
	conn.cut = frame.Messages{Rules: frame.Rules{Masked: true}, Max: 1 << 20, Buffers: new(frame.Buffers)}
	w := wire.WelcomeMessage{Epoch: 1}
	conn.count = s.inBase + seqwindow.Serial(len(s.inbound))
	if r := o.Resume; r != nil {
		w.Status = wire.StatusResumed
		received := int(seqwindow.Serial(r.Received) - s.outBase)
		if received < s.acked || received > len(s.outbound) {
			s.t.Errorf("resume claims %d received, acked %d of %d", received, s.acked, len(s.outbound))
		}
		s.acked = received
		if r.Next != 0 {
			if seqwindow.Less(conn.count+1, seqwindow.Serial(r.Next)) {
				s.t.Errorf("resume starts at %d, the app has %d", r.Next, conn.count)
			}
			conn.count = seqwindow.Serial(r.Next) - 1
		}
	}
	conn.sent = s.acked
	s.generation++
	w.InboundAck = uint32(s.inBase) + uint32(len(s.inbound))
	w.NextOutbound = uint32(s.outBase) + uint32(conn.sent) + 1
	w.HeartbeatMillis, w.TTLMillis, w.Window, w.MaxMessage = s.heartbeat, s.ttl, s.window, 1<<20
	w.Token = fmt.Sprintf("token-%d", s.generation)
	conn.control(wire.AppendWelcome(nil, &w))
	if s.conn != nil {
		s.conn.closeFrame(wire.CodeSuperseded)
	}
	s.conn = conn
	conn.replay()
	return conn
}

func (conn *sidecarConn) control(msg []byte) { conn.frame(ws.OpBinary, msg) }

func (conn *sidecarConn) frame(op ws.OpCode, p []byte) {
	if !conn.ended {
		conn.out = frame.Append(conn.out, ws.Header{Fin: true, OpCode: op}, p)
	}
}

func (conn *sidecarConn) closeFrame(code ws.StatusCode) {
	conn.frame(ws.OpClose, binary.BigEndian.AppendUint16(nil, uint16(code)))
	conn.ended = true
}

// say is the app sending a message.
func (s *sidecar) say(msg string) {
	s.outbound = append(s.outbound, msg)
	if s.conn != nil {
		s.conn.replay()
	}
}

func (conn *sidecarConn) replay() {
	for ; conn.sent < len(conn.s.outbound) && !conn.closes; conn.sent++ {
		msg := []byte(conn.s.outbound[conn.sent])
		if wire.IsMagic(msg) {
			msg = append(wire.AppendEscape(nil), msg...)
		}
		conn.frame(ws.OpBinary, msg)
	}
	if c := conn.s.closed; c != nil && !conn.closes {
		conn.closes = true
		conn.control(wire.AppendClose(nil, c.Code, c.Reason))
	}
}

// ack and beat say where the sidecar is.
func (conn *sidecarConn) ack() { conn.control(wire.AppendAck(nil, conn.inboundAck())) }

func (conn *sidecarConn) inboundAck() uint32 {
	return uint32(conn.s.inBase) + uint32(len(conn.s.inbound))
}

// feed takes bytes from the client.
func (conn *sidecarConn) feed(b []byte) {
	conn.in = append(conn.in, b...)
	for !conn.ended {
		msg, n, ok, err := conn.cut.Next(conn.in)
		if err != nil {
			conn.violation(err.Error())
			return
		}
		if ok {
			p := append([]byte(nil), msg.Payload()...)
			frame.Mask(p, msg.Mask, 0)
			conn.take(msg.OpCode, p)
		}
		conn.in = conn.in[n:]
		if !ok {
			return
		}
	}
}

func (conn *sidecarConn) violation(why string) {
	conn.s.violations = append(conn.s.violations, why)
	conn.closeFrame(wire.CodeViolation)
}

func (conn *sidecarConn) take(op ws.OpCode, p []byte) {
	switch {
	case op == ws.OpClose:
		conn.ended = true
	case op == ws.OpPing || op == ws.OpPong:
	case op == ws.OpBinary && wire.IsMagic(p):
		conn.takeControl(p)
	default:
		conn.data(p)
	}
}

func (conn *sidecarConn) data(p []byte) {
	conn.count++
	if conn.count == conn.s.inBase+seqwindow.Serial(len(conn.s.inbound))+1 {
		conn.s.inbound = append(conn.s.inbound, string(p))
	} else if !seqwindow.LessEq(conn.count, conn.s.inBase+seqwindow.Serial(len(conn.s.inbound))) {
		conn.violation("gap in inbound")
	}
}

func (conn *sidecarConn) acked(ack uint32) {
	n := int(int32(seqwindow.Serial(ack) - conn.s.outBase))
	if n > conn.sent {
		conn.violation("ack beyond sent")
	}
	conn.s.acked = max(conn.s.acked, n)
}

func (conn *sidecarConn) takeControl(p []byte) {
	switch t, _ := wire.TypeOf(p); t {
	case wire.Escaped:
		orig, err := wire.Unescape(p)
		if err != nil {
			conn.violation(err.Error())
			return
		}
		conn.data(orig)
	case wire.Ack:
		seq, err := wire.ParseAck(p)
		if err != nil {
			conn.violation(err.Error())
		}
		conn.acked(seq)
	case wire.Heartbeat, wire.HeartbeatAck:
		b, err := wire.ParseBeat(p, t)
		if err != nil || seqwindow.Serial(b.Sent) != conn.count {
			conn.violation("bad heartbeat")
			return
		}
		conn.acked(b.Ack)
		if t == wire.Heartbeat {
			b.Sent, b.Ack = uint32(conn.s.outBase)+uint32(conn.sent), conn.inboundAck()
			conn.control(wire.AppendBeat(nil, wire.HeartbeatAck, b))
		}
	case wire.Close:
		code, reason, err := wire.ParseClose(p)
		if err != nil {
			conn.violation(err.Error())
			return
		}
		if conn.s.closed == nil {
			conn.s.closed = &wire.CloseError{Code: code, Reason: reason, Remote: true}
			conn.replay()
		}
		conn.closeFrame(ws.StatusNormalClosure)
	default:
		conn.violation("unexpected " + t.String())
	}
}

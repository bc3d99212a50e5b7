package client

import (
	"encoding/binary"
	"fmt"
	"testing"

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
	leg             *sidecarLeg // the newest connection
	closed          *wire.CloseError
	violations      []string
}

// sidecarLeg is one connection; out are its bytes to the client.
type sidecarLeg struct {
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
func (s *sidecar) attach(o wire.Offer) *sidecarLeg {
	g := &sidecarLeg{s: s}
	g.cut = frame.Messages{Rules: frame.Rules{Masked: true}, Max: 1 << 20, Buffers: new(frame.Buffers)}
	w := wire.WelcomeMessage{Epoch: 1}
	g.count = s.inBase + seqwindow.Serial(len(s.inbound))
	if r := o.Resume; r != nil {
		w.Status = wire.StatusResumed
		received := int(seqwindow.Serial(r.Received) - s.outBase)
		if received < s.acked || received > len(s.outbound) {
			s.t.Errorf("resume claims %d received, acked %d of %d", received, s.acked, len(s.outbound))
		}
		s.acked = received
		if r.Next != 0 {
			if seqwindow.Less(g.count+1, seqwindow.Serial(r.Next)) {
				s.t.Errorf("resume starts at %d, the app has %d", r.Next, g.count)
			}
			g.count = seqwindow.Serial(r.Next) - 1
		}
	}
	g.sent = s.acked
	s.generation++
	w.InboundAck = uint32(s.inBase) + uint32(len(s.inbound))
	w.NextOutbound = uint32(s.outBase) + uint32(g.sent) + 1
	w.HeartbeatMillis, w.TTLMillis, w.Window, w.MaxMessage = s.heartbeat, s.ttl, s.window, 1<<20
	w.Token = fmt.Sprintf("token-%d", s.generation)
	g.control(wire.AppendWelcome(nil, &w))
	if s.leg != nil {
		s.leg.closeFrame(wire.CodeSuperseded)
	}
	s.leg = g
	g.replay()
	return g
}

func (g *sidecarLeg) control(msg []byte) { g.frame(frame.Binary, msg) }

func (g *sidecarLeg) frame(op byte, p []byte) {
	if !g.ended {
		g.out = frame.Append(g.out, frame.Header{Fin: true, Opcode: op}, p)
	}
}

func (g *sidecarLeg) closeFrame(code uint16) {
	g.frame(frame.Close, binary.BigEndian.AppendUint16(nil, code))
	g.ended = true
}

// say is the app sending a message.
func (s *sidecar) say(msg string) {
	s.outbound = append(s.outbound, msg)
	if s.leg != nil {
		s.leg.replay()
	}
}

func (g *sidecarLeg) replay() {
	for ; g.sent < len(g.s.outbound) && !g.closes; g.sent++ {
		msg := []byte(g.s.outbound[g.sent])
		if wire.IsMagic(msg) {
			msg = append(wire.AppendEscape(nil), msg...)
		}
		g.frame(frame.Binary, msg)
	}
	if c := g.s.closed; c != nil && !g.closes {
		g.closes = true
		g.control(wire.AppendClose(nil, c.Code, c.Reason))
	}
}

// ack and beat say where the sidecar is.
func (g *sidecarLeg) ack() { g.control(wire.AppendAck(nil, g.inboundAck())) }

func (g *sidecarLeg) inboundAck() uint32 { return uint32(g.s.inBase) + uint32(len(g.s.inbound)) }

// feed takes bytes from the client.
func (g *sidecarLeg) feed(b []byte) {
	g.in = append(g.in, b...)
	for !g.ended {
		msg, n, _, ok, err := g.cut.Next(g.in)
		if err != nil {
			g.violation(err.Error())
			return
		}
		if ok {
			p := append([]byte(nil), msg.Payload()...)
			frame.Mask(p, msg.Mask, 0)
			g.take(msg.Opcode, p)
		}
		g.in = g.in[n:]
		if !ok {
			return
		}
	}
}

func (g *sidecarLeg) violation(why string) {
	g.s.violations = append(g.s.violations, why)
	g.closeFrame(wire.CodeViolation)
}

func (g *sidecarLeg) take(op byte, p []byte) {
	switch {
	case op == frame.Close:
		g.ended = true
	case op == frame.Ping || op == frame.Pong:
	case op == frame.Binary && wire.IsMagic(p):
		g.takeControl(p)
	default:
		g.data(p)
	}
}

func (g *sidecarLeg) data(p []byte) {
	g.count++
	if g.count == g.s.inBase+seqwindow.Serial(len(g.s.inbound))+1 {
		g.s.inbound = append(g.s.inbound, string(p))
	} else if !seqwindow.LessEq(g.count, g.s.inBase+seqwindow.Serial(len(g.s.inbound))) {
		g.violation("gap in inbound")
	}
}

func (g *sidecarLeg) heard(ack uint32) {
	n := int(int32(seqwindow.Serial(ack) - g.s.outBase))
	if n > g.sent {
		g.violation("ack beyond sent")
	}
	g.s.acked = max(g.s.acked, n)
}

func (g *sidecarLeg) takeControl(p []byte) {
	switch t, _ := wire.TypeOf(p); t {
	case wire.Escaped:
		orig, err := wire.Unescape(p)
		if err != nil {
			g.violation(err.Error())
			return
		}
		g.data(orig)
	case wire.Ack:
		seq, err := wire.ParseAck(p)
		if err != nil {
			g.violation(err.Error())
		}
		g.heard(seq)
	case wire.Heartbeat, wire.HeartbeatAck:
		b, err := wire.ParseBeat(p, t)
		if err != nil || seqwindow.Serial(b.Sent) != g.count {
			g.violation("bad heartbeat")
			return
		}
		g.heard(b.Ack)
		if t == wire.Heartbeat {
			b.Sent, b.Ack = uint32(g.s.outBase)+uint32(g.sent), g.inboundAck()
			g.control(wire.AppendBeat(nil, wire.HeartbeatAck, b))
		}
	case wire.Close:
		code, reason, err := wire.ParseClose(p)
		if err != nil {
			g.violation(err.Error())
			return
		}
		if g.s.closed == nil {
			g.s.closed = &wire.CloseError{Code: code, Reason: reason, Remote: true}
			g.replay()
		}
		g.closeFrame(wire.CodeNormal)
	default:
		g.violation("unexpected " + t.String())
	}
}

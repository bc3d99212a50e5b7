package client

import (
	"encoding/binary"
	"time"

	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/wire"
)

// burst bounds the data of one write, and so what a heartbeat's answer waits
// for: it goes between two bursts.
const burst = 64 << 10

// write puts a message into the outbox and returns its position.
// seqwindow.ErrFull says that the caller has to wait.
func (m *machine) write(typ MessageType, p []byte) (seqwindow.Serial, error) {
	op, escape := frame.Text, []byte(nil)
	if typ == MessageBinary {
		op = frame.Binary
		if !m.bare && wire.IsMagic(p) {
			escape = wire.AppendEscape(nil)
		}
	}
	h := frame.Header{Fin: true, Opcode: op, Masked: true, Length: len(escape) + len(p)}
	binary.NativeEndian.PutUint32(h.Mask[:], m.random.Uint32())
	b := frame.AppendHeader(m.scratch[:0], h)
	start := len(b)
	b = append(append(b, escape...), p...)
	frame.Mask(b[start:], h.Mask, 0)
	if m.scratch = b; cap(b) > keepRead {
		m.scratch = nil
	}
	return m.out.add(b)
}

// pending tells that fill has something for g, or that g is to be closed.
func (m *machine) pending(g *leg) bool {
	return g.dead != nil || g.pong != nil || g.answer != nil || g.probe || g.ackDue ||
		g == m.leg && m.mayWrite(g) && m.out.admit() || g == m.leg && m.closeDue(g)
}

// mayWrite tells whether data may flow on g (PROTOCOL §2.1). Once the app has
// closed, nobody reads it.
func (m *machine) mayWrite(g *leg) bool {
	return (g.welcomed || g.offer.early()) && !g.closeSent && !m.closing.remote
}

// fill appends what is to be written to g next. What it returned before has
// been written.
func (m *machine) fill(now time.Time, g *leg, dst []byte) []byte {
	if g.dead != nil {
		return dst
	}
	mine := g == m.leg
	if mine && m.bare {
		// Nobody acknowledges, so a message that was written is done.
		if err := m.out.ack(m.out.sent()); err != nil {
			panic(err)
		}
	}
	if mine && m.out.window.MidMessage() {
		if dst = m.out.take(dst, min(burst, m.out.rest())); m.out.window.MidMessage() {
			return dst
		}
	}
	dst = m.controls(now, g, dst)
	switch {
	case mine && m.closeDue(g):
		dst = m.sayClose(now, g, dst)
	case mine && m.mayWrite(g):
		dst = m.out.take(dst, burst)
	}
	return dst
}

// controls appends what is not data. Here no message is begun on g, so that
// what HEARTBEAT says of sent is true.
func (m *machine) controls(now time.Time, g *leg, dst []byte) []byte {
	if g.pong != nil {
		dst = m.frame(dst, frame.Pong, g.pong)
		g.pong = nil
	}
	if g != m.leg || !g.welcomed || m.bare {
		return dst
	}
	ack, due := m.ackDue(now, g)
	if m.mayWrite(g) && m.out.admit() {
		due = due || ack == m.in.handled() && m.in.ShouldPiggyback(now) // it need not go alone
	}
	b := wire.Beat{Sent: m.out.sent(), Ack: uint32(ack)}
	spoke := false
	if g.answer != nil {
		b.Payload = *g.answer
		dst = m.own(dst, wire.AppendBeat(nil, wire.HeartbeatAck, b))
		g.answer, spoke = nil, true
	}
	if g.probe {
		m.beats++
		heartbeat.AppendPayload(b.Payload[:0], heartbeat.Payload{Seq: m.beats, TimeMillis: uint64(now.UnixMilli())})
		dst = m.own(dst, wire.AppendBeat(nil, wire.Heartbeat, b))
		g.probe, spoke = false, true
	}
	if !spoke && (due || g.ackDue || m.closeDue(g) && !m.in.AckDeadline().IsZero()) {
		dst = m.own(dst, wire.AppendAck(nil, uint32(ack)))
		spoke = true
	}
	if spoke {
		m.in.Acked(now, ack)
	}
	g.ackDue = false
	return dst
}

// own appends a control message of PROTOCOL §4.
func (m *machine) own(dst, msg []byte) []byte { return m.frame(dst, frame.Binary, msg) }

func (m *machine) frame(dst []byte, op byte, payload []byte) []byte {
	h := frame.Header{Fin: true, Opcode: op, Masked: true}
	binary.NativeEndian.PutUint32(h.Mask[:], m.random.Uint32())
	return frame.Append(dst, h, payload)
}

// closeFrame appends the close frame that ends a connection because of ce, or
// nothing if it is broken anyway.
func (m *machine) closeFrame(dst []byte, ce *wire.CloseError) []byte {
	switch {
	case ce.Code == wire.CodeAbnormal:
		return dst
	case ce.Code == wire.CodeNoStatus:
		return m.frame(dst, frame.Close, nil)
	}
	p := binary.BigEndian.AppendUint16(nil, ce.Code)
	return m.frame(dst, frame.Close, append(p, wire.CutReason(ce.Reason)...))
}

// ackDue is inbox.AckDue for g, and nothing beyond what may be acknowledged
// there.
func (m *machine) ackDue(now time.Time, g *leg) (seqwindow.Serial, bool) {
	ack, due := m.in.AckDue(now)
	if limit := m.ackLimit(g); seqwindow.Less(limit, ack) {
		return limit, false
	}
	return ack, due
}

// ackLimit is the last message that may be acknowledged on g: what it has
// carried, since a sidecar that replays may not have sent again what came on
// the connection before (PROTOCOL §4.3), and no more than a resume under way
// has claimed, whose position would be one that nobody can serve (§4.6).
func (m *machine) ackLimit(g *leg) seqwindow.Serial {
	if m.moving() && seqwindow.Less(m.in.claimed, g.count) {
		return m.in.claimed
	}
	return g.count
}

// moving tells that a second connection is under way while this one works.
func (m *machine) moving() bool { return m.leg != nil && m.dial.busy }

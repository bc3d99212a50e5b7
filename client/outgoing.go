package client

import (
	"encoding/binary"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/wire"
)

// maxBurst bounds the data of one write, and so how long the answer to a
// HEARTBEAT waits: it is sent between two writes.
const maxBurst = 64 << 10

// write puts a message into the outbox and returns its position.
// seqwindow.ErrFull says that the caller has to wait.
func (m *machine) write(typ MessageType, p []byte) (seqwindow.Serial, error) {
	return m.out.add(m.encode(typ, p))
}

// encode returns the frame of a message, which is valid until the next one.
func (m *machine) encode(typ MessageType, p []byte) []byte {
	op, escape := ws.OpText, []byte(nil)
	if typ == MessageBinary {
		op = ws.OpBinary
		if !m.plain && wire.IsMagic(p) {
			escape = wire.AppendEscape(nil)
		}
	}
	h := ws.Header{Fin: true, OpCode: op, Masked: true, Length: int64(len(escape) + len(p))}
	binary.NativeEndian.PutUint32(h.Mask[:], m.random.Uint32())
	b := frame.AppendHeader(m.scratch[:0], h)
	start := len(b)
	b = append(append(b, escape...), p...)
	frame.Mask(b[start:], h.Mask, 0)
	if m.scratch = b; cap(b) > maxKeptBuffer {
		m.scratch = nil
	}
	return b
}

// original returns the message that write has made raw of, and whether it is one
// of the program's: SKIPPED is not. raw is used up.
func original(raw []byte) (typ MessageType, p []byte, ok bool) {
	size, _ := keyFrame(raw)
	raw = raw[size:]
	h, err := frame.Rules{Masked: true}.Parse(raw)
	if err != nil {
		panic(err) // we made it
	}
	p = raw[h.Size:]
	frame.Mask(p, h.Mask, 0)
	if h.OpCode == ws.OpText {
		return MessageText, p, true
	}
	if orig, err := wire.Unescape(p); err == nil {
		return MessageBinary, orig, true
	}
	t, ours := wire.TypeOf(p)
	return MessageBinary, p, !ours || t != wire.Skipped
}

// pending reports whether fill has something for conn, or conn is closed.
func (m *machine) pending(conn *connection) bool {
	if m.durable.waiting {
		return conn.closed != nil
	}
	return conn.closed != nil || conn.pong != nil || conn.heartbeatReply != nil || conn.probeDue || conn.ackDue || conn.restoredDue > 0 || m.restoreDue(conn) ||
		conn == m.current && m.mayWrite(conn) && m.out.admit() || conn == m.current && m.closeDue(conn) || m.askDue(conn)
}

// askDue reports whether a HEARTBEAT is to be sent right behind a message that
// somebody waits for: its answer carries the acknowledgement, which otherwise
// would come with others, later.
func (m *machine) askDue(conn *connection) bool {
	return conn == m.current && conn.welcomed && !conn.closeSent && !m.plain && conn.asked != m.out.awaited &&
		seqwindow.Less(m.out.acked, m.out.awaited) && seqwindow.LessEq(m.out.awaited, m.out.window.Sent())
}

// mayWrite reports whether data may be sent on conn (PROTOCOL §2.1). Once the
// app has closed, it does not read, and before RESTORED it does not get it.
func (m *machine) mayWrite(conn *connection) bool {
	return (conn.welcomed || conn.offer.early()) && !conn.closeSent && !m.closing.remote && !m.restore.active
}

// fill appends what is to be written to conn next. What it returned before has
// been written.
func (m *machine) fill(now time.Time, conn *connection, dst []byte) []byte {
	if conn.closed != nil || m.durable.waiting {
		return dst
	}
	isCurrent := conn == m.current
	if isCurrent && m.plain {
		// A plain peer does not acknowledge: what was written is done.
		if err := m.out.ack(m.out.sent()); err != nil {
			panic(err)
		}
	}
	if isCurrent && m.out.window.MidMessage() {
		if dst = m.out.take(dst, min(maxBurst, m.out.restOfMessage())); m.out.window.MidMessage() {
			return dst
		}
	}
	dst = m.appendControls(now, conn, dst)
	switch {
	case isCurrent && m.closeDue(conn):
		dst = m.appendClose(now, conn, dst)
	case isCurrent && m.mayWrite(conn):
		dst = m.out.take(dst, maxBurst)
	}
	if m.askDue(conn) && !m.midMessage(conn) {
		dst = m.appendControls(now, conn, dst)
	}
	return dst
}

// appendControls appends what is not data. No message is sent in part on conn
// here, so that sent in HEARTBEAT is exact.
func (m *machine) appendControls(now time.Time, conn *connection, dst []byte) []byte {
	if conn.pong != nil {
		dst = m.appendFrame(dst, ws.OpPong, conn.pong)
		conn.pong = nil
	}
	if conn != m.current || !conn.welcomed || m.plain {
		return dst
	}
	if m.askDue(conn) {
		conn.asked, conn.probeDue = m.out.awaited, true
	}
	ack, due := m.ackDue(now, conn)
	if m.mayWrite(conn) && m.out.admit() {
		due = due || ack == m.in.handled() && m.in.ShouldPiggyback(now)
	}
	b := wire.Beat{Sent: m.out.sent(), Ack: uint32(ack)}
	acked := false // by what was appended
	if conn.heartbeatReply != nil {
		b.Payload = *conn.heartbeatReply
		dst = m.appendControl(dst, wire.AppendBeat(nil, wire.HeartbeatAck, b))
		conn.heartbeatReply, acked = nil, true
	}
	if conn.probeDue {
		m.heartbeats++
		heartbeat.AppendPayload(b.Payload[:0], heartbeat.Payload{Seq: m.heartbeats, TimeMillis: uint64(now.UnixMilli())})
		dst = m.appendControl(dst, wire.AppendBeat(nil, wire.Heartbeat, b))
		conn.probeDue, acked = false, true
	}
	if !acked && (due || conn.ackDue || m.closeDue(conn) && !m.in.AckDeadline().IsZero()) {
		dst = m.appendControl(dst, wire.AppendAck(nil, uint32(ack)))
		acked = true
	}
	if acked {
		m.in.Acked(now, ack)
	}
	conn.ackDue = false
	return m.appendRestore(conn, dst)
}

// appendControl appends a control message of PROTOCOL §4.
func (m *machine) appendControl(dst, msg []byte) []byte { return m.appendFrame(dst, ws.OpBinary, msg) }

func (m *machine) appendFrame(dst []byte, op ws.OpCode, payload []byte) []byte {
	h := ws.Header{Fin: true, OpCode: op, Masked: true}
	binary.NativeEndian.PutUint32(h.Mask[:], m.random.Uint32())
	return frame.Append(dst, h, payload)
}

// appendCloseFrame appends the close frame that ends a connection because of
// ce, or nothing if it is broken.
func (m *machine) appendCloseFrame(dst []byte, ce *wire.CloseError) []byte {
	switch {
	case ce.Code == ws.StatusAbnormalClosure:
		return dst
	case ce.Code == ws.StatusNoStatusRcvd:
		return m.appendFrame(dst, ws.OpClose, nil)
	}
	return m.appendFrame(dst, ws.OpClose, wire.AppendClosePayload(nil, ce.Code, ce.Reason))
}

// ackDue is inbox.AckDue for conn, limited to what may be acknowledged there.
func (m *machine) ackDue(now time.Time, conn *connection) (seqwindow.Serial, bool) {
	ack, due := m.in.AckDue(now)
	if limit := m.ackLimit(conn); seqwindow.Less(limit, ack) {
		return limit, false
	}
	return ack, due
}

// ackLimit returns the last message that may be acknowledged on conn: no more
// than came there, since a sidecar that replays may not have sent again what
// came on the connection before (PROTOCOL §4.3), and no more than a resume
// under way has claimed, whose position the sidecar could not serve any more
// (§4.6).
func (m *machine) ackLimit(conn *connection) seqwindow.Serial {
	limit := conn.lastSeq
	if m.moving() && seqwindow.Less(m.in.claimed, limit) {
		limit = m.in.claimed
	}
	if m.durable.on && seqwindow.Less(m.durable.received, limit) {
		limit = m.durable.received // the next process could not resume from what is acknowledged
	}
	return limit
}

// moving reports whether a second connection is being made while the current
// one works.
func (m *machine) moving() bool { return m.current != nil && m.dial.busy }

package session

import (
	"math"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/internal/monotime"
	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/wire"
)

// clientControl acts on a message that starts with the magic. msg is its
// plain bytes.
func (s *Session) clientControl(now time.Time, msg []byte) {
	t, _ := wire.TypeOf(msg)
	if t == wire.Escaped {
		orig, err := wire.Unescape(msg)
		if err != nil {
			s.violation(now, err.Error())
			return
		}
		if len(orig) > s.cfg.MaxMessage { // what RESTORE adds was allowed for
			s.dropClient(now, framingError(&frame.TooBigError{Size: len(orig), Limit: s.cfg.MaxMessage}))
			return
		}
		s.deliver(now, s.stripEscape(orig), nil)
		return
	}
	if t == wire.Skipped {
		if err := wire.ParseSkipped(msg); err != nil {
			s.violation(now, err.Error())
			return
		}
		s.skip(now)
		return
	}
	if s.awaitsKeyed() {
		s.violation(now, "KEY is followed by "+t.String())
		return
	}
	s.confirmToken(s.epoch, s.client.welcomeGeneration, 0) // before WELCOME a client sends data only
	if len(msg) > wire.MaxControl && t != wire.Restore {
		s.violation(now, "control message too long")
		return
	}
	var err error
	switch t {
	case wire.Ack:
		var seq uint32
		if seq, err = wire.ParseAck(msg); err == nil {
			s.counters.AcksHeard++
			s.acknowledged(now, seq)
		}
	case wire.Heartbeat, wire.HeartbeatAck:
		var b wire.Beat
		if b, err = wire.ParseBeat(msg, t); err == nil {
			s.clientBeat(now, t, &b)
		}
	case wire.Close:
		var code ws.StatusCode
		var reason string
		if code, reason, err = wire.ParseClose(msg); err == nil {
			s.clientClosed(now, code, reason)
		}
	case wire.Restore:
		var op ws.OpCode
		var message []byte
		if op, message, err = wire.ParseRestore(msg); err == nil {
			s.clientRestores(now, op, message)
		}
	case wire.Restored:
		if err = wire.ParseRestored(msg); err == nil {
			s.clientRestored(now)
		}
	case wire.Key:
		s.clientKey(now, msg)
	default:
		s.violation(now, t.String()+" from a client")
	}
	if err != nil {
		s.violation(now, err.Error())
	}
}

// skip acts on SKIPPED (PROTOCOL §4.9).
func (s *Session) skip(now time.Time) {
	before := s.inbox.Received()
	// A pong that nobody asked for means nothing (RFC 6455 §5.5.3), and keeps the
	// message's place.
	s.deliver(now, frame.Append(nil, s.cfg.masked(ws.OpPong), nil), nil)
	taken := s.inbox.Received() != before && !s.HandingOver() // otherwise the next owner gets it again
	if taken && s.client.skipped < math.MaxUint8 {
		s.client.skipped++
	}
}

// violation ends the connection and not the session (PROTOCOL §4).
func (s *Session) violation(now time.Time, reason string) {
	s.dropClient(now, &wire.CloseError{Code: wire.CodeViolation, Reason: reason})
}

// acknowledged drops the messages that the client has dispatched. "Violation: an
// ack of what was not sent yet" (PROTOCOL §4.3).
func (s *Session) acknowledged(now time.Time, seq uint32) {
	d, told := s.delivery(now, seqwindow.Serial(seq))
	if _, err := s.window.Ack(seqwindow.Serial(seq)); err != nil {
		s.violation(now, "acknowledgement of what was not sent")
		return
	}
	if told {
		s.cfg.Delivered(s.id, d)
	}
}

// clientBeat acts on HEARTBEAT and HEARTBEAT_ACK (PROTOCOL §4.4, §4.5).
func (s *Session) clientBeat(now time.Time, t wire.Type, b *wire.Beat) {
	// "Violation: sent differs from the receiver's count."
	if seqwindow.Serial(b.Sent) != s.client.last {
		s.violation(now, "count of sent messages differs")
		return
	}
	s.acknowledged(now, b.Ack)
	// "A payload with a bad CRC or a seq that is not newer is dropped and not
	// answered; sent and ack still count."
	p, err := heartbeat.ParsePayload(b.Payload[:])
	switch {
	case err != nil:
	case t == wire.HeartbeatAck:
		if err = s.client.beat.Answer(now, p); err == nil {
			s.counters.BeatsHeard++
		}
	default:
		if err = s.client.newest.Accept(p); err == nil {
			s.client.reply, s.client.replyDue = b.Payload, true
			s.clockTold(now, p.TimeMillis)
		}
	}
	if err != nil {
		s.counters.BeatsDropped++
		s.client.badBeat = beatFault(err)
	}
}

// NoHeartbeat is the reason of a close for want of answers to heartbeats.
const NoHeartbeat = "no heartbeat"

// tickLink sends a heartbeat that is due, or ends a dead connection.
func (s *Session) tickLink(now time.Time) {
	if s.client.in.Overdue(monotime.At(now)) {
		s.dropClient(now, &wire.CloseError{Code: wire.CodeTimeout, Reason: "message under way for too long"})
		return
	}
	if s.clientUnread(now) {
		s.client.beat.Unread() // its answers may have come
	}
	switch s.client.beat.Tick(now) {
	case heartbeat.VerdictSend:
		// The beat counts from now even if the connection is blocked: one
		// that takes nothing and says nothing for so long is dead.
		s.client.beat.Next(now, uint64(now.UnixMilli()))
		s.client.beatDue = true
	case heartbeat.VerdictDead:
		s.dropClient(now, &wire.CloseError{Code: wire.CodeTimeout, Reason: NoHeartbeat})
	}
}

// composeControl makes the control messages that are due, at a boundary
// between messages. Nothing but control is written between making and
// writing, so `sent` is right when it arrives.
func (s *Session) composeControl(now time.Time) {
	if len(s.client.control) > 0 {
		return // what waits goes first; it may be half written
	}
	if s.echo() != nil {
		s.composeEcho(now)
		return
	}
	if s.client.welcomeDue {
		s.client.welcomeDue = false
		s.control(s.appendWelcome(nil, now))
	}
	// The usual ones fit a small buffer, which keeps the stacks of idle
	// readers small.
	var buf [64]byte
	ack, due := s.ackDue(now)
	if s.closeDue() {
		// "CLOSE after all data, and before it an ACK if one is owed" (PROTOCOL §7).
		due = !s.inbox.AckDeadline().IsZero()
	}
	beat := wire.Beat{Sent: uint32(s.window.Sent()), Ack: uint32(ack)}
	if s.client.beatDue {
		s.client.beatDue, due = false, false
		heartbeat.AppendPayload(beat.Payload[:0], s.client.beat.Latest())
		s.control(wire.AppendBeat(buf[:0], wire.Heartbeat, beat))
		s.counters.BeatsSent++
		s.inbox.Acked(now, ack)
	}
	if s.client.replyDue {
		s.client.replyDue, due = false, false
		beat.Payload = s.client.reply
		s.control(wire.AppendBeat(buf[:0], wire.HeartbeatAck, beat))
		s.inbox.Acked(now, ack)
	}
	if due {
		s.control(wire.AppendAck(buf[:0], uint32(ack)))
		s.counters.AcksSent++
		s.inbox.Acked(now, ack)
	}
	s.composeClose(now)
}

// ackDue returns the acknowledgement that may be sent, and whether it is due.
func (s *Session) ackDue(now time.Time) (seqwindow.Serial, bool) {
	ack, due := s.inbox.AckDue(now)
	if s.window.Unsent() { // it goes in front of a message (PROTOCOL §5.1)
		due = due || s.inbox.ShouldPiggyback(now)
	}
	ackable := s.context.ackable(ack)
	return ackable, due && ackable == ack
}

// control queues one control message in its frame.
func (s *Session) control(msg []byte) {
	s.client.control = frame.Append(s.client.control, ws.Header{Fin: true, OpCode: ws.OpBinary}, msg)
}

func (s *Session) appendWelcome(dst []byte, now time.Time) []byte {
	s.generation++
	ack, _ := s.ackDue(now)
	w := wire.WelcomeMessage{
		Status:          s.client.welcome,
		Session:         s.id,
		Epoch:           s.epoch,
		InboundAck:      uint32(ack),
		NextOutbound:    uint32(s.window.Sent() + 1),
		HeartbeatMillis: millis(s.client.beat.Interval()),
		TTLMillis:       millis(s.cfg.TTL),
		Window:          uint32(s.cfg.WindowBytes),
		MaxMessage:      uint32(s.cfg.MaxMessage),
		Token:           s.cfg.Token(wire.Token{Session: s.id, Epoch: s.epoch, Generation: s.generation, Issued: now, Binding: s.binding}),
		Subprotocol:     s.subprotocol,
	}
	if s.cfg.Retry != nil {
		first, most := s.cfg.Retry()
		w.RetryFirstMillis, w.RetryMostMillis = millis(first), millis(most)
	}
	w.Options, w.WithOptions = s.options()
	if w.Status == wire.StatusAdopted {
		w.Reason = s.adopted
		w.Restored = s.context.tells()
		s.adoptionTold(now)
	}
	if !s.client.rewelcome {
		s.client.welcomeGeneration = s.generation
	}
	if s.client.awaitsWelcome && !s.client.rewelcome {
		// The client counts from the ack that it reads here. It sends again what
		// came and was not handed over yet, and that is dropped.
		s.client.last = ack
	}
	s.inbox.Acked(now, ack)
	return wire.AppendWelcome(dst, &w)
}

func millis(d time.Duration) uint32 {
	return uint32(min(d/time.Millisecond, 1<<32-1))
}

// GoAway tells the client to open a new connection within the delay
// (PROTOCOL §4.6).
func (s *Session) GoAway(reason wire.GoAwayReason, delay time.Duration) {
	if s.client.attached && s.echo() == nil && len(s.client.control) < maxControlQueue {
		s.control(wire.AppendGoAway(nil, reason, millis(delay)))
	}
}

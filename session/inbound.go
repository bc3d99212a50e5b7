package session

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/wire"
)

// FromClient takes bytes that came on the attached connection and returns how
// many it used. The driver acts on Output, and then comes again with what is
// left while some was used; the rest waits for more bytes. Data messages that
// can be passed on as they stand are only passed to Output where they stand, so p must not change
// before that.
func (s *Session) FromClient(now time.Time, p []byte) int {
	s.client.beat.Heard()
	used := 0
	if s.ownership.open {
		return 0
	}
	for s.client.attached && len(s.app.direct) < maxParts && !s.queueFull() && !s.keyHolds() && !s.tooFast(now) {
		m, n, ok, err := s.client.in.Next(p[used:])
		if err != nil {
			s.dropClient(now, framingError(err))
			return len(p)
		}
		if !ok {
			used += n
			if s.cfg.pace != nil && n > 0 {
				s.cfg.charge(now, 0, 0, n)
				s.cfg.pause(now, false)
			}
			break
		}
		from := used
		used += n
		// A message that was joined from fragments does not stand in p.
		inPlace := n >= len(m.Raw) && &m.Raw[0] == &p[used-len(m.Raw)]
		if inPlace {
			from = used - len(m.Raw)
		}
		last := s.client.last
		s.clientMessage(now, &m, inPlace, p[from:used])
		if s.cfg.pace != nil {
			s.chargeMessage(now, s.client.last != last, n)
		}
	}
	s.client.in.Release()
	if !s.client.attached {
		return len(p)
	}
	return used
}

// queueFull reports whether the app is owed as much as a client may send ahead
// (PROTOCOL §5.3). What is passed directly counts, since it is queued if the app does not
// take it, and so do messages, since the bytes of a small one are not what it
// costs (I6). A session that is handed over keeps nothing more for its app.
func (s *Session) queueFull() bool {
	return !s.HandingOver() && (s.restoreFull() || !s.context.awaited && (s.queueFilled() || s.queueScarce()))
}

// queueScarce reports whether the client waits since the memory of all sessions
// runs short.
func (s *Session) queueScarce() bool {
	return s.cfg.keepsNoMore(s.queue.Bytes() + int(s.app.directBytes))
}

func (s *Session) queueFilled() bool {
	return s.queue.Bytes()+int(s.app.directBytes) >= s.cfg.WindowBytes ||
		s.queue.Len()+int(s.app.directN) > s.cfg.WindowBytes/messageCost
}

// messageCost is what each message counts beside its payload (PROTOCOL §5.3).
const messageCost = 16

func framingError(err error) *wire.CloseError {
	var big *frame.TooBigError
	if errors.As(err, &big) {
		return &wire.CloseError{Code: ws.StatusMessageTooBig, Reason: "message above the limit", Size: big.Size, Limit: big.Limit}
	}
	return &wire.CloseError{Code: ws.StatusProtocolError, Reason: err.Error()}
}

// clientMessage sorts what came: control frames, control messages, data.
// span is where an inPlace message stands in the caller's bytes.
func (s *Session) clientMessage(now time.Time, m *frame.Message, inPlace bool, span []byte) {
	if m.OpCode.IsControl() {
		s.clientControlFrame(now, m)
		return
	}
	if m.OpCode == ws.OpBinary && s.echo() == nil {
		msg, ours, err := s.unwrap(m)
		if err != nil {
			s.dropClient(now, framingError(err))
			return
		}
		if ours {
			s.clientControl(now, msg)
			return
		}
	}
	if len(m.Payload()) > s.cfg.MaxMessage { // what ESCAPED adds was allowed for
		s.dropClient(now, framingError(&frame.TooBigError{Size: len(m.Payload()), Limit: s.cfg.MaxMessage}))
		return
	}
	if !inPlace {
		span = nil
	}
	s.deliver(now, m.Raw, span)
}

// magicWord is the magic as it stands in a message.
const magicWord uint32 = 0xff_57_53_52

// unwrap reports whether a binary message is ours, and returns its plain bytes
// if it is. The usual answer, no, costs one comparison under the mask.
func (s *Session) unwrap(m *frame.Message) (msg []byte, ours bool, err error) {
	p := m.Payload()
	if m.Compressed() {
		return s.unwrapCompressed(p, m.Mask)
	}
	if len(p) < len(wire.Magic) || binary.BigEndian.Uint32(p)^binary.BigEndian.Uint32(m.Mask[:]) != magicWord {
		return nil, false, nil
	}
	// The bytes are ours alone now, so they are unmasked where they stand.
	frame.Mask(p, m.Mask, 0)
	return p, true, nil
}

// clientControlFrame handles ping, pong and close (PROTOCOL §3.3, §7).
func (s *Session) clientControlFrame(now time.Time, m *frame.Message) {
	frame.Mask(m.Payload(), m.Mask, 0)
	switch m.OpCode {
	case ws.OpPing:
		if len(s.client.control) < maxControlQueue {
			s.client.control = frame.Append(s.client.control, ws.Header{Fin: true, OpCode: ws.OpPong}, m.Payload())
		}
	case ws.OpPong:
		if s.echo() != nil {
			s.pong(now, m.Payload())
		}
	case ws.OpClose:
		code, reason, err := wire.ParseClosePayload(m.Payload())
		if err != nil {
			s.dropClient(now, err)
			return
		}
		if s.echo() != nil && code != ws.StatusGoingAway {
			s.clientClosed(now, code, reason) // it has no CLOSE: its close frame ends the session
			return
		}
		s.dropClient(now, &wire.CloseError{Code: code, Reason: reason, Remote: true})
	}
}

// deliver passes one inbound data message on, or drops one that came before.
// span is where raw stands in the driver's bytes, nil if nowhere.
func (s *Session) deliver(now time.Time, raw, span []byte) {
	s.client.last++
	key := s.takeKey()
	if s.client.awaitsWelcome {
		s.confirmToken(s.epoch, s.client.welcomeGeneration, 0)
	}
	if s.context.awaited && seqwindow.Less(s.inbox.Received(), s.client.last) && !s.mayHold(raw) {
		s.violation(now, "more than the window before RESTORED")
		return
	}
	if s.inbox.Accept(s.client.last) == seqwindow.Duplicate {
		s.counters.Duplicates++
		return
	}
	if s.closing.byClient {
		s.violation(now, "data after CLOSE")
		return
	}
	s.counters.InMessages++
	s.counters.InBytes += uint64(len(raw))
	if s.HandingOver() || !s.app.open && !s.restart.lost {
		// The app reads nothing more. The message stays unacknowledged, and the
		// CLOSE or the hand-over that is under way settles it.
		return
	}
	if s.extra != nil && s.keyed(now, raw, key) {
		return
	}
	if span != nil && s.queue.Empty() && !s.app.blocked && s.app.open && !s.context.tracks() && !s.context.awaited {
		s.addDirect(span)
		return
	}
	s.queueDirect(now)
	s.enqueue(now, raw)
}

// addDirect notes that a message can be written from where it stands.
func (s *Session) addDirect(raw []byte) {
	s.app.directN++
	s.app.directBytes += uint32(len(raw))
	s.app.direct = appendPart(s.app.direct, raw)
}

// appendPart appends b to the parts of a write. Neighbours in the driver's
// bytes become one part.
func appendPart(parts [][]byte, b []byte) [][]byte {
	if n := len(parts); n > 0 {
		last := parts[n-1]
		if cap(last) > len(last) && &last[:len(last)+1][len(last)] == &b[0] {
			parts[n-1] = last[:len(last)+len(b)]
			return parts
		}
	}
	return append(parts, b)
}

// enqueue copies a message to the queue for the app.
func (s *Session) enqueue(now time.Time, raw []byte) {
	if err := s.queue.AppendOver(raw, s.stamp(now)); err != nil {
		s.end(EndedMemory) // a gap cannot be; the queue was not full, so that this is a mistake
	}
}

// queueDirect moves messages that were to be written directly to the queue, in front of one that has to be
// copied.
func (s *Session) queueDirect(now time.Time) {
	if s.app.directN == 0 {
		return
	}
	for _, part := range s.takeDirect() {
		s.eachFrame(part, func(raw []byte) { s.enqueue(now, raw) })
	}
}

// takeDirect returns the ranges that were to be written directly, and none is any more.
func (s *Session) takeDirect() [][]byte {
	direct := s.app.direct
	s.app.direct, s.app.directN, s.app.directBytes = direct[:0], 0, 0
	return direct
}

// eachFrame cuts such a range into its messages, each a single frame that was
// parsed before.
func (s *Session) eachFrame(part []byte, fn func(raw []byte)) {
	for len(part) > 0 {
		h, err := s.client.in.Rules.Parse(part)
		if err != nil || h.Total() > len(part) {
			panic("session: a range is not made of whole frames")
		}
		fn(part[:h.Total()])
		part = part[h.Total():]
	}
}

// composeApp offers what the app's socket is to take: control frames at a
// message's boundary, then the queue, or what is written directly.
func (s *Session) composeApp(o *Output) {
	if s.app.blocked || !s.app.open || s.app.writeClosed {
		return
	}
	if s.queue.MidMessage() {
		o.ToApp = s.queue.PendingMessage(o.ToApp)
		return
	}
	if len(s.app.control) > 0 {
		o.ToApp = append(o.ToApp, s.app.control)
	}
	if s.closing.toApp || s.context.restoring() || s.context.awaited || s.HandingOver() {
		return // nothing follows a close frame, or goes before what restores the app's context
	}
	if s.queue.Unsent() {
		o.ToApp = s.queue.Pending(o.ToApp, maxWrite)
		return
	}
	o.ToApp = append(o.ToApp, s.app.direct...)
}

// AppWrote notes that the app's socket took the first n bytes of ToApp. What
// it took is handed over and may be acknowledged (I3).
func (s *Session) AppWrote(now time.Time, n int) {
	s.app.blocked = n < int(s.app.offered)
	if !s.queue.MidMessage() {
		n -= consume(&s.app.control, n)
	}
	before, sent := s.queue.Bytes(), s.queue.Sent()
	if s.queue.Unsent() {
		s.queue.Advance(n)
		s.context.observeInbound(now, s)
		d, told := s.handing(now)
		if _, err := s.queue.Ack(s.queue.Sent()); err != nil {
			panic(err) // what was sent can be acknowledged
		}
		s.handed(now, before-s.queue.Bytes(), int(seqwindow.Diff(s.queue.Sent(), sent)))
		if told {
			s.cfg.Delivered(s.id, d)
		}
		return
	}
	s.directWrote(now, n)
}

// directWrote settles the ranges that are written directly, of which n bytes were written. What was
// not goes to the queue, since the bytes are the caller's after this step.
func (s *Session) directWrote(now time.Time, n int) {
	if s.app.directN == 0 {
		return
	}
	count := int(s.app.directN)
	if !s.app.blocked {
		d, told := s.handingDirect(count)
		s.takeDirect()
		s.queue.Skip(count)
		s.handed(now, n, count)
		if told {
			s.cfg.Delivered(s.id, d)
		}
		return
	}
	direct := s.takeDirect()
	bytes, sent := 0, s.queue.Sent()
	for _, part := range direct {
		s.eachFrame(part, func(raw []byte) {
			if n >= len(raw) && s.queue.Empty() {
				s.queue.Skip(1)
				bytes += len(raw)
				s.tellHanded(raw)
			} else {
				s.enqueue(now, raw)
				if n > 0 && s.closing.ended == 0 {
					s.queue.Advance(n)
				}
			}
			n = max(0, n-len(raw))
		})
	}
	s.handed(now, bytes, int(seqwindow.Diff(s.queue.Sent(), sent)))
}

// handed notes that the app's socket took n messages, of so many bytes.
func (s *Session) handed(now time.Time, bytes, n int) {
	if bytes > 0 {
		s.handedToApp(now, n)
		if !s.unacked().holds(bytes) {
			s.inbox.Handled(now, s.queue.Sent(), bytes)
		}
		s.keysHanded()
	}
}

// AppWritable notes that the app's socket takes bytes again.
func (s *Session) AppWritable() { s.app.blocked = false }

// consume removes the first n bytes of a queue, at most all of it, and
// returns how many.
func consume(queue *[]byte, n int) int {
	q := *queue
	if n = min(n, len(q)); n == len(q) {
		*queue = nil
		return n
	}
	*queue = q[:copy(q, q[n:])]
	return n
}

package session

import (
	"cmp"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/internal/monotime"
	"github.com/wsresilience/wsresilience/wire"
)

// Plain is the pass-through for a client that did not negotiate wsr.v1. Bytes
// go through as they came and at once: opcodes, fragments, extensions, masks,
// the app's own pings, close frames. All that is added is a Ping to the client
// now and then, between two frames, and all that is taken out is its Pong (I10).
//
// It knows where frames begin, for pings, for a last frame and to count, and
// judges nothing: what the app accepts, passes. At the first thing of which it
// does not know where it ends it becomes blind, and passes bytes.
//
// Frames are followed but not collected, so a frame of any size passes
// without being held. Plain is driven like Session.
type Plain struct {
	cfg      *Config
	counters Counters

	client, app plainLeg
	blind       bool
	toldBlind   bool

	beat    heartbeat.Monitor
	beatDue bool
	beatOut heartbeat.Payload
	unsent  uint32                          // the number before our first ping's
	others  monotime.Time                   // when a sidecar behind us last pinged the client
	ping    [2 + heartbeat.PayloadSize]byte // its frame, while it is written

	pending      pendingClose
	ended        Ending
	reported     bool
	broke        *plainLeg // its connection did, with bytes on their way to the other side
	until        time.Time // how long one side may outlive the other
	moved        bool      // bytes moved since that was set
	drop         *wire.CloseError
	appCloseCode ws.StatusCode // 0: the app gets no close frame
}

// A PlainHeartbeat is what pings to plain clients are for (WSR_PLAIN_HEARTBEAT).
type PlainHeartbeat uint8

const (
	// PlainMeasure pings, so that no proxy takes the connection for idle, and to
	// know round trips. It is no reason to end anything: without us nobody would
	// have asked.
	PlainMeasure PlainHeartbeat = iota
	// PlainEnforce ends a connection whose client does not answer.
	PlainEnforce
	// PlainOff adds nothing at all.
	PlainOff
)

// halfClosed is how long one side may go on after the other sent its last
// byte, while nothing moves, if Config.CloseTimeout is zero: enough for the rest
// of a close handshake and more.
const halfClosed = time.Minute

func (p *Plain) halfClosed() time.Duration { return cmp.Or(p.cfg.CloseTimeout, halfClosed) }

// pendingClose is an end that waits until the client has a message whole.
type pendingClose struct {
	why      Ending
	close    *wire.CloseError // nil: none is pending
	deadline time.Time        // when it waits no longer
}

// plainLeg is one side: where bytes come from, and where the other's go to.
type plainLeg struct {
	head    [ws.MaxHeaderSize]byte // what came of a header
	headLen uint8
	open    bool // a message in parts is under way
	left    int  // bytes of the current frame that are still to come
	closing bool // a close frame came: nothing may be added to this stream
	gone    bool // its last byte has come
	shut    bool // the end of the other side's bytes was passed on to it

	lent    [][]byte // bytes that are to be written to it now
	kept    []byte   // bytes that it did not take at once
	charged int      // of them, against the memory of all sessions
	offered int      // bytes in the last Output
	blocked bool
}

// NewPlain returns a pass-through for two sockets whose handshakes are done.
func NewPlain(cfg *Config, now time.Time) *Plain {
	p := &Plain{cfg: cfg.paced()}
	p.beat.Init(cfg.Heartbeat, now)
	p.beat.Connected(now)
	// Another sidecar on the path counts from elsewhere, and so each knows its own.
	p.unsent = cfg.Random()
	p.beat.CountFrom(p.unsent)
	p.beatOut.Seq = p.unsent
	return p
}

// Counters returns what happened so far.
func (p *Plain) Counters() *Counters { return &p.counters }

// Link returns the state of the path to the client, by its heartbeats.
func (p *Plain) Link() *heartbeat.Monitor { return &p.beat }

// FromClient is as in Session.
func (p *Plain) FromClient(now time.Time, b []byte) int {
	p.beat.Heard()
	return p.pass(now, &p.client, &p.app, b)
}

// FromApp is as in Session.
func (p *Plain) FromApp(now time.Time, b []byte) int {
	return p.pass(now, &p.app, &p.client, b)
}

// pass lends the bytes of whole and of partial frames to the other side. Only
// a pong that may be ours waits until it is complete.
func (p *Plain) pass(now time.Time, from, to *plainLeg, b []byte) int {
	used := 0
	for used < len(b) && p.ended == 0 && len(to.lent) < maxParts && len(to.kept) == 0 {
		if from == &p.client && p.cfg.tooFast(now) {
			break
		}
		n := p.passPayload(from, to, b[used:])
		if n == 0 {
			n = p.passHeader(now, from, to, b[used:])
		}
		if n == 0 {
			break
		}
		used += n
		if from == &p.client && p.cfg.pace != nil {
			p.cfg.charge(now, 0, 0, n)
			p.cfg.pause(now, !p.blind && !from.between())
		}
	}
	if p.ended != 0 {
		return len(b)
	}
	p.moved = p.moved || used > 0
	return used
}

// passPayload lends what b has of the current frame's payload.
func (p *Plain) passPayload(from, to *plainLeg, b []byte) int {
	if p.blind {
		p.countBytes(from, len(b))
		to.lend(b)
		return len(b)
	}
	n := min(from.left, len(b))
	if n > 0 {
		from.left -= n
		to.lend(b[:n])
	}
	return n
}

// passHeader lends what b has of a header, or takes out the answer to our ping.
// It uses nothing at the end of the message that a pending close waited for, nor
// while a pong that may be ours is not whole.
func (p *Plain) passHeader(now time.Time, from, to *plainLeg, b []byte) int {
	if from.headLen > 0 {
		return p.passRest(now, from, to, b)
	}
	if from == &p.app {
		if p.pending.close != nil && !from.open {
			return 0
		}
		p.addPing()
	}
	if from == &p.client && p.mayBeOurs(b) {
		n := pongSize(b)
		if n == 0 {
			return 0
		}
		if p.takePong(now, b[:n]) {
			p.cfg.charge(now, 0, 1, 0)
			return n
		}
	}
	h, err := frame.Bounds(b)
	switch {
	case err == frame.ErrShort:
		from.headLen = uint8(copy(from.head[:], b))
		to.lend(b)
		return len(b)
	case err != nil:
		p.blind, p.beatDue = true, false
		return p.passPayload(from, to, b)
	}
	if from == &p.app && h.OpCode == ws.OpPing && len(b) >= h.Total() {
		p.notePing(now, &h, b[h.Size:h.Total()])
	}
	p.begin(now, from, &h)
	to.lend(b[:h.Size])
	return h.Size
}

// passRest is passHeader for a header whose first bytes came, and went, before.
func (p *Plain) passRest(now time.Time, from, to *plainLeg, b []byte) int {
	had := int(from.headLen)
	n := copy(from.head[had:], b)
	from.headLen += uint8(n)
	h, err := frame.Bounds(from.head[:from.headLen])
	switch {
	case err == frame.ErrShort:
	case err != nil:
		p.blind, p.beatDue = true, false
		return p.passPayload(from, to, b)
	default:
		n = h.Size - had
		from.headLen = 0
		p.begin(now, from, &h)
	}
	to.lend(b[:n])
	return n
}

// begin notes the frame whose payload follows.
func (p *Plain) begin(now time.Time, from *plainLeg, h *frame.Header) {
	p.count(from, h)
	switch {
	case from != &p.client:
	case h.OpCode.IsControl():
		p.cfg.charge(now, 0, 1, 0)
	default:
		p.cfg.charge(now, 1, 0, 0)
	}
	if !h.OpCode.IsControl() {
		from.open = !h.Fin
	}
	from.closing = from.closing || h.OpCode == ws.OpClose
	from.left = int(h.Length)
}

func (l *plainLeg) lend(b []byte) { l.lent = appendPart(l.lent, b) }

// between reports whether what came from this side ends where a frame does.
func (l *plainLeg) between() bool { return l.left == 0 && l.headLen == 0 }

// count keeps the totals; a message counts with its last frame.
func (p *Plain) count(from *plainLeg, h *frame.Header) {
	messages, bytes := &p.counters.OutMessages, &p.counters.OutBytes
	if from == &p.client {
		messages, bytes = &p.counters.InMessages, &p.counters.InBytes
	}
	if !h.OpCode.IsControl() && h.Fin {
		*messages++
	}
	*bytes += uint64(h.Total())
}

// countBytes is count for what is no frame that we know.
func (p *Plain) countBytes(from *plainLeg, n int) {
	if from == &p.client {
		p.counters.InBytes += uint64(n)
	} else {
		p.counters.OutBytes += uint64(n)
	}
}

// The first bytes of a pong with a payload of ours.
const (
	ourPong       = 0x80 | byte(ws.OpPong)
	ourLength     = byte(heartbeat.PayloadSize)
	ourLengthMask = 0x80 | ourLength
)

// mayBeOurs reports whether b, as far as it goes, can be an answer to our pings.
func (p *Plain) mayBeOurs(b []byte) bool {
	return p.beatOut.Seq != p.unsent && b[0] == ourPong && (len(b) < 2 || b[1] == ourLength || b[1] == ourLengthMask)
}

// pongSize is the size of the pong that b begins with; 0 if it is not whole.
func pongSize(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	n := 2 + heartbeat.PayloadSize
	if b[1] == ourLengthMask {
		n += 4
	}
	if len(b) < n {
		return 0
	}
	return n
}

// takePong reports whether a pong answers one of our pings, be it late. The
// payload is unmasked in a copy, since another pong passes as it came.
func (p *Plain) takePong(now time.Time, pong []byte) bool {
	var buf [heartbeat.PayloadSize]byte
	copy(buf[:], pong[len(pong)-len(buf):])
	if pong[1] == ourLengthMask {
		frame.Mask(buf[:], [4]byte(pong[2:6]), 0)
	}
	beat, err := heartbeat.ParsePayload(buf[:])
	if err != nil || beat.Seq-p.unsent-1 >= p.beatOut.Seq-p.unsent || beat.TimeMillis > p.beatOut.TimeMillis {
		return false
	}
	if p.beat.Answer(now, beat) == nil {
		p.counters.BeatsHeard++
	} else {
		p.counters.BeatsDropped++
	}
	return true
}

// notePing notes whether a ping to the client is another sidecar's, who then
// does for this connection what we would.
func (p *Plain) notePing(now time.Time, h *frame.Header, payload []byte) {
	if len(payload) != heartbeat.PayloadSize || h.Masked {
		return
	}
	if _, err := heartbeat.ParsePayload(payload); err == nil {
		p.others = monotime.At(now)
	}
}

// leavesPings reports whether a sidecar behind us pings this client.
func (p *Plain) leavesPings(now time.Time) bool {
	return p.others != 0 && now.Sub(p.others.Time()) < 3*p.beat.Interval()
}

// addPing puts a due heartbeat between two frames of the app.
func (p *Plain) addPing() {
	if !p.beatDue || p.blind || p.app.closing || p.client.closing || p.client.shut {
		return
	}
	p.beatDue = false
	b := frame.AppendHeader(p.ping[:0], ws.Header{Fin: true, OpCode: ws.OpPing, Length: heartbeat.PayloadSize})
	heartbeat.AppendPayload(b, p.beatOut)
	p.client.lent = append(p.client.lent, p.ping[:])
	p.counters.BeatsSent++
}

// Tick is as in Session.
func (p *Plain) Tick(now time.Time) {
	if !p.until.IsZero() && !now.Before(p.until) {
		if !p.moved {
			p.end(EndedClosed, nil, 0)
			return
		}
		p.until, p.moved = now.Add(p.halfClosed()), false
	}
	p.settlePending(now)
	if len(p.app.kept) > 0 || p.beatDue || p.cfg.tooFast(now) {
		p.beat.Unread() // its pong was not read, or our ping waits for a frame's end
	}
	if !p.pings() {
		return
	}
	verdict := p.beat.Tick(now)
	if verdict == heartbeat.VerdictDead && p.cfg.PlainHeartbeat == PlainMeasure {
		p.beat.Connected(now) // somebody else has to find that out
		return
	}
	switch verdict {
	case heartbeat.VerdictSend:
		if p.leavesPings(now) {
			p.beat.Skip(now)
			return
		}
		p.beatOut = p.beat.Next(now, uint64(now.UnixMilli()))
		p.beatDue = true
	case heartbeat.VerdictDead:
		// Without us the app would have learned of a dead client by a
		// connection that breaks, and so it does.
		p.end(EndedTimeout, &wire.CloseError{Code: ws.StatusAbnormalClosure, Reason: "no heartbeat"}, 0)
	}
}

// pings reports whether the client is to be pinged at all.
func (p *Plain) pings() bool { return !p.blind && p.cfg.PlainHeartbeat != PlainOff }

// End ends both sides: the client with a code, the app with 1001. What the
// client has in part it gets whole before, if that does not take longer than
// handoverWait.
func (p *Plain) End(now time.Time, why Ending, code ws.StatusCode) {
	if p.pending.close == nil {
		p.pending = pendingClose{why: why, close: &wire.CloseError{Code: code, Reason: why.String()}, deadline: now.Add(handoverWait)}
	}
	p.settlePending(now)
}

// settlePending takes the end that is pending, once the client has the message
// whole, or can not get it.
func (p *Plain) settlePending(now time.Time) {
	l := &p.pending
	whole := (p.blind || p.app.between() && !p.app.open) && len(p.client.kept) == 0 && len(p.client.lent) == 0
	if l.close != nil && (whole || p.app.gone || !now.Before(l.deadline)) {
		p.end(l.why, l.close, ws.StatusGoingAway)
	}
}

func (p *Plain) end(why Ending, drop *wire.CloseError, appCloseCode ws.StatusCode) {
	if p.ended != 0 {
		return
	}
	if drop == nil {
		drop = &wire.CloseError{Code: ws.StatusAbnormalClosure, Reason: why.String()}
	}
	p.ended, p.drop, p.appCloseCode = why, drop, appCloseCode
	p.beat.Disconnected()
}

package session

import (
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/wire"
)

// Plain is the pass-through for a client that did not negotiate wsr.v1. Bytes
// go through as they came: opcodes, fragments, extensions, masks, the app's
// own pings, close frames. All that is added is a Ping to the client now and
// then, between two frames, and all that is taken out is its Pong (I10).
//
// Frames are followed but not collected, so a frame of any size passes
// without being held. Plain is driven like Session.
type Plain struct {
	cfg      *Config
	counters Counters

	client, app plainLeg

	beat    heartbeat.Monitor
	beatDue bool
	beatOut heartbeat.Payload
	ping    [2 + heartbeat.PayloadSize]byte // its frame, while it is written

	pending      pendingClose
	ended        Ending
	reported     bool
	until        time.Time // how long one side may outlive the other
	drop         *wire.CloseError
	appCloseCode ws.StatusCode // 0: the app gets no close frame
}

// halfClosed is how long one side may go on after the other sent its last
// byte: enough for the rest of a close handshake and more.
const halfClosed = time.Minute

// pendingClose is an end that waits until the client has a message whole.
type pendingClose struct {
	why      Ending
	close    *wire.CloseError // nil: none is pending
	deadline time.Time        // when it waits no longer
}

// plainLeg is one side: where bytes come from, and where the other's go to.
type plainLeg struct {
	rules   frame.Rules
	flow    frame.Flow
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
// extended reports whether any extension was negotiated, so that reserved bits
// may be set.
func NewPlain(cfg *Config, now time.Time, extended bool) *Plain {
	p := &Plain{cfg: cfg}
	p.client.rules.Masked = true
	if extended {
		p.client.rules.Rsv, p.app.rules.Rsv = frame.AnyRSV, frame.AnyRSV
	}
	p.beat.Init(cfg.Heartbeat, now)
	p.beat.Connected(now)
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
// a frame's header, and a pong that may be ours, must be complete.
func (p *Plain) pass(now time.Time, from, to *plainLeg, b []byte) int {
	used := 0
	for used < len(b) && p.ended == 0 && len(to.lent) < maxParts && len(to.kept) == 0 {
		n := from.passPayload(to, b[used:])
		if n == 0 {
			n = p.passHeader(now, from, to, b[used:])
		}
		if n == 0 {
			break
		}
		used += n
	}
	if p.ended != 0 {
		return len(b)
	}
	return used
}

// passPayload lends what b has of the current frame's payload.
func (l *plainLeg) passPayload(to *plainLeg, b []byte) int {
	n := min(l.left, len(b))
	if n > 0 {
		l.left -= n
		to.lend(b[:n])
	}
	return n
}

// passHeader lends the header that b begins with, or takes out the answer to
// our ping. It uses nothing while it lacks bytes, and none at the end of the
// message that a pending close waited for.
func (p *Plain) passHeader(now time.Time, from, to *plainLeg, b []byte) int {
	if from == &p.app {
		if p.pending.close != nil && !from.flow.Open() {
			return 0
		}
		p.addPing()
	}
	h, err := from.rules.Parse(b)
	if err == frame.ErrShort {
		return 0
	}
	if err == nil {
		err = from.flow.Next(&h)
	}
	if err != nil {
		p.broke(from, err)
		return 0
	}
	if from == &p.client && h.OpCode == ws.OpPong && h.Length == heartbeat.PayloadSize {
		if len(b) < h.Total() {
			return 0
		}
		if p.takePong(now, b[h.Size:h.Total()], h.Mask) {
			return h.Total()
		}
	}
	p.count(from, &h)
	from.closing = from.closing || h.OpCode == ws.OpClose
	from.left = int(h.Length)
	to.lend(b[:h.Size])
	return h.Size
}

func (l *plainLeg) lend(b []byte) { l.lent = appendPart(l.lent, b) }

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

// takePong reports whether a pong answers one of our pings, be it late. The
// payload is unmasked in a copy, since another pong passes as it came.
func (p *Plain) takePong(now time.Time, payload []byte, mask [4]byte) bool {
	var buf [heartbeat.PayloadSize]byte
	copy(buf[:], payload)
	frame.Mask(buf[:], mask, 0)
	beat, err := heartbeat.ParsePayload(buf[:])
	if err != nil || beat.Seq == 0 || beat.Seq > p.beatOut.Seq || beat.TimeMillis > p.beatOut.TimeMillis {
		return false
	}
	if p.beat.Answer(now, beat) == nil {
		p.counters.BeatsHeard++
	} else {
		p.counters.BeatsDropped++
	}
	return true
}

// addPing puts a due heartbeat between two frames of the app.
func (p *Plain) addPing() {
	if !p.beatDue || p.app.closing || p.client.closing || p.client.shut {
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
		p.end(EndedClosed, nil, 0)
		return
	}
	p.settlePending(now)
	if len(p.app.kept) > 0 {
		p.beat.Unread() // the client is not read: its pong may have come
	}
	switch p.beat.Tick(now) {
	case heartbeat.VerdictSend:
		p.beatOut = p.beat.Next(now, uint64(now.UnixMilli()))
		p.beatDue = true
	case heartbeat.VerdictDead:
		// Without us the app would have learned of a dead client by a
		// connection that breaks, and so it does.
		p.end(EndedTimeout, &wire.CloseError{Code: ws.StatusAbnormalClosure, Reason: "no heartbeat"}, 0)
	}
}

// broke ends both sides for a violation of one of them (RFC 6455 §7.1.7).
func (p *Plain) broke(from *plainLeg, err error) {
	if from == &p.app {
		p.end(EndedAppProtocol, &wire.CloseError{Code: wire.CodeBadGateway, Reason: "app: " + err.Error()}, ws.StatusProtocolError)
		return
	}
	p.end(EndedProtocol, &wire.CloseError{Code: ws.StatusProtocolError, Reason: err.Error()}, ws.StatusGoingAway)
}

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
	whole := p.app.left == 0 && !p.app.flow.Open() && len(p.client.kept) == 0 && len(p.client.lent) == 0
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

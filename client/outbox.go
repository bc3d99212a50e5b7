package client

import (
	"bytes"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/seqwindow"
)

// outbox holds the messages that the sidecar has not acknowledged, as masked
// frames: masked once, and sent again as they are.
//
// Positions inside are the window's own. A sidecar that adopted the session
// may count differently (PROTOCOL §8.3); shift is what to add for the wire.
type outbox struct {
	window seqwindow.Sender
	sizes  fifo[int] // of each message in window; negative: it has a key in front
	keyed  int       // of them with a key in front
	limits seqwindow.Limits
	shift  seqwindow.Serial

	// acked can be ahead of the window: after a resume with early data the
	// sidecar may acknowledge what was not yet sent on this connection, and
	// since it counts what comes (PROTOCOL §3.1), that must still be sent.
	acked   seqwindow.Serial
	highest seqwindow.Serial // last message that was sent in full on any connection of the session
	former  seqwindow.Serial // the same in the session before, if it was renewed
	awaited seqwindow.Serial // last message whose acknowledgement somebody waits for

	limit         int              // bytes that may be in flight (PROTOCOL §5.3)
	admitted      seqwindow.Serial // last message that may be sent on this connection
	inFlight      int              // cost of the admitted ones that are not acknowledged
	admittedBytes int              // bytes of frames up to admitted that are to be taken
	parts         [][]byte         // scratch

	// A message may be what the peer, or something on the way, refuses (PROTOCOL
	// §9.1). Up to singly only one at a time is sent.
	singly   seqwindow.Serial
	refusal  refusal
	rejected []seqwindow.Serial // the newest that were put out of the outbox
}

// A refusal names the message that was alone under way when a connection ended
// with code; there was none if that is 0.
type refusal struct {
	at   seqwindow.Serial
	code ws.StatusCode
}

// maxRejected is how many rejected messages a waiting WriteAcked finds.
const maxRejected = 256

// messageCost returns what a frame counts at most in the sidecar's window: its
// payload and 16 bytes. A client's frame has a header of at least 6.
func messageCost(raw int) int { return raw - 6 + 16 }

func (o *outbox) init(limits seqwindow.Limits, acked seqwindow.Serial, limit int) {
	o.window.Init(seqwindow.NewPool(0), limits, acked)
	o.acked, o.highest, o.former, o.awaited, o.admitted, o.limit = acked, acked, acked, acked, acked, limit
	o.singly, o.limits = acked, limits
}

// add appends a frame and returns its position; seqwindow.ErrFull says that
// there is no room now.
func (o *outbox) add(raw []byte) (seqwindow.Serial, error) {
	if err := o.window.Append(raw, 0); err != nil {
		return 0, err
	}
	size := len(raw)
	if key, _ := keyFrame(raw); key > 0 {
		o.keyed++
		size = -size
	}
	o.sizes.push(size)
	return o.window.Head(), nil
}

// next returns the number on the wire of the first message that is not
// acknowledged.
func (o *outbox) next() uint32 { return uint32(o.acked + 1 + o.shift) }

// sent returns the number on the wire of the last message that was sent on
// this connection.
func (o *outbox) sent() uint32 { return uint32(o.window.Sent() + o.shift) }

// unacked returns how many messages wait for an acknowledgement.
func (o *outbox) unacked() int { return int(o.window.Head() - o.acked) }

// idle reports whether every message was given to the connection.
func (o *outbox) idle() bool { return !o.window.Unsent() }

// restOfMessage returns how many bytes are left of a message that was taken in
// part.
func (o *outbox) restOfMessage() (n int) {
	o.parts = o.window.PendingMessage(o.parts[:0])
	for _, b := range o.parts {
		n += len(b)
	}
	clear(o.parts)
	return n
}

// restart starts a connection whose peer has everything up to position.
func (o *outbox) restart(position seqwindow.Serial) error {
	before := o.window.Acked()
	if err := o.window.Rewind(position); err != nil {
		return err
	}
	o.forget(int(position - before))
	o.admitted, o.inFlight, o.admittedBytes = position, 0, 0
	o.setAcked(position)
	return nil
}

func (o *outbox) setAcked(position seqwindow.Serial) {
	if o.acked = position; seqwindow.Less(o.singly, position) {
		o.singly = position
	}
}

// oneByOne reports whether only one message may be under way: one of them ended
// a connection, and it is not known which.
func (o *outbox) oneByOne() bool { return seqwindow.Less(o.acked, o.singly) }

// refused handles that a connection ended with a code that refuses a message.
func (o *outbox) refused(code ws.StatusCode) {
	last := o.window.Sent()
	if o.window.MidMessage() {
		last++
	}
	switch {
	case seqwindow.LessEq(last, o.acked): // none was under way
	case o.oneByOne():
		o.refusal = refusal{last, code}
	default:
		o.singly = last
	}
}

// reject puts a frame in the place of the refused message, unless that was
// acknowledged, and returns the message's. Nothing was sent yet on this
// connection.
func (o *outbox) reject(skipped []byte) (raw []byte, code ws.StatusCode) {
	r := o.refusal
	o.refusal = refusal{}
	if r.code == 0 || r.at != o.window.Acked()+1 {
		return nil, 0
	}
	var rest seqwindow.Sender
	rest.Init(seqwindow.NewPool(0), seqwindow.Limits{Messages: o.window.Len(), Bytes: o.window.Bytes() + len(skipped)}, o.window.Acked())
	o.window.Each(o.window.Acked(), func(seq seqwindow.Serial, stamp uint32, parts [][]byte) bool {
		if seq == r.at {
			raw, parts = bytes.Join(parts, nil), [][]byte{skipped}
		}
		if err := rest.AppendV(parts, stamp); err != nil {
			panic(err) // it has room for what is there
		}
		return true
	})
	o.window.Replace(&rest)
	if o.sizes.at(0) < 0 {
		o.keyed--
	}
	o.sizes.set(0, len(skipped))
	if len(o.rejected) == maxRejected {
		o.rejected = o.rejected[1:]
	}
	o.rejected = append(o.rejected, r.at)
	return raw, r.code
}

// ack handles an acknowledgement, seq being the number on the wire. One that
// repeats or goes backwards is ignored.
func (o *outbox) ack(seq uint32) error {
	n := seqwindow.Serial(seq) - o.shift
	if seqwindow.LessEq(n, o.acked) {
		return nil
	}
	if !seqwindow.LessEq(n, o.highest) {
		return seqwindow.ErrBeyond
	}
	for s := o.acked; s != n; {
		if s++; seqwindow.LessEq(s, o.admitted) {
			o.inFlight -= messageCost(o.size(s))
		}
	}
	o.setAcked(n)
	o.release()
	return nil
}

// release frees what is acknowledged and was sent on this connection.
func (o *outbox) release() {
	to := o.acked
	if seqwindow.Less(o.window.Sent(), to) {
		to = o.window.Sent()
	}
	freed, err := o.window.Ack(to)
	if err != nil {
		panic(err) // to is at most Sent
	}
	o.forget(freed)
}

func (o *outbox) forget(n int) {
	for range n {
		if o.sizes.pop() < 0 {
			o.keyed--
		}
	}
}

func (o *outbox) size(s seqwindow.Serial) int {
	n := o.sizes.at(int(s - o.window.Acked() - 1))
	return max(n, -n)
}

// admit admits as many messages as the sidecar's window has room for, and one
// in any case (PROTOCOL §5.3). It reports whether there is something to take.
func (o *outbox) admit() bool {
	limit := o.limit
	if o.oneByOne() {
		limit = 0
	}
	for o.admitted != o.window.Head() {
		s, cost := o.admitted+1, 0
		if !seqwindow.LessEq(s, o.acked) {
			cost = messageCost(o.size(s))
		}
		if o.inFlight > 0 && o.inFlight+cost > limit {
			break
		}
		o.admitted = s
		o.inFlight += cost
		o.admittedBytes += o.size(s)
	}
	return o.admittedBytes > 0
}

// take appends to dst what is to be written next, until dst has size bytes.
func (o *outbox) take(dst []byte, size int) []byte {
	for len(dst) < size && o.admit() {
		o.parts = o.window.Pending(o.parts[:0], min(size-len(dst), o.admittedBytes))
		n := len(dst)
		for _, b := range o.parts {
			dst = append(dst, b[:min(len(b), size-len(dst))]...)
		}
		clear(o.parts)
		o.admittedBytes -= len(dst) - n
		o.window.Advance(len(dst) - n)
		if seqwindow.Less(o.highest, o.window.Sent()) {
			o.highest = o.window.Sent()
		}
		o.release()
	}
	return dst
}

// remaining calls f with each message that is not acknowledged; sent reports
// whether it was sent in full on any connection.
func (o *outbox) remaining(f func(raw []byte, sent bool)) {
	o.window.Each(o.acked, func(seq seqwindow.Serial, _ uint32, parts [][]byte) bool {
		f(bytes.Join(parts, nil), seqwindow.LessEq(seq, o.highest) || seqwindow.LessEq(seq, o.former))
		return true
	})
}

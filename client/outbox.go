package client

import (
	"github.com/wsresilience/wsresilience/seqwindow"
)

// outbox holds the messages that the sidecar has not acknowledged, as masked
// frames: masked once, and sent again as they are.
//
// Positions inside are the window's own. A sidecar that adopted the session
// may count differently (PROTOCOL §8.3); shift is what to add for the wire.
type outbox struct {
	window seqwindow.Sender
	sizes  fifo[int] // raw size of each message in window
	shift  seqwindow.Serial

	// acked can be ahead of the window: after a resume with early data the
	// sidecar may acknowledge what this connection has not carried yet, and
	// since it counts what comes (PROTOCOL §3.1), that must still be sent.
	acked   seqwindow.Serial
	highest seqwindow.Serial // last message wholly sent on any connection

	limit  int              // bytes that may be under way (PROTOCOL §5.3)
	flying seqwindow.Serial // last message that this connection may carry
	flight int              // cost of those that are not acknowledged
	left   int              // raw bytes up to flying that are to be taken
	parts  [][]byte         // scratch
}

// messageCost is what a raw frame counts at most in the sidecar's window: its
// payload and 16 bytes. A client's frame has a header of at least 6.
func messageCost(raw int) int { return raw - 6 + 16 }

func (o *outbox) init(limits seqwindow.Limits, acked seqwindow.Serial, limit int) {
	o.window.Init(seqwindow.NewPool(0), limits, acked)
	o.acked, o.highest, o.flying, o.limit = acked, acked, acked, limit
}

// add appends a frame and returns its position; seqwindow.ErrFull says that
// there is no room now.
func (o *outbox) add(raw []byte) (seqwindow.Serial, error) {
	if err := o.window.Append(raw, 0); err != nil {
		return 0, err
	}
	o.sizes.push(len(raw))
	return o.window.Head(), nil
}

// next returns the wire's number of the first message that is not
// acknowledged.
func (o *outbox) next() uint32 { return uint32(o.acked + 1 + o.shift) }

// sent returns the wire's number of the last message on this connection.
func (o *outbox) sent() uint32 { return uint32(o.window.Sent() + o.shift) }

// unacked is how many messages wait for an acknowledgement.
func (o *outbox) unacked() int { return int(o.window.Head() - o.acked) }

// idle tells that every message was handed to the connection.
func (o *outbox) idle() bool { return !o.window.Unsent() }

// rest is what is left of a message that was taken in part.
func (o *outbox) rest() (n int) {
	o.parts = o.window.PendingMessage(o.parts[:0])
	for _, b := range o.parts {
		n += len(b)
	}
	clear(o.parts)
	return n
}

// restart begins a connection whose peer has everything up to position.
func (o *outbox) restart(position seqwindow.Serial) error {
	before := o.window.Acked()
	if err := o.window.Rewind(position); err != nil {
		return err
	}
	o.forget(int(position - before))
	o.acked, o.flying, o.flight, o.left = position, position, 0, 0
	return nil
}

// ack takes an acknowledgement in the wire's numbers. One that repeats or
// goes backwards is ignored.
func (o *outbox) ack(seq uint32) error {
	n := seqwindow.Serial(seq) - o.shift
	if seqwindow.LessEq(n, o.acked) {
		return nil
	}
	if !seqwindow.LessEq(n, o.highest) {
		return seqwindow.ErrBeyond
	}
	for s := o.acked; s != n; {
		if s++; seqwindow.LessEq(s, o.flying) {
			o.flight -= messageCost(o.size(s))
		}
	}
	o.acked = n
	o.release()
	return nil
}

// release lets go of what is acknowledged and was sent on this connection.
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
		o.sizes.pop()
	}
}

func (o *outbox) size(s seqwindow.Serial) int {
	return o.sizes.at(int(s - o.window.Acked() - 1))
}

// admit lets as many messages fly as the sidecar's window allows, and one in
// any case (PROTOCOL §5.3). It tells whether there is something to take.
func (o *outbox) admit() bool {
	for o.flying != o.window.Head() {
		s, cost := o.flying+1, 0
		if !seqwindow.LessEq(s, o.acked) {
			cost = messageCost(o.size(s))
		}
		if o.flight > 0 && o.flight+cost > o.limit {
			break
		}
		o.flying = s
		o.flight += cost
		o.left += o.size(s)
	}
	return o.left > 0
}

// take appends to dst what is to be written next, until dst is size long.
func (o *outbox) take(dst []byte, size int) []byte {
	for len(dst) < size && o.admit() {
		o.parts = o.window.Pending(o.parts[:0], min(size-len(dst), o.left))
		n := len(dst)
		for _, b := range o.parts {
			dst = append(dst, b[:min(len(b), size-len(dst))]...)
		}
		clear(o.parts)
		o.left -= len(dst) - n
		o.window.Advance(len(dst) - n)
		if seqwindow.Less(o.highest, o.window.Sent()) {
			o.highest = o.window.Sent()
		}
		o.release()
	}
	return dst
}

package load

import (
	"bytes"
	"fmt"
	"time"

	"github.com/gobwas/ws"
)

// stampGrain is how coarsely the sidecar counts the age of a message.
const stampGrain = time.Millisecond

// An AckMeter measures how punctual the acknowledgements of a client are. It cannot
// see one arrive, but an answer to what was sent after it shows that it did.
// So an age is taken from before the message can have existed until its
// acknowledgement must have been processed, and is never too short.
type AckMeter struct {
	Client   *Client
	Limit    time.Duration // WSR_PERSIST_AFTER
	Messages int64
	Late     int64

	open  batch // not acknowledged yet
	acked batch // acknowledged, and not known to have arrived
}

type batch struct {
	since time.Time // when the first of its messages was asked for
	n     int64
}

// Burst asks for n messages and takes them, acknowledging as ever.
func (w *AckMeter) Burst(payload []byte, n int) error {
	p, began := w.Client, time.Now()
	p.Sent += uint32(n)
	if err := p.repeat(ws.OpBinary, payload, n); err != nil {
		return err
	}
	for i := range n {
		got, err := p.Next()
		if err == nil && !bytes.Equal(got, payload) {
			err = fmt.Errorf("load: message %d of a burst: %d bytes, want %d", i+1, len(got), len(payload))
		}
		if err != nil {
			return err
		}
		now := time.Now()
		w.arrived(now) // it was sent after all that the burst before acknowledged
		if err := p.ackIfDue(now); err != nil {
			return err
		}
	}
	w.took(began, int64(n))
	return nil
}

// took counts a burst that began then, and what its acknowledgements covered.
func (w *AckMeter) took(began time.Time, n int64) {
	w.Messages += n
	if w.open.n == 0 {
		w.open.since = began
	}
	w.open.n += n
	left := int64(w.Client.Received - w.Client.Acked)
	if left == w.open.n {
		return
	}
	if w.acked.n == 0 {
		w.acked.since = w.open.since
	}
	w.acked.n += w.open.n - left
	w.open = batch{began, left} // an acknowledgement covers all before this burst
}

// arrived notes that the acknowledgements sent so far were processed by now.
func (w *AckMeter) arrived(now time.Time) {
	if w.acked.n > 0 && now.Sub(w.acked.since) >= w.Limit-stampGrain {
		w.Late += w.acked.n
	}
	w.acked = batch{}
}

// Confirm acknowledges the rest and waits until that must have been processed:
// the sidecar answers a ping in its turn.
func (w *AckMeter) Confirm() error {
	p := w.Client
	if err := p.Ack(); err != nil {
		return err
	}
	w.took(time.Now(), 0)
	if err := p.Write(ws.OpPing, nil); err != nil {
		return err
	}
	for {
		m, err := p.message()
		if err != nil {
			return err
		}
		if m.OpCode == ws.OpPong {
			w.arrived(time.Now())
			return nil
		}
		if data, err := p.handle(&m); data || err != nil {
			return fmt.Errorf("load: in place of a pong: data %v, %w", data, err)
		}
	}
}

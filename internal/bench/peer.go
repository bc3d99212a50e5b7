package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/wire"
)

// Protocol constants: what a client does at most before it acknowledges.
// PROTOCOL §5.1 asks for 32 messages, and 25 ms with room for a late clock.
const (
	ackMessages = 32
	ackDelay    = 20 * time.Millisecond

	// From these on an acknowledgement goes with a message that is written
	// anyway, as the Go client does it.
	rideMessages = ackMessages * 3 / 4
	rideDelay    = ackDelay * 3 / 4
)

// Implementation limits of the load client.
const (
	// readBytes holds a few messages; it grows for larger ones.
	readBytes = 2 << 10

	// maxMessage is above any -size that makes sense here.
	maxMessage = 1 << 20
)

// A peer is one connection of the load, plain or resilient. It spends as
// little as it can, since it shares the processors with what is measured. It
// is not safe for concurrent use.
type peer struct {
	conn      net.Conn
	resilient bool
	adopt     bool                 // it offers wsr.adopt
	welcome   *wire.WelcomeMessage // the newest; nil for a plain peer
	greeted   time.Duration        // from the newest request to its WELCOME, or to 101 if plain

	messages frame.Messages
	in       []byte // in[start:end] was read and not yet consumed
	start    int
	end      int
	out      []byte

	sent     uint32 // seq of the last data message to the sidecar
	received uint32 // and from it
	acked    uint32
	first    time.Time // when the first message came that is not acked
	told     time.Time // when acked was told
	onBeat   func()    // hears of every HEARTBEAT; may be nil
}

// newPeer takes a connection whose upgrade is done; early is what followed
// the answer. A resilient peer waits for WELCOME.
func newPeer(conn net.Conn, early []byte, resilient bool) (*peer, error) {
	p := &peer{resilient: resilient}
	p.use(conn, early)
	if !resilient {
		return p, nil
	}
	if err := p.greet(); err != nil {
		return nil, err
	}
	if p.welcome.Status != wire.StatusNew || p.welcome.NextOutbound != 1 {
		return nil, fmt.Errorf("bench: WELCOME of a new session says %v, next outbound %d", p.welcome.Status, p.welcome.NextOutbound)
	}
	return p, nil
}

// roundTrip sends one data message and wants it back.
func (p *peer) roundTrip(payload []byte) error {
	if err := p.say(ws.OpBinary, payload); err != nil {
		return err
	}
	got, err := p.next()
	if err != nil {
		return err
	}
	if !bytes.Equal(got, payload) {
		return fmt.Errorf("bench: echo of message %d: sent %d bytes, got %d others", p.sent, len(payload), len(got))
	}
	return p.ackIfDue(time.Now())
}

// next returns the payload of the next data message, valid until the next
// call, and answers what comes before it.
func (p *peer) next() ([]byte, error) {
	for {
		m, err := p.message()
		if err != nil {
			return nil, err
		}
		if data, err := p.sort(&m); data || err != nil {
			return m.Payload(), err
		}
	}
}

// sort answers pings and control messages, and tells whether m is data.
func (p *peer) sort(m *frame.Message) (data bool, err error) {
	switch m.OpCode {
	case ws.OpPing:
		return false, p.write(ws.OpPong, m.Payload())
	case ws.OpPong:
		return false, nil
	case ws.OpClose:
		return false, fmt.Errorf("bench: peer closed: % x", m.Payload())
	}
	if p.resilient && m.OpCode == ws.OpBinary && wire.IsMagic(m.Payload()) {
		return false, p.control(m.Payload())
	}
	if p.received++; p.received == p.acked+1 {
		p.first = time.Now()
	}
	return true, nil
}

// control handles a control message of a session under way (PROTOCOL §4).
func (p *peer) control(msg []byte) error {
	switch t, _ := wire.TypeOf(msg); t {
	case wire.Ack:
		seq, err := wire.ParseAck(msg)
		if err == nil && int32(p.sent-seq) < 0 {
			err = fmt.Errorf("bench: ACK %d of %d messages", seq, p.sent)
		}
		return err
	case wire.Heartbeat:
		b, err := wire.ParseBeat(msg, t)
		if err != nil {
			return err
		}
		if b.Sent != p.received {
			return fmt.Errorf("bench: HEARTBEAT counts %d messages, %d came", b.Sent, p.received)
		}
		if p.onBeat != nil {
			p.onBeat()
		}
		b.Sent, b.Ack = p.sent, p.tell(time.Now())
		return p.write(ws.OpBinary, wire.AppendBeat(nil, wire.HeartbeatAck, b))
	case wire.Close:
		code, reason, err := wire.ParseClose(msg)
		if err == nil {
			err = &wire.CloseError{Code: code, Reason: reason, Remote: true}
		}
		return err
	case wire.GoAway:
		return nil
	default:
		return fmt.Errorf("bench: %v in the middle of a session", t)
	}
}

// ackIfDue acknowledges in a message of its own, as a client library does
// that does not wait for its application to speak.
func (p *peer) ackIfDue(now time.Time) error {
	due := p.received-p.acked >= ackMessages || p.received != p.acked && now.Sub(p.first) >= ackDelay
	if !p.resilient || !due {
		return nil
	}
	return p.ack()
}

func (p *peer) ack() error {
	return p.write(ws.OpBinary, wire.AppendAck(make([]byte, 0, 16), p.tell(time.Now())))
}

// tell returns what is acknowledged now.
func (p *peer) tell(now time.Time) uint32 {
	p.acked, p.told = p.received, now
	return p.acked
}

// rest acknowledges what is open and then stays connected, answering
// heartbeats and pings, until the connection ends.
func (p *peer) rest() error {
	if p.resilient {
		if err := p.ack(); err != nil {
			return err
		}
	}
	if _, err := p.next(); err != nil {
		return err
	}
	return errors.New("bench: data on an idle connection")
}

// close ends the session and not only the connection, so that the sidecar
// holds nothing of it in the next round.
func (p *peer) close() error {
	defer p.conn.Close()
	if err := p.conn.SetDeadline(time.Now().Add(closeLimit)); err != nil {
		return err
	}
	if !p.resilient {
		return p.write(ws.OpClose, []byte{byte(ws.StatusNormalClosure >> 8), byte(ws.StatusNormalClosure & 0xff)})
	}
	if err := p.ack(); err != nil {
		return err
	}
	if err := p.write(ws.OpBinary, wire.AppendClose(nil, ws.StatusNormalClosure, "")); err != nil {
		return err
	}
	_, err := p.next()
	var closed *wire.CloseError
	if errors.As(err, &closed) {
		return nil
	}
	return fmt.Errorf("bench: CLOSE was not answered: %w", err)
}

// rides has the rule of seqwindow.Receiver.ShouldPiggyback.
func (p *peer) rides(now time.Time) bool {
	last := p.told
	if last.IsZero() {
		last = p.first
	}
	return p.received != p.acked && (p.received-p.acked >= rideMessages || now.Sub(last) >= rideDelay)
}

// say sends one data message, and an acknowledgement before it if one rides.
func (p *peer) say(opcode ws.OpCode, payload []byte) error {
	p.sent++
	p.out = p.out[:0]
	if now := time.Now(); p.resilient && p.rides(now) {
		p.out = frame.Append(p.out, header(ws.OpBinary), wire.AppendAck(make([]byte, 0, 16), p.tell(now)))
	}
	p.out = frame.Append(p.out, header(opcode), payload)
	_, err := p.conn.Write(p.out)
	return err
}

// header is that of a frame to the proxy. The mask is fixed: what it hides from
// does not stand between these processes.
func header(opcode ws.OpCode) ws.Header {
	return ws.Header{Fin: true, OpCode: opcode, Masked: true, Mask: [4]byte{0x37, 0xfa, 0x21, 0x3d}}
}

// write sends one frame.
func (p *peer) write(opcode ws.OpCode, payload []byte) error { return p.repeat(opcode, payload, 1) }

// repeat sends the same frame n times in one go.
func (p *peer) repeat(opcode ws.OpCode, payload []byte, n int) error {
	p.out = p.out[:0]
	for range n {
		p.out = frame.Append(p.out, header(opcode), payload)
	}
	_, err := p.conn.Write(p.out)
	return err
}

// message reads until a message is complete.
func (p *peer) message() (frame.Message, error) {
	for {
		m, n, ok, err := p.messages.Next(p.in[p.start:p.end])
		p.start += n
		if ok || err != nil {
			return m, err
		}
		p.makeRoom()
		got, err := p.conn.Read(p.in[p.end:])
		if got == 0 && err != nil {
			return m, err
		}
		p.end += got
	}
}

// makeRoom moves what is left to the front, and doubles a buffer that is full.
func (p *peer) makeRoom() {
	if p.start > 0 {
		p.end = copy(p.in, p.in[p.start:p.end])
		p.start = 0
	}
	if p.end == len(p.in) {
		p.in = append(p.in, make([]byte, max(p.end, 1))...)
	}
}

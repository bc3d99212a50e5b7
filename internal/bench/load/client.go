package load

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
	AckDelay    = 20 * time.Millisecond

	// From these on an acknowledgement goes with a message that is written
	// anyway, as the Go client does it.
	rideMessages = ackMessages * 3 / 4
	rideDelay    = AckDelay * 3 / 4
)

// Implementation limits of the load client.
const (
	// readBytes holds a few messages; it grows for larger ones.
	readBytes = 2 << 10

	// MaxMessage is above any -size that makes sense here.
	MaxMessage = 1 << 20
)

// A Client is one connection of the load, plain or resilient. It spends as
// little as it can, since it shares the processors with what is measured. It
// is not safe for concurrent use.
type Client struct {
	conn      net.Conn
	resilient bool
	adopt     bool                 // it offers wsr.adopt
	Welcome   *wire.WelcomeMessage // the newest; nil for a plain peer
	Greeted   time.Duration        // from the newest request to its WELCOME, or to 101 if plain

	messages frame.Messages
	in       []byte // in[start:end] was read and not yet consumed
	start    int
	end      int
	out      []byte

	Sent     uint32 // seq of the last data message to the sidecar
	Received uint32 // and from it
	Acked    uint32
	first    time.Time // when the first message came that is not acked
	told     time.Time // when acked was told
	OnBeat   func()    // hears of every HEARTBEAT; may be nil
}

// newClient takes a connection whose upgrade is done; early is what followed
// the answer. A resilient client waits for WELCOME.
func newClient(conn net.Conn, early []byte, resilient bool) (*Client, error) {
	p := &Client{resilient: resilient}
	p.use(conn, early)
	if !resilient {
		return p, nil
	}
	if err := p.greet(); err != nil {
		return nil, err
	}
	if p.Welcome.Status != wire.StatusNew || p.Welcome.NextOutbound != 1 {
		return nil, fmt.Errorf("load: WELCOME of a new session says %v, next outbound %d", p.Welcome.Status, p.Welcome.NextOutbound)
	}
	return p, nil
}

// RoundTrip sends one data message and wants it back.
func (p *Client) RoundTrip(payload []byte) error {
	if err := p.Say(ws.OpBinary, payload); err != nil {
		return err
	}
	got, err := p.Next()
	if err != nil {
		return err
	}
	if !bytes.Equal(got, payload) {
		return fmt.Errorf("load: echo of message %d: sent %d bytes, got %d others", p.Sent, len(payload), len(got))
	}
	return p.ackIfDue(time.Now())
}

// Next returns the payload of the next data message, valid until the next
// call, and answers what comes before it.
func (p *Client) Next() ([]byte, error) {
	for {
		m, err := p.message()
		if err != nil {
			return nil, err
		}
		if data, err := p.handle(&m); data || err != nil {
			return m.Payload(), err
		}
	}
}

// handle answers pings and control messages, and reports whether m is data.
func (p *Client) handle(m *frame.Message) (data bool, err error) {
	switch m.OpCode {
	case ws.OpPing:
		return false, p.Write(ws.OpPong, m.Payload())
	case ws.OpPong:
		return false, nil
	case ws.OpClose:
		return false, fmt.Errorf("load: peer closed: % x", m.Payload())
	}
	if p.resilient && m.OpCode == ws.OpBinary && wire.IsMagic(m.Payload()) {
		return false, p.control(m.Payload())
	}
	if p.Received++; p.Received == p.Acked+1 {
		p.first = time.Now()
	}
	return true, nil
}

// control handles a control message of a session under way (PROTOCOL §4).
func (p *Client) control(msg []byte) error {
	switch t, _ := wire.TypeOf(msg); t {
	case wire.Ack:
		seq, err := wire.ParseAck(msg)
		if err == nil && int32(p.Sent-seq) < 0 {
			err = fmt.Errorf("load: ACK %d of %d messages", seq, p.Sent)
		}
		return err
	case wire.Heartbeat:
		b, err := wire.ParseBeat(msg, t)
		if err != nil {
			return err
		}
		if b.Sent != p.Received {
			return fmt.Errorf("load: HEARTBEAT counts %d messages, %d came", b.Sent, p.Received)
		}
		if p.OnBeat != nil {
			p.OnBeat()
		}
		b.Sent, b.Ack = p.Sent, p.takeAck(time.Now())
		return p.Write(ws.OpBinary, wire.AppendBeat(nil, wire.HeartbeatAck, b))
	case wire.Close:
		code, reason, err := wire.ParseClose(msg)
		if err == nil {
			err = &wire.CloseError{Code: code, Reason: reason, Remote: true}
		}
		return err
	case wire.GoAway:
		return nil
	default:
		return fmt.Errorf("load: %v in the middle of a session", t)
	}
}

// ackIfDue acknowledges in a message of its own, as a client library does
// that does not wait for its application to speak.
func (p *Client) ackIfDue(now time.Time) error {
	due := p.Received-p.Acked >= ackMessages || p.Received != p.Acked && now.Sub(p.first) >= AckDelay
	if !p.resilient || !due {
		return nil
	}
	return p.Ack()
}

func (p *Client) Ack() error {
	return p.Write(ws.OpBinary, wire.AppendAck(make([]byte, 0, 16), p.takeAck(time.Now())))
}

// takeAck returns what is acknowledged now.
func (p *Client) takeAck(now time.Time) uint32 {
	p.Acked, p.told = p.Received, now
	return p.Acked
}

// Rest acknowledges what is open and then stays connected, answering
// heartbeats and pings, until the connection ends.
func (p *Client) Rest() error {
	if p.resilient {
		if err := p.Ack(); err != nil {
			return err
		}
	}
	if _, err := p.Next(); err != nil {
		return err
	}
	return errors.New("load: data on an idle connection")
}

// Close ends the session and not only the connection, so that the sidecar
// holds nothing of it in the next round.
func (p *Client) Close() error {
	defer p.conn.Close()
	if err := p.conn.SetDeadline(time.Now().Add(closeLimit)); err != nil {
		return err
	}
	if !p.resilient {
		return p.Write(ws.OpClose, []byte{byte(ws.StatusNormalClosure >> 8), byte(ws.StatusNormalClosure & 0xff)})
	}
	if err := p.Ack(); err != nil {
		return err
	}
	if err := p.Write(ws.OpBinary, wire.AppendClose(nil, ws.StatusNormalClosure, "")); err != nil {
		return err
	}
	_, err := p.Next()
	var closed *wire.CloseError
	if errors.As(err, &closed) {
		return nil
	}
	return fmt.Errorf("load: CLOSE was not answered: %w", err)
}

// shouldPiggyback has the rule of seqwindow.Receiver.ShouldPiggyback.
func (p *Client) shouldPiggyback(now time.Time) bool {
	last := p.told
	if last.IsZero() {
		last = p.first
	}
	return p.Received != p.Acked && (p.Received-p.Acked >= rideMessages || now.Sub(last) >= rideDelay)
}

// Say sends one data message, and an acknowledgement before it if one is due.
func (p *Client) Say(opcode ws.OpCode, payload []byte) error {
	p.Sent++
	p.out = p.out[:0]
	if now := time.Now(); p.resilient && p.shouldPiggyback(now) {
		p.out = frame.Append(p.out, header(ws.OpBinary), wire.AppendAck(make([]byte, 0, 16), p.takeAck(now)))
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

// Write sends one frame.
func (p *Client) Write(opcode ws.OpCode, payload []byte) error { return p.repeat(opcode, payload, 1) }

// repeat sends the same frame n times in one go.
func (p *Client) repeat(opcode ws.OpCode, payload []byte, n int) error {
	p.out = p.out[:0]
	for range n {
		p.out = frame.Append(p.out, header(opcode), payload)
	}
	_, err := p.conn.Write(p.out)
	return err
}

// message reads until a message is complete.
func (p *Client) message() (frame.Message, error) {
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
func (p *Client) makeRoom() {
	if p.start > 0 {
		p.end = copy(p.in, p.in[p.start:p.end])
		p.start = 0
	}
	if p.end == len(p.in) {
		p.in = append(p.in, make([]byte, max(p.end, 1))...)
	}
}

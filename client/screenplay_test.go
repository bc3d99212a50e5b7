package client

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/wire"
)

// stage is a scripted sidecar on a network of pipes, in virtual time.
type stage struct {
	t     *testing.T
	dials chan net.Conn
	down  bool // the network refuses dials
}

func newStage(t *testing.T) *stage { return &stage{t: t, dials: make(chan net.Conn, 8)} }

func (s *stage) options() *Options {
	return &Options{
		Subprotocols: []string{"chat"},
		NetDial: func(context.Context, string, string) (net.Conn, error) {
			if s.down {
				return nil, errors.New("network is down")
			}
			ours, theirs := net.Pipe()
			s.dials <- ours
			return theirs, nil
		},
	}
}

// peer is one connection as the script sees it.
type peer struct {
	t      *testing.T
	conn   net.Conn
	key    string // of the handshake
	url    string
	header http.Header
	offer  wire.Offer
	cut    frame.Messages
	in     []byte
	acked  uint32   // the newest ACK that passed by
	said   []string // what refuseAt read
}

// accept answers the next handshake with protocol.
func (s *stage) accept(protocol string) *peer {
	s.t.Helper()
	p := s.request()
	p.upgrade(protocol)
	return p
}

// request takes the next handshake without an answer.
func (s *stage) request() *peer {
	s.t.Helper()
	var conn net.Conn
	select {
	case conn = <-s.dials:
	case <-time.After(time.Minute):
		s.t.Fatal("the client did not dial within a minute")
	}
	req, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		s.t.Fatal(err)
	}
	var list []string
	for _, p := range strings.Split(req.Header.Get("Sec-WebSocket-Protocol"), ",") {
		list = append(list, strings.TrimSpace(p))
	}
	o, err := wire.ParseOffer(list)
	if err != nil {
		s.t.Fatal(err)
	}
	p := &peer{t: s.t, conn: conn, offer: o}
	p.cut = frame.Messages{Rules: frame.Rules{Masked: true}, Max: 1 << 20, Buffers: new(frame.Buffers)}
	p.key, p.url, p.header = req.Header.Get("Sec-WebSocket-Key"), req.RequestURI, req.Header
	return p
}

func (p *peer) upgrade(protocol string, more ...[]byte) {
	sum := sha1.Sum([]byte(p.key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	answer := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: " + base64.StdEncoding.EncodeToString(sum[:]) + "\r\n"
	if protocol != "" {
		answer += "Sec-WebSocket-Protocol: " + protocol + "\r\n"
	}
	p.raw(append([]byte(answer+"\r\n"), slices.Concat(more...)...))
}

func (p *peer) raw(b []byte) {
	p.t.Helper()
	if _, err := p.conn.Write(b); err != nil {
		p.t.Fatalf("the sidecar cannot write: %v", err)
	}
}

func frameOf(op ws.OpCode, b []byte) []byte {
	return frame.Append(nil, ws.Header{Fin: true, OpCode: op}, b)
}

func closing16(code ws.StatusCode) []byte { return binary.BigEndian.AppendUint16(nil, uint16(code)) }

func (p *peer) control(msg []byte) { p.t.Helper(); p.raw(frameOf(ws.OpBinary, msg)) }
func (p *peer) text(msg string)    { p.t.Helper(); p.raw(frameOf(ws.OpText, []byte(msg))) }

func welcome(status wire.Status, inboundAck, next uint32) *wire.WelcomeMessage {
	w := &wire.WelcomeMessage{
		Status: status, Epoch: 1, InboundAck: inboundAck, NextOutbound: next, HeartbeatMillis: 5000,
		TTLMillis: 300_000, Window: 1 << 20, MaxMessage: 1 << 20, Token: fmt.Sprintf("t%d-%d", status, next), Subprotocol: "chat",
	}
	if status == wire.StatusAdopted {
		w.Reason = wire.AdoptOwnerLost
	}
	return w
}

func (p *peer) welcome(status wire.Status, inboundAck, next uint32) {
	p.t.Helper()
	p.control(wire.AppendWelcome(nil, welcome(status, inboundAck, next)))
}

// next returns the next message of the client.
func (p *peer) next() (op ws.OpCode, payload []byte, err error) { return p.nextWithin(time.Minute) }

// nextWithin is next, which waits so long.
func (p *peer) nextWithin(wait time.Duration) (op ws.OpCode, payload []byte, err error) {
	for {
		msg, n, ok, err := p.cut.Next(p.in)
		if err != nil {
			p.t.Fatal(err)
		}
		if ok {
			payload = append([]byte(nil), msg.Payload()...)
			frame.Mask(payload, msg.Mask, 0)
			p.in = p.in[n:]
			return msg.OpCode, payload, nil
		}
		p.in = p.in[n:]
		b := make([]byte, 4096)
		_ = p.conn.SetReadDeadline(time.Now().Add(wait))
		k, err := p.conn.Read(b)
		if err != nil {
			return 0, nil, err
		}
		p.in = append(p.in, b[:k]...)
	}
}

// want is the client's next message, in words: data as it is, control
// messages by name. ACKs and probes pass by unless one is wanted.
func (p *peer) want(what string) []byte {
	p.t.Helper()
	for {
		op, b, err := p.next()
		if err != nil {
			p.t.Fatalf("want %q, got %v", what, err)
		}
		got := string(b)
		switch t, ours := wire.TypeOf(b); {
		case op == ws.OpPong:
			got = "pong " + got
		case op == ws.OpClose && len(b) >= 2:
			got = fmt.Sprintf("close %d", binary.BigEndian.Uint16(b))
		case op == ws.OpClose:
			got = "close"
		case op == ws.OpBinary && ours && t != wire.Escaped:
			got = t.String()
			if t == wire.Heartbeat && got != what {
				continue
			}
			if t == wire.Ack {
				p.acked, _ = wire.ParseAck(b)
				if got = fmt.Sprintf("ACK %d", p.acked); got != what {
					continue
				}
			}
		}
		if got != what {
			p.t.Fatalf("the client said %q, want %q", got, what)
		}
		return b
	}
}

// gone demands that the client closes the connection, whatever it says
// before.
func (p *peer) gone() {
	p.t.Helper()
	for {
		if _, _, err := p.next(); err != nil {
			if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
				p.t.Error("the client keeps the connection")
			}
			return
		}
	}
}

type dialResult struct {
	c    *Conn
	resp *http.Response
	err  error
}

func (s *stage) dial(o *Options) <-chan dialResult {
	ch := make(chan dialResult, 1)
	go func() {
		c, resp, err := Dial(s.t.Context(), "ws://stage/app", o)
		ch <- dialResult{c, resp, err}
	}()
	return ch
}

// open plays a new session up to its WELCOME.
func (s *stage) open(o *Options) (*Conn, *peer) {
	s.t.Helper()
	ch := s.dial(o)
	p := s.accept(wire.Subprotocol)
	p.welcome(wire.StatusNew, 0, 1)
	d := <-ch
	if d.err != nil {
		s.t.Fatal(d.err)
	}
	p.want("ACK 0") // it has the token (PROTOCOL §8.4)
	return d.c, p
}

// resume plays a reconnect and checks the offer, but for the number of the
// attempt.
func (s *stage) resume(token string, received, next uint32) *peer {
	s.t.Helper()
	p := s.accept(wire.Subprotocol)
	if r := p.offer.Resume; r == nil || *r != (wire.Resume{Token: token, Received: received, Next: next, Attempt: max(1, r.Attempt)}) {
		s.t.Fatalf("offer %+v, want %s.%d.%d", r, token, received, next)
	}
	return p
}

func wantRead(t *testing.T, c *Conn, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, b, err := c.Read(ctx)
	if err != nil || string(b) != want {
		t.Fatalf("read %q, %v; want %q", b, err, want)
	}
}

func wantWrite(t *testing.T, c *Conn, msg string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := c.Write(ctx, MessageText, []byte(msg)); err != nil {
		t.Fatal(err)
	}
}

// wantEvents takes what has happened so far.
func wantEvents(t *testing.T, c *Conn, want ...string) {
	t.Helper()
	synctest.Wait()
	var got []string
	for len(c.Events()) > 0 {
		e := <-c.Events()
		s := e.Kind.String()
		if e.Kind == EventState {
			s += " " + e.State.String()
		}
		if e.Reason != "" {
			s += " " + e.Reason
		}
		got = append(got, s)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("events %q, want %q", got, want)
	}
}

func play(t *testing.T, f func(t *testing.T, s *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newStage(t)) })
}

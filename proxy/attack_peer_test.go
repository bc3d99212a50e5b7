package proxy

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/internal/proxytest"
	"github.com/wsresilience/wsresilience/wire"
)

// A testClient is a client that can misbehave: it sends any bytes, and reads
// frames one by one.
type testClient struct {
	t    testing.TB
	sc   *scene
	path string
	conn net.Conn
	br   *bufio.Reader
	resp *http.Response

	resilient bool
	welcome   *wire.WelcomeMessage

	mu   sync.Mutex // guards writing and the counts
	sent uint32     // data messages of the session, by say
	got  uint32

	data chan string // from listen
}

// open sends an upgrade request and reads the answer. extra are header lines;
// protocols may be empty.
func (sc *scene) open(path, protocols string, extra ...string) *testClient {
	sc.t.Helper()
	return sc.openWith(path, upgradeHead(path, protocols, extra...))
}

func upgradeHead(path, protocols string, extra ...string) string {
	head := "GET " + path + " HTTP/1.1\r\nHost: app.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + proxytest.SampleKey + "\r\n"
	if protocols != "" {
		head += "Sec-WebSocket-Protocol: " + protocols + "\r\n"
	}
	for _, line := range extra {
		head += line + "\r\n"
	}
	return head + "\r\n"
}

// openWith sends bytes that begin with a request.
func (sc *scene) openWith(path, head string) *testClient {
	sc.t.Helper()
	conn, err := net.Dial("tcp", sc.addr)
	if err != nil {
		sc.t.Fatal(err)
	}
	sc.t.Cleanup(func() { conn.Close() })
	p := &testClient{t: sc.t, sc: sc, path: strings.SplitN(path, "?", 2)[0], conn: conn, br: bufio.NewReader(conn)}
	p.write([]byte(head))
	_ = conn.SetReadDeadline(time.Now().Add(attackPatience))
	for {
		if p.resp, err = http.ReadResponse(p.br, nil); err != nil {
			sc.t.Fatalf("handshake: %v", err)
		}
		if p.resp.StatusCode >= 200 || p.resp.StatusCode == http.StatusSwitchingProtocols {
			return p
		}
		// informational, as a plain client gets it
	}
}

// plain is a client that does not know us.
func (sc *scene) plain(path string, extra ...string) *testClient {
	sc.t.Helper()
	p := sc.open(path, "", extra...)
	p.wantStatus(http.StatusSwitchingProtocols)
	return p
}

// resilient is a client with a new session.
func (sc *scene) resilient(path string, extra ...string) *testClient {
	sc.t.Helper()
	p := sc.open(path, "wsr, wsr.v1", extra...)
	p.wantStatus(http.StatusSwitchingProtocols)
	p.resilient = true
	p.readWelcome()
	return p
}

// resume is what a client gets for a token: a status that is not 101, the
// reason of RESET, or the status of WELCOME.
func (sc *scene) resume(path, token string, received, next uint32, extra ...string) (*testClient, string) {
	sc.t.Helper()
	p := sc.open(path, fmt.Sprintf("wsr, wsr.v1, wsr.resume.%s.%d.%d", token, received, next), extra...)
	return p, p.verdict()
}

// verdict reads how a resume went.
func (p *testClient) verdict() string {
	p.t.Helper()
	if p.resp.StatusCode != http.StatusSwitchingProtocols {
		p.conn.Close()
		return fmt.Sprint(p.resp.StatusCode)
	}
	p.resilient = true
	_, msg, err := p.frame()
	if err != nil {
		p.t.Fatalf("nothing followed the 101: %v", err)
	}
	if reason, _, err := wire.ParseReset(msg); err == nil {
		p.wantClose(wire.CodeReset)
		return "reset " + reason.String()
	}
	p.accept(msg)
	return p.welcome.Status.String()
}

// back is resume with what this peer was told and counted.
func (p *testClient) back(extra ...string) (*testClient, string) {
	p.t.Helper()
	q, how := p.sc.resume(p.path, p.welcome.Token, p.got, p.sent+1, extra...)
	q.sent, q.got = p.sent, p.got
	return q, how
}

func (p *testClient) wantStatus(want int) {
	p.t.Helper()
	if p.resp.StatusCode != want {
		p.t.Fatalf("status %d, want %d", p.resp.StatusCode, want)
	}
}

func (p *testClient) readWelcome() {
	p.t.Helper()
	_, msg, err := p.frame()
	if err != nil {
		p.t.Fatalf("no WELCOME: %v", err)
	}
	p.accept(msg)
}

func (p *testClient) accept(msg []byte) {
	p.t.Helper()
	w, err := wire.ParseWelcome(msg)
	if err != nil {
		p.t.Fatalf("no WELCOME but % x", msg[:min(len(msg), 32)])
	}
	p.welcome = w
	p.sc.app.tokens.add(w.Token)
}

// write sends bytes as they are; a peer that was closed may not take them.
func (p *testClient) write(b []byte) {
	_ = p.conn.SetWriteDeadline(time.Now().Add(attackPatience))
	_, _ = p.conn.Write(b)
}

// hex sends bytes; blanks do not count.
func (p *testClient) hex(s string) {
	p.t.Helper()
	p.write(unspaced(p.t, s))
}

func unspaced(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// masked is a whole frame of a client.
func masked(opcode ws.OpCode, payload []byte) []byte {
	return frame.Append(nil, ws.Header{Fin: true, OpCode: opcode, Masked: true, Mask: [4]byte{1, 2, 3, 4}}, payload)
}

// say sends a text message.
func (p *testClient) say(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent++
	p.write(masked(ws.OpText, []byte(text)))
}

// control sends one of our messages.
func (p *testClient) control(msg []byte) { p.write(masked(ws.OpBinary, msg)) }

// frame reads one frame.
func (p *testClient) frame() (h frame.Header, payload []byte, err error) {
	_ = p.conn.SetReadDeadline(time.Now().Add(attackPatience))
	rules := frame.Rules{Rsv: frame.RSV1}
	for n := 2; ; n++ {
		head, err := p.br.Peek(n)
		if err != nil {
			return h, nil, err
		}
		if h, err = rules.Parse(head); err == frame.ErrShort {
			continue
		}
		if err != nil {
			p.t.Errorf("the sidecar sent a broken frame: %v", err)
			return h, nil, err
		}
		break
	}
	b := make([]byte, h.Total())
	if _, err := io.ReadFull(p.br, b); err != nil {
		return h, nil, err
	}
	return h, b[h.Size:], nil
}

// next is the next data message, past everything else. Heartbeats are
// answered.
func (p *testClient) next() (string, error) {
	for {
		h, payload, err := p.frame()
		switch {
		case err != nil:
			return "", err
		case h.OpCode == ws.OpClose:
			return "", fmt.Errorf("closed: %x", payload)
		case h.OpCode == ws.OpPing:
			p.write(masked(ws.OpPong, payload))
		case h.OpCode.IsControl():
		case p.resilient && p.ours(h, payload):
		default:
			p.mu.Lock()
			p.got++
			p.mu.Unlock()
			return string(payload), nil
		}
	}
}

// ours tells whether a message is one of ours, ESCAPED aside.
func (p *testClient) ours(h frame.Header, msg []byte) bool {
	t, ok := wire.TypeOf(msg)
	if !ok || h.OpCode != ws.OpBinary || h.Rsv != 0 || t == wire.Escaped {
		return false
	}
	if t == wire.Heartbeat {
		p.mu.Lock()
		defer p.mu.Unlock()
		b, _ := wire.ParseBeat(msg, t)
		b.Sent, b.Ack = p.sent, p.got
		p.control(wire.AppendBeat(nil, wire.HeartbeatAck, b))
	}
	return true
}

// hear is next that must come.
func (p *testClient) hear() string {
	p.t.Helper()
	s, err := p.next()
	if err != nil {
		p.t.Fatalf("no message came: %v", err)
	}
	return s
}

// echo says something and hears it again.
func (p *testClient) echo(text string) {
	p.t.Helper()
	p.say(text)
	if p.data == nil {
		if got := p.hear(); got != text {
			p.t.Errorf("%q came back as %.40q", text, got)
		}
		return
	}
	select {
	case got, open := <-p.data:
		if got != text {
			p.t.Errorf("a session that was not attacked got %q for %q, connection open: %v", got, text, open)
		}
	case <-time.After(attackPatience):
		p.t.Errorf("a session that was not attacked does not echo any more")
	}
}

// listen reads in the background.
func (p *testClient) listen() {
	p.data = make(chan string, 16)
	go func() {
		defer close(p.data)
		for {
			s, err := p.next()
			var late net.Error
			switch {
			case errors.As(err, &late) && late.Timeout():
			case err != nil:
				return
			default:
				p.data <- s
			}
		}
	}()
}

// wantClose reads up to the end of the connection, which must come with this
// code; 1006 is an end without a close frame. The app's data on the way is
// skipped.
func (p *testClient) wantClose(want ws.StatusCode) (reason string) {
	p.t.Helper()
	code := ws.StatusAbnormalClosure
	for {
		h, payload, err := p.frame()
		var late net.Error
		if errors.As(err, &late) && late.Timeout() {
			p.t.Fatalf("the connection was not closed, want %d", want)
		}
		if err != nil {
			break
		}
		if h.OpCode == ws.OpClose {
			if code = ws.StatusNoStatusRcvd; len(payload) >= 2 {
				code, reason = ws.StatusCode(binary.BigEndian.Uint16(payload)), string(payload[2:])
			}
		}
	}
	p.conn.Close()
	if code != want {
		p.t.Errorf("closed with %d %s, want %d", code, reason, want)
	}
	return reason
}

// wantHeartbeatAnswer shows that the connection lives: the sidecar answers a
// HEARTBEAT whose counts are right.
func (p *testClient) wantHeartbeatAnswer(seq uint32) {
	p.t.Helper()
	p.control(beatOf(wire.Heartbeat, seq, p.sent, p.got))
	for {
		h, msg, err := p.frame()
		if err != nil || h.OpCode == ws.OpClose {
			p.t.Fatalf("no HEARTBEAT_ACK: %v, % x", err, msg)
		}
		if t, ok := wire.TypeOf(msg); ok && t == wire.HeartbeatAck {
			return
		}
	}
}

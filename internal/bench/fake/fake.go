// Package fake is the sidecar's end of a connection with an echo app in it: the
// least of wsr.v1 that reports whether the load client keeps its rules, and a
// process that passes for a sidecar in tests of the benchmarks.
package fake

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/wire"
)

const (
	readBytes  = 2 << 10
	maxMessage = 1 << 20
)

// A Sidecar is one's end of one connection with an echo app in it: the
// least of wsr.v1 that reports whether the load client keeps its rules.
type Sidecar struct {
	Conn      net.Conn
	BeatEvery uint32 // a HEARTBEAT and a ping before every so many echoes
	Resilient bool   // whether it speaks wsr.v1; Accept sets it as the client offered
	Resume    *wire.Resume

	in  *bufio.Reader
	out []byte // written before more is read: a pipe has no buffer

	// What it counted.
	Received uint32 // data messages
	Sent     uint32
	Acks     []AckAt // ACK messages after the first, which shows that WELCOME was read
	Beats    int     // HEARTBEAT_ACK messages
	Pongs    int
	Closed   bool
}

// An AckAt is an acknowledgement and when it came.
type AckAt struct {
	Seq uint32
	At  time.Time
}

// Serve answers until the session is closed.
func (f *Sidecar) Serve() error {
	if f.Resilient {
		w := wire.WelcomeMessage{Epoch: 1, NextOutbound: 1, Token: "t", Window: 1 << 20, MaxMessage: 1 << 20}
		if r := f.Resume; r != nil {
			// Believed: a fake has no sessions.
			w.Status, w.NextOutbound = wire.StatusResumed, r.Received+1
			f.Sent, f.Received = r.Received, r.Next-1
		}
		f.write(ws.OpBinary, wire.AppendWelcome(nil, &w))
	}
	messages := frame.Messages{Rules: frame.Rules{Masked: true}, Max: maxMessage, Buffers: new(frame.Buffers)}
	var have []byte
	for buf := make([]byte, readBytes); !f.Closed; {
		m, n, ok, err := messages.Next(have)
		if err != nil {
			return err
		}
		if ok {
			payload := append([]byte(nil), m.Payload()...)
			frame.Mask(payload, m.Mask, 0)
			if err := f.handle(m.OpCode, payload); err != nil {
				return err
			}
		}
		have = have[n:]
		if !ok {
			if err := f.flush(); err != nil {
				return err
			}
			n, err := f.in.Read(buf)
			if err != nil {
				return err
			}
			have = append(have, buf[:n]...)
		}
	}
	return f.flush()
}

func (f *Sidecar) handle(opcode ws.OpCode, payload []byte) error {
	switch opcode {
	case ws.OpPong:
		f.Pongs++
		return nil
	case ws.OpPing:
		f.write(ws.OpPong, payload)
		return nil
	case ws.OpClose:
		f.Closed = true
		return nil
	}
	if t, ours := wire.TypeOf(payload); ours && f.Resilient {
		return f.control(t, payload)
	}
	f.Received++
	if f.BeatEvery > 0 && f.Received%f.BeatEvery == 0 {
		f.disturb()
	}
	f.Sent++
	f.write(ws.OpBinary, payload)
	return nil
}

// disturb puts in front of an echo what a client must tell from it.
func (f *Sidecar) disturb() {
	f.write(ws.OpPing, []byte("13 bytes long"))
	if f.Resilient {
		beat := wire.Beat{Sent: f.Sent, Ack: f.Received}
		f.write(ws.OpBinary, wire.AppendBeat(nil, wire.Heartbeat, beat))
		f.write(ws.OpBinary, wire.AppendAck(nil, f.Received))
	}
}

func (f *Sidecar) control(t wire.Type, msg []byte) error {
	var ack uint32
	switch t {
	case wire.Ack:
		seq, err := wire.ParseAck(msg)
		if err != nil {
			return err
		}
		ack = seq
		f.Acks = append(f.Acks, AckAt{seq, time.Now()})
	case wire.HeartbeatAck:
		b, err := wire.ParseBeat(msg, t)
		if err != nil {
			return err
		}
		if b.Sent != f.Received {
			return fmt.Errorf("HEARTBEAT_ACK counts %d messages, %d came", b.Sent, f.Received)
		}
		ack = b.Ack
		f.Beats++
	case wire.Close:
		f.Closed = true
		f.write(ws.OpBinary, msg)
	default:
		return fmt.Errorf("unexpected %v", t)
	}
	if int32(f.Sent-ack) < 0 {
		return fmt.Errorf("%v of %d, only %d were sent", t, ack, f.Sent)
	}
	return nil
}

func (f *Sidecar) write(opcode ws.OpCode, payload []byte) {
	f.out = frame.Append(f.out, ws.Header{Fin: true, OpCode: opcode}, payload)
}

func (f *Sidecar) flush() error {
	if len(f.out) == 0 {
		return nil // a pipe would wait for a reader of nothing
	}
	_, err := f.Conn.Write(f.out)
	f.out = f.out[:0]
	return err
}

// Accept answers the upgrade.
func (f *Sidecar) Accept() error {
	f.in = bufio.NewReader(f.Conn)
	req, err := http.ReadRequest(f.in)
	if err != nil {
		return err
	}
	offer := req.Header.Get("Sec-WebSocket-Protocol")
	parsed, err := wire.ParseOffer(strings.FieldsFunc(offer, func(r rune) bool { return r == ',' || r == ' ' }))
	if err != nil {
		return err
	}
	answer := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: " + acceptKey(req.Header.Get("Sec-WebSocket-Key")) + "\r\n"
	f.Resume = parsed.Resume
	if f.Resilient = parsed.Resilient; f.Resilient {
		answer += "Sec-WebSocket-Protocol: " + wire.Subprotocol + "\r\n"
	}
	_, err = f.Conn.Write([]byte(answer + "\r\n"))
	return err
}

// Run serves sidecars where the settings say, and is ready at the second
// question.
func Run() error {
	for _, name := range []string{"WSR_UPSTREAM", "WSR_DATA_DIR", "WSR_TOKEN_KEYS"} {
		if os.Getenv(name) == "" {
			return fmt.Errorf("%s is missing", name)
		}
	}
	asked := 0
	admin := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked < 2 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	go func() { _ = http.ListenAndServe(os.Getenv("WSR_ADMIN_LISTEN"), admin) }() // whoever asks is not answered
	ln, err := net.Listen("tcp", os.Getenv("WSR_LISTEN"))
	if err != nil {
		return err
	}
	for {
		conn, err := ln.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			f := &Sidecar{Conn: conn, BeatEvery: 7}
			if err := f.Accept(); err == nil {
				_ = f.Serve()
			}
		}()
	}
}

// acceptKey is Sec-WebSocket-Accept for a key (RFC 6455 §4.2.2 item 5.4).
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
	"github.com/wsresilience/wsresilience/wire"
)

// TestMain lets the test binary be the subprocesses of a run: a role, or a
// sidecar, which is recognised by its settings.
func TestMain(m *testing.M) {
	proc.RunRole(roles())
	if os.Getenv("WSR_LISTEN") == "" {
		os.Exit(m.Run())
	}
	fmt.Fprintln(os.Stderr, runFake())
	os.Exit(1)
}

// A fake is the sidecar's end of one connection with an echo app in it: the
// least of wsr.v1 that tells whether the load client keeps its rules.
type fake struct {
	conn      net.Conn
	in        *bufio.Reader
	resilient bool
	resume    *wire.Resume
	beatEvery uint32 // a HEARTBEAT and a ping before every so many echoes

	out      []byte // written before more is read: a pipe has no buffer
	received uint32 // data messages
	sent     uint32
	acks     []ackAt // ACK messages after the first, which shows that WELCOME was read
	beats    int     // HEARTBEAT_ACK messages
	pongs    int
	closed   bool
}

type ackAt struct {
	seq uint32
	at  time.Time
}

// serve answers until the session is closed.
func (f *fake) serve() error {
	if f.resilient {
		w := wire.WelcomeMessage{Epoch: 1, NextOutbound: 1, Token: "t", Window: 1 << 20, MaxMessage: 1 << 20}
		if r := f.resume; r != nil {
			// Believed: a fake has no sessions.
			w.Status, w.NextOutbound = wire.StatusResumed, r.Received+1
			f.sent, f.received = r.Received, r.Next-1
		}
		f.write(ws.OpBinary, wire.AppendWelcome(nil, &w))
	}
	messages := frame.Messages{Rules: frame.Rules{Masked: true}, Max: maxMessage, Buffers: new(frame.Buffers)}
	var have []byte
	for buf := make([]byte, readBytes); !f.closed; {
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

func (f *fake) handle(opcode ws.OpCode, payload []byte) error {
	switch opcode {
	case ws.OpPong:
		f.pongs++
		return nil
	case ws.OpPing:
		f.write(ws.OpPong, payload)
		return nil
	case ws.OpClose:
		f.closed = true
		return nil
	}
	if t, ours := wire.TypeOf(payload); ours && f.resilient {
		return f.control(t, payload)
	}
	f.received++
	if f.beatEvery > 0 && f.received%f.beatEvery == 0 {
		f.disturb()
	}
	f.sent++
	f.write(ws.OpBinary, payload)
	return nil
}

// disturb puts in front of an echo what a client must tell from it.
func (f *fake) disturb() {
	f.write(ws.OpPing, []byte("13 bytes long"))
	if f.resilient {
		beat := wire.Beat{Sent: f.sent, Ack: f.received}
		f.write(ws.OpBinary, wire.AppendBeat(nil, wire.Heartbeat, beat))
		f.write(ws.OpBinary, wire.AppendAck(nil, f.received))
	}
}

func (f *fake) control(t wire.Type, msg []byte) error {
	var ack uint32
	switch t {
	case wire.Ack:
		seq, err := wire.ParseAck(msg)
		if err != nil {
			return err
		}
		ack = seq
		f.acks = append(f.acks, ackAt{seq, time.Now()})
	case wire.HeartbeatAck:
		b, err := wire.ParseBeat(msg, t)
		if err != nil {
			return err
		}
		if b.Sent != f.received {
			return fmt.Errorf("HEARTBEAT_ACK counts %d messages, %d came", b.Sent, f.received)
		}
		ack = b.Ack
		f.beats++
	case wire.Close:
		f.closed = true
		f.write(ws.OpBinary, msg)
	default:
		return fmt.Errorf("unexpected %v", t)
	}
	if int32(f.sent-ack) < 0 {
		return fmt.Errorf("%v of %d, only %d were sent", t, ack, f.sent)
	}
	return nil
}

func (f *fake) write(opcode ws.OpCode, payload []byte) {
	f.out = frame.Append(f.out, ws.Header{Fin: true, OpCode: opcode}, payload)
}

func (f *fake) flush() error {
	if len(f.out) == 0 {
		return nil // a pipe would wait for a reader of nothing
	}
	_, err := f.conn.Write(f.out)
	f.out = f.out[:0]
	return err
}

// accept answers the upgrade.
func (f *fake) accept() error {
	f.in = bufio.NewReader(f.conn)
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
	f.resume = parsed.Resume
	if f.resilient = parsed.Resilient; f.resilient {
		answer += "Sec-WebSocket-Protocol: " + wire.Subprotocol + "\r\n"
	}
	_, err = f.conn.Write([]byte(answer + "\r\n"))
	return err
}

// runFake serves fakes where the settings say, and is ready at the second
// question.
func runFake() error {
	for _, name := range []string{"WSR_UPSTREAM", "WSR_DATA_DIR", "WSR_TOKEN_KEYS"} {
		if os.Getenv(name) == "" {
			return fmt.Errorf("%s is missing", name)
		}
	}
	asked := 0
	go http.ListenAndServe(os.Getenv("WSR_ADMIN_LISTEN"), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked < 2 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
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
			f := &fake{conn: conn, beatEvery: 7}
			if err := f.accept(); err == nil {
				_ = f.serve()
			}
		}()
	}
}

package load

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/frame"
)

// errPage means that a readiness check asked for a page, and got one.
var errPage = errors.New("load: a page was asked for")

// ServeEcho is the app of every measurement: a WebSocket server that returns
// each message and does nothing else.
func ServeEcho(ln net.Listener) error {
	for {
		conn, err := ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			// An end of any kind is a client's business, which reports it.
			_ = echo(conn)
		}()
	}
}

// echo serves one connection.
func echo(conn net.Conn) error {
	r := bufio.NewReader(conn)
	if err := acceptUpgrade(conn, r); err != nil {
		return err
	}
	early, _ := r.Peek(r.Buffered())
	in := make([]byte, max(readBytes, len(early)))
	return echoFrames(conn, in, copy(in, early))
}

// acceptUpgrade answers the request. One that is no upgrade ends with errPage.
func acceptUpgrade(conn net.Conn, r *bufio.Reader) error {
	req, err := http.ReadRequest(r)
	if err != nil {
		return err
	}
	key := req.Header.Get("Sec-WebSocket-Key")
	if key == "" {
		_, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		return errors.Join(errPage, err)
	}
	_, err = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"+
		"Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", acceptKey(key))
	return err
}

// echoFrames returns each complete message in in[:have] and reads on.
func echoFrames(conn net.Conn, in []byte, have int) error {
	messages := frame.Messages{Rules: frame.Rules{Masked: true}, Max: MaxMessage, Buffers: new(frame.Buffers)}
	var out []byte
	for {
		used := 0
		out = out[:0]
		for {
			m, n, ok, err := messages.Next(in[used:have])
			if used += n; err != nil {
				return err
			}
			if !ok {
				break
			}
			out = appendEcho(out, &m)
		}
		if have = copy(in, in[used:have]); have == len(in) {
			in = append(in, make([]byte, have)...)
		}
		if len(out) > 0 {
			if _, err := conn.Write(out); err != nil {
				return err
			}
		}
		n, err := conn.Read(in[have:])
		if n == 0 && err != nil {
			return err
		}
		have += n
	}
}

// appendEcho appends the answer to a message: itself unmasked, a ping as a
// pong.
func appendEcho(out []byte, m *frame.Message) []byte {
	opcode := m.OpCode
	switch opcode {
	case ws.OpPing:
		opcode = ws.OpPong
	case ws.OpPong:
		return out
	}
	out = frame.AppendHeader(out, ws.Header{Fin: true, OpCode: opcode, Length: m.Length})
	start := len(out)
	out = append(out, m.Payload()...)
	frame.Mask(out[start:], m.Mask, 0)
	return out
}

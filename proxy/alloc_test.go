//go:build !race

// Under the race detector sync.Pool forgets at random, so that what it lends is
// allocated; without it this is exact.

package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/internal/upgrade"
	"github.com/wsresilience/wsresilience/wire"
)

// frameEcho is an app that answers the handshake and then returns each frame
// of exactly size bytes without its mask. It allocates nothing per message.
func frameEcho(tb testing.TB, size int) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go echoFrames(c, size)
		}
	}()
	return "http://" + l.Addr().String()
}

func echoFrames(c net.Conn, size int) {
	defer c.Close()
	br := bufio.NewReader(c)
	r, err := http.ReadRequest(br)
	if err != nil {
		return
	}
	_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "+
		upgrade.AcceptKey(r.Header.Get("Sec-WebSocket-Key"))+"\r\n\r\n")
	in := make([]byte, size+6) // 2 header, 4 mask
	out := make([]byte, size+2)
	for {
		if _, err := io.ReadFull(br, in); err != nil {
			return
		}
		out[0], out[1] = in[0], byte(size)
		copy(out[2:], in[6:])
		frame.Mask(out[2:], [4]byte(in[2:6]), 0)
		if _, err := c.Write(out); err != nil {
			return
		}
	}
}

// frameClient speaks frames over a socket and allocates nothing per message.
type frameClient struct {
	conn      net.Conn
	br        *bufio.Reader
	out       []byte
	in        []byte
	ack       []byte
	got       uint32
	resilient bool
}

func dialFrames(tb testing.TB, addr string, size int, protocols string) *frameClient {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	head := "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	if protocols != "" {
		head += "Sec-WebSocket-Protocol: " + protocols + "\r\n"
	}
	if _, err := io.WriteString(conn, head+"\r\n"); err != nil {
		tb.Fatal(err)
	}
	c := &frameClient{conn: conn, br: bufio.NewReader(conn), in: make([]byte, 4096), resilient: strings.Contains(protocols, wire.Subprotocol)}
	resp, err := http.ReadResponse(c.br, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		tb.Fatalf("handshake: %v, %v", resp, err)
	}
	c.out = frame.Append(nil, ws.Header{Fin: true, OpCode: ws.OpBinary, Masked: true, Mask: [4]byte{1, 2, 3, 4}}, make([]byte, size))
	return c
}

// roundTrip sends one message and waits for its echo, past control messages.
func (c *frameClient) roundTrip(tb testing.TB) {
	if _, err := c.conn.Write(c.out); err != nil {
		tb.Fatal(err)
	}
	for {
		if _, err := io.ReadFull(c.br, c.in[:2]); err != nil {
			tb.Fatal(err)
		}
		n := int(c.in[1])
		if n == 126 {
			if _, err := io.ReadFull(c.br, c.in[:2]); err != nil {
				tb.Fatal(err)
			}
			n = int(c.in[0])<<8 | int(c.in[1])
		}
		if _, err := io.ReadFull(c.br, c.in[:n]); err != nil {
			tb.Fatal(err)
		}
		if !wire.IsMagic(c.in[:n]) {
			break
		}
	}
	if c.got++; c.resilient && c.got%32 == 0 {
		var msg [16]byte
		c.ack = frame.Append(c.ack[:0], ws.Header{Fin: true, OpCode: ws.OpBinary, Masked: true}, wire.AppendAck(msg[:0], c.got))
		if _, err := c.conn.Write(c.ack); err != nil {
			tb.Fatal(err)
		}
	}
}

// BenchmarkRoundTrip is one 64 B message there and back. It must not allocate.
func BenchmarkRoundTrip(b *testing.B) {
	for name, protocols := range map[string]string{"plain": "", "resilient": "wsr, wsr.v1"} {
		b.Run(name, func(b *testing.B) {
			_, addr := startServer(b, frameEcho(b, 64), nil)
			c := dialFrames(b, addr, 64, protocols)
			for range 1000 {
				c.roundTrip(b)
			}
			b.ReportAllocs()
			for b.Loop() {
				c.roundTrip(b)
			}
		})
	}
}

// Nothing is allocated per forwarded message, in either direction, once a
// session is warm.
func TestForwardingDoesNotAllocate(t *testing.T) {
	for name, protocols := range map[string]string{"plain": "", "resilient": "wsr, wsr.v1"} {
		t.Run(name, func(t *testing.T) {
			_, addr := startServer(t, frameEcho(t, 64), nil)
			c := dialFrames(t, addr, 64, protocols)
			for range 2000 {
				c.roundTrip(t)
			}
			// A garbage collection empties the pools once in a while; what is
			// counted is the process as a whole, per message.
			if n := testing.AllocsPerRun(3000, func() { c.roundTrip(t) }); n != 0 {
				t.Errorf("%v allocations per round trip", n)
			}
		})
	}
}

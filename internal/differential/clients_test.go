package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/internal/transport"
	"github.com/wsresilience/wsresilience/proxy"
)

// The clients of this process tell the same directly and through the sidecar.
func TestClientsTellTheSame(t *testing.T) {
	for _, c := range realClients() {
		if c.install == "" {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				if _, err := compareClient(t.Context(), c, []transport.Driver{transport.DriverAuto}, func(d string) { t.Error(d) }); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// Between the frames of a client that answers our pings there is nothing of ours but
// those, and its app hears of nothing.
func TestOwnPings(t *testing.T) {
	for _, d := range []transport.Driver{transport.DriverAuto, transport.DriverGoroutine} {
		t.Run(string(d), func(t *testing.T) {
			t.Parallel()
			port, err := freePort()
			if err != nil {
				t.Fatal(err)
			}
			stop, err := goServers()[3].start(t.Context(), "", port) // gobwas
			if err != nil {
				t.Fatal(err)
			}
			defer stop()
			tp, err := newTap(fmt.Sprint("127.0.0.1:", port))
			if err != nil {
				t.Fatal(err)
			}
			defer tp.Close()
			addr, end, err := sidecar(tp.Addr().String(), d, func(c *proxy.Config) {
				c.Heartbeat = heartbeat.Config{Base: 50 * time.Millisecond, Min: 50 * time.Millisecond, Max: 50 * time.Millisecond}
			})
			if err != nil {
				t.Fatal(err)
			}
			defer end()
			conn, _, _, err := ws.Dial(t.Context(), "ws://"+addr+"/ws")
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			var sent, got bytes.Buffer
			pings, last := 0, time.Now().Add(time.Second)
			_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
			ask := func(f ws.Frame) {
				f = ws.MaskFrameWith(f, mask)
				_ = ws.WriteFrame(&sent, f)
				_ = ws.WriteFrame(conn, f)
			}
			ask(ws.NewTextFrame([]byte("first")))
			ask(ws.NewPongFrame([]byte("unasked, of 13")))
			for n := 0; ; {
				f, err := ws.ReadFrame(conn)
				if err != nil {
					t.Fatal(err)
				}
				switch {
				case f.Header.OpCode == ws.OpPing && len(f.Payload) == 13:
					pings++
					_ = ws.WriteFrame(conn, ws.MaskFrameWith(ws.NewPongFrame(f.Payload), mask))
					if n++; n%3 == 0 {
						ask(ws.NewPingFrame([]byte("13 bytes long"))) // as ours, and not ours
						ask(ws.NewTextFrame([]byte("message")))
					}
					if time.Now().After(last) && n%3 == 1 {
						ask(ws.NewCloseFrame(ws.NewCloseFrameBody(1000, "bye")))
					}
				case f.Header.OpCode == ws.OpClose:
					conn.Close()
					_, after, _ := strings.Cut(tp.take(), "\r\n\r\n")
					if after != sent.String() || pings < 5 {
						t.Errorf("%d pings; the app got %q, the client sent %q", pings, after, sent.Bytes())
					}
					if strings.Count(got.String(), "pong 13 bytes long;") != n/3 || strings.Count(got.String(), "text") != 1+n/3 {
						t.Errorf("%d turns, and %s", n, got.String())
					}
					return
				case f.Header.OpCode == ws.OpPong:
					got.WriteString("pong " + string(f.Payload) + ";")
				default:
					got.WriteString("text;")
				}
			}
		})
	}
}

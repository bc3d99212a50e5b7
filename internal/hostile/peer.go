package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

const (
	// peerHands is how many attempts a peer makes at a time, and peerHeld how many
	// connections it holds beside them.
	peerHands = 24
	peerHeld  = 2000

	// peerBegins is how many handshakes of TLS it begins at a time and does not go on
	// with.
	peerBegins = 200

	// peerWaits is how long it waits for an answer, and peerHolds how long it holds a
	// connection: longer than a sidecar does.
	peerWaits = time.Second
	peerHolds = 15 * time.Second

	// challengePath is where sidecars prove themselves (PROTOCOL §8.7).
	challengePath = "/.well-known/wsr-peer"
)

// An attempt is what a peer says on a connection, in pieces.
type attempt struct {
	name   string
	pieces func(in *intruder) [][]byte
	pause  time.Duration // between the pieces
}

var attempts = []attempt{
	{"garbage", func(*intruder) [][]byte { return [][]byte{noise(1 + rand.N(4096))} }, 0},
	{"a challenge that nobody sealed", func(*intruder) [][]byte {
		return [][]byte{challenge(noise(rand.N(600)))}
	}, 0},
	{"a challenge of other keys", func(in *intruder) [][]byte {
		text := append([]byte{1}, noise(24)...)
		text = append(append(text, byte(len(in.Tap))), in.Tap...)
		return [][]byte{challenge(in.keys.Seal(nil, text, []byte("wsr.v1 peer challenge")))}
	}, 0},
	{"a recorded handshake", func(in *intruder) [][]byte { return [][]byte{in.recording()} }, 0},
	{"a recorded handshake, its parts exchanged", func(in *intruder) [][]byte {
		first, second := cutRecording(in.recording())
		return [][]byte{second, first, second}
	}, 5 * time.Millisecond},
	{"a recorded challenge and another's request", func(in *intruder) [][]byte {
		first, _ := cutRecording(in.recording())
		_, second := cutRecording(in.recording())
		return [][]byte{first, second}
	}, 5 * time.Millisecond},
	{"a recorded handshake with a bit changed", func(in *intruder) [][]byte {
		b := bytes.Clone(in.recording())
		if len(b) > 0 {
			b[rand.N(len(b))] ^= 1 << rand.N(8)
		}
		return [][]byte{b}
	}, 0},
	{"a recorded challenge and garbage", func(in *intruder) [][]byte {
		first, _ := cutRecording(in.recording())
		return [][]byte{first, request(64<<10, noise(64<<10))}
	}, 0},
	{"a request that says it is huge", func(*intruder) [][]byte { return [][]byte{request(1<<40, noise(1<<10))} }, 0},
	{"a huge head", func(*intruder) [][]byte {
		return [][]byte{[]byte("GET " + challengePath + " HTTP/1.1\r\nHost: a\r\nWsr-Peer: " + strings.Repeat("A", 1<<20) + "\r\n\r\n")}
	}, 0},
	{"thousands of header fields", func(*intruder) [][]byte {
		return [][]byte{[]byte("GET " + challengePath + " HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("Wsr-Peer: A\r\n", 5000) + "\r\n")}
	}, 0},
	{"one byte at a time", func(in *intruder) [][]byte { return bytes.SplitAfter(in.recording(), nil) }, 2 * time.Millisecond},
	{"HTTP/2 that nobody agreed on", func(*intruder) [][]byte {
		return [][]byte{append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"), noise(4<<10)...)}
	}, 0},
	{"an upgrade as a peer", func(*intruder) [][]byte {
		return [][]byte{[]byte("GET /echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: wsr.v1, wsr.resume." +
			base64.RawURLEncoding.EncodeToString(noise(120)) + ".1.2\r\nWsr-Peer: A\r\n\r\n")}
	}, 0},
}

func noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

func challenge(sealed []byte) []byte {
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: a\r\nWsr-Peer: %s\r\n\r\n", challengePath, base64.RawURLEncoding.EncodeToString(sealed))
}

func request(size int64, body []byte) []byte {
	return append(fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", challengePath, size), body...)
}

// cutRecording is a handshake's challenge, and what followed it.
func cutRecording(b []byte) (challenge, rest []byte) {
	if at := bytes.Index(b, []byte("\r\n\r\n")); at >= 0 {
		return b[:at+4], b[at+4:]
	}
	return b, nil
}

// peer lets an intruder loose, a process of its own, and tells it what the tap hears.
func peer(ctx context.Context, s *stage) error { return s.intrude(ctx, strangers) }

// peerNear does the same from the address that sidecars have.
func peerNear(ctx context.Context, s *stage) error { return s.intrude(ctx, nil) }

// strangers are addresses that no sidecar has.
var strangers = []string{"127.66.0.1", "127.66.0.2", "127.66.0.3", "127.66.0.4"}

func (s *stage) intrude(ctx context.Context, from []string) error {
	in := &intruder{Ports: s.ports, Tap: s.tap.addr(), Ways: s.ways, From: from}
	dir, err := os.MkdirTemp(s.dir, "intruder-")
	if err != nil {
		return err
	}
	if err := writeJSON(filepath.Join(dir, plansFile), in); err != nil {
		return err
	}
	if err := writeJSON(filepath.Join(dir, heardFile), s.tap.recordings()); err != nil {
		return err
	}
	cmd, err := proc.InRole(intruderRole, dir)
	if err != nil {
		return err
	}
	p, err := s.starter.Start("intruder", cmd)
	if err != nil {
		return err
	}
	defer p.Kill()
	for proc.Sleep(ctx, heardEvery) == nil {
		if p.Ended() {
			return p.Failure("it ended")
		}
		if err := writeJSON(filepath.Join(dir, heardFile), s.tap.recordings()); err != nil {
			return err
		}
	}
	if err := p.Terminate(peerHolds); err != nil {
		return err
	}
	for line := range strings.Lines(p.Log()) {
		fmt.Print("peer: ", line)
	}
	return nil
}

// say writes pieces on a connection and reads what comes, until so long after the
// last or until the other end closes it. Every third connection ends with a reset.
func say(ctx context.Context, dial func(context.Context) (net.Conn, error), pieces [][]byte, pause, wait time.Duration) {
	c, err := dial(ctx)
	if err != nil {
		_ = proc.Sleep(ctx, 50*time.Millisecond)
		return
	}
	defer c.Close()
	if tcp, ok := c.(*net.TCPConn); ok && rand.N(3) == 0 {
		_ = tcp.SetLinger(0)
	}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	for _, p := range pieces {
		_ = c.SetWriteDeadline(time.Now().Add(wait))
		if _, err := c.Write(p); err != nil {
			return
		}
		if pause > 0 && proc.Sleep(ctx, pause) != nil {
			return
		}
	}
	_ = c.SetReadDeadline(time.Now().Add(wait))
	b := make([]byte, 4<<10)
	for {
		if _, err := c.Read(b); err != nil {
			return
		}
	}
}

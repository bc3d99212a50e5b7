package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wsresilience/wsresilience/internal/keyring"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

const (
	// peerHands is how many attempts a peer makes at a time, and peerHeld how many
	// connections it holds beside them.
	peerHands = 24
	peerHeld  = 2000

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
	pieces func(s *stage, keys *keyring.Ring) [][]byte
	pause  time.Duration // between the pieces
}

var attempts = []attempt{
	{"garbage", func(*stage, *keyring.Ring) [][]byte { return [][]byte{noise(1 + rand.N(4096))} }, 0},
	{"a challenge that nobody sealed", func(*stage, *keyring.Ring) [][]byte {
		return [][]byte{challenge(noise(rand.N(600)))}
	}, 0},
	{"a challenge of other keys", func(s *stage, keys *keyring.Ring) [][]byte {
		text := append([]byte{1}, noise(24)...)
		text = append(append(text, byte(len(s.tap.addr()))), s.tap.addr()...)
		return [][]byte{challenge(keys.Seal(nil, text, []byte("wsr.v1 peer challenge")))}
	}, 0},
	{"a recorded handshake", func(s *stage, _ *keyring.Ring) [][]byte { return [][]byte{s.tap.recording()} }, 0},
	{"a recorded handshake, its parts exchanged", func(s *stage, _ *keyring.Ring) [][]byte {
		first, second := cutRecording(s.tap.recording())
		return [][]byte{second, first, second}
	}, 5 * time.Millisecond},
	{"a recorded challenge and another's request", func(s *stage, _ *keyring.Ring) [][]byte {
		first, _ := cutRecording(s.tap.recording())
		_, second := cutRecording(s.tap.recording())
		return [][]byte{first, second}
	}, 5 * time.Millisecond},
	{"a recorded handshake with a bit changed", func(s *stage, _ *keyring.Ring) [][]byte {
		b := bytes.Clone(s.tap.recording())
		if len(b) > 0 {
			b[rand.N(len(b))] ^= 1 << rand.N(8)
		}
		return [][]byte{b}
	}, 0},
	{"a recorded challenge and garbage", func(s *stage, _ *keyring.Ring) [][]byte {
		first, _ := cutRecording(s.tap.recording())
		return [][]byte{first, request(64<<10, noise(64<<10))}
	}, 0},
	{"a request that says it is huge", func(*stage, *keyring.Ring) [][]byte { return [][]byte{request(1<<40, noise(1<<10))} }, 0},
	{"a huge head", func(*stage, *keyring.Ring) [][]byte {
		return [][]byte{[]byte("GET " + challengePath + " HTTP/1.1\r\nHost: a\r\nWsr-Peer: " + strings.Repeat("A", 1<<20) + "\r\n\r\n")}
	}, 0},
	{"thousands of header fields", func(*stage, *keyring.Ring) [][]byte {
		return [][]byte{[]byte("GET " + challengePath + " HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("Wsr-Peer: A\r\n", 5000) + "\r\n")}
	}, 0},
	{"one byte at a time", func(s *stage, _ *keyring.Ring) [][]byte { return bytes.SplitAfter(s.tap.recording(), nil) }, 2 * time.Millisecond},
	{"HTTP/2 that nobody agreed on", func(*stage, *keyring.Ring) [][]byte {
		return [][]byte{append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"), noise(4<<10)...)}
	}, 0},
	{"an upgrade as a peer", func(*stage, *keyring.Ring) [][]byte {
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

// peer reaches both sidecars where they reach each other.
func peer(ctx context.Context, s *stage) error {
	keys, err := keyring.New([][]byte{keyring.Generate()})
	if err != nil {
		return err
	}
	var work sync.WaitGroup
	var made, held atomic.Int64
	hello := clientHello()
	for i := range peerHands {
		work.Go(func() {
			for n := i; ctx.Err() == nil; n++ {
				a := attempts[n%len(attempts)]
				w := s.ways[n/len(attempts)%len(s.ways)]
				say(ctx, w, s.ports[rand.N(len(s.ports))], a.pieces(s, keys), a.pause, peerWaits)
				made.Add(1)
			}
		})
	}
	// Half of a handshake, or nothing, on connections that stay open, and resets.
	for i := range peerHeld {
		work.Go(func() {
			for ctx.Err() == nil {
				w, begun := s.ways[i%len(s.ways)], hello
				if i%2 == 0 { // a request that stops in the middle, on a connection that is whole
					begun, _ = cutRecording(s.tap.recording())
				} else {
					w = plainWay
				}
				say(ctx, w, s.ports[i/2%len(s.ports)], [][]byte{begun[:rand.N(len(begun)+1)]}, 0, peerHolds)
				held.Add(1)
				if proc.Sleep(ctx, rand.N(time.Second)) != nil {
					return
				}
			}
		})
	}
	work.Wait()
	fmt.Printf("peer: %d attempts, %d connections were held\n", made.Load(), held.Load())
	return nil
}

// say writes pieces on a connection and reads what comes, until so long after the
// last or until the other end closes it. Every third connection ends with a reset.
func say(ctx context.Context, w way, addr string, pieces [][]byte, pause, wait time.Duration) {
	c, err := w.dial(ctx, addr)
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

package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/internal/peer"
	"github.com/wsresilience/wsresilience/internal/proxytest"
)

// Whoever reaches the port for other sidecars holds connections there, with half a
// handshake of TLS or none: those that have waited longest make way, and sidecars
// are served.
func TestPeersWaiting(t *testing.T) {
	ca := proxytest.NewCA(t)
	s, addr := servePeers(t, ca.Mutual(t))
	hello := clientHello(t)
	var held []net.Conn
	for i := range maxPeersWaiting + 200 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if _, err := c.Write(hello[:i%len(hello)]); err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
	}
	waiting := func() int {
		s.peerRoom.mu.Lock()
		defer s.peerRoom.mu.Unlock()
		return s.peerRoom.waiting.Len()
	}
	eventually(t, "all are there", func() bool { return waiting() == maxPeersWaiting })
	for i, c := range []net.Conn{held[0], held[199]} {
		_ = c.SetReadDeadline(time.Now().Add(attackPatience))
		if _, err := io.Copy(io.Discard, c); err != nil && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%d of the first is kept: %v", i, err)
		}
	}
	g := newGateway(t, addr, peer.Config{TLS: fixed(ca.Mutual(t)), Proofs: testRing(t)})
	g.ask(t)
	g.wantEnd(t, peer.Served)
	for _, c := range held {
		c.Close()
	}
	eventually(t, "nobody waits", func() bool { return waiting() == 0 })
}

// clientHello is what a client of TLS says first.
func clientHello(t *testing.T) []byte {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { _ = tls.Client(far, &tls.Config{ServerName: "a"}).HandshakeContext(ctx) }()
	b := make([]byte, 4<<10)
	n, err := near.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

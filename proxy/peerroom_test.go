package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
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
		return len(s.peerRoom.at)
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

// A far is a connection from an address.
type far struct {
	net.Conn
	from   string
	closed chan struct{}
}

func (c *far) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(c.from))
}

func (c *far) Close() error { close(c.closed); return nil }

// TestPeersMakeRoom: when too many connections wait, that address makes way which has
// most of them, and no sidecar's does for others.
func TestPeersMakeRoom(t *testing.T) {
	room := peerRoom{known: func(a netip.Addr) bool {
		return a == netip.MustParseAddr("10.0.0.1") || a == netip.MustParseAddr("fd00::1")
	}}
	add := func(from string) *far {
		c := &far{from: from, closed: make(chan struct{})}
		room.state(c, http.StateNew)
		return c
	}
	const peers, modest = 300, 100
	groups := map[string][]*far{}
	add1 := func(name, from string) { groups[name] = append(groups[name], add(from)) }
	for range peers {
		add1("sidecar", "10.0.0.1:1")
		add1("sidecar of IPv6", "[fd00::1]:1")
	}
	for i := range modest {
		add1("modest", fmt.Sprintf("10.0.1.%d:1", i%4))
	}
	for i := range 2 * maxPeersWaiting {
		add1("greedy", fmt.Sprintf("[fd00::%x]:1", i+2)) // one network
	}
	ended := func(name string) (n int) {
		for _, c := range groups[name] {
			room.mu.Lock()
			if _, waits := room.at[c]; !waits {
				<-c.closed
				n++
			}
			room.mu.Unlock()
		}
		return n
	}
	for name, want := range map[string]int{
		"sidecar": 0, "sidecar of IPv6": 0, "modest": 0, "greedy": 2*maxPeersWaiting - (maxPeersWaiting - 2*peers - modest),
	} {
		if got := ended(name); got != want {
			t.Errorf("%s: %d ended, want %d", name, got, want)
		}
	}
	if newest := groups["greedy"][len(groups["greedy"])-1]; room.at[newest].line == nil {
		t.Error("the newest made way, and not the oldest")
	}
	// Sidecars alone, too many of them: the one that has most makes way.
	for range maxPeersWaiting {
		add1("sidecar", "10.0.0.1:2")
	}
	if got := ended("sidecar of IPv6"); got != 0 {
		t.Errorf("of a sidecar that has fewer %d ended", got)
	}
	for _, group := range groups {
		for _, c := range group {
			room.state(c, http.StateClosed)
		}
	}
	if len(room.at)+len(room.lines) > 0 {
		t.Errorf("%d connections and %d lines are left", len(room.at), len(room.lines))
	}
}

// TestPeerAddresses: an address is a sidecar's when one has proved itself there, or a
// lease says so, and not for ever.
func TestPeerAddresses(t *testing.T) {
	now := time.Now()
	var p peerAddresses
	a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("::ffff:10.0.0.1")
	if p.has(a, now) {
		t.Error("nobody has proved anything")
	}
	p.add(b, now)
	if !p.has(a, now) || !p.has(b, now) || p.has(a.Next(), now) {
		t.Error("an address has proved itself, by either version of IP")
	}
	if p.has(a, now.Add(provedFor)) {
		t.Error("that was long ago")
	}
	for i := range 2 * maxProved {
		a = a.Next()
		p.add(a, now.Add(time.Duration(i)))
	}
	if len(p.proved) > maxProved || !p.has(a, now) {
		t.Errorf("%d addresses are kept; the newest: %v", len(p.proved), p.has(a, now))
	}
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

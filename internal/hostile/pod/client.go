package pod

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/wire"
)

// clientAttacks are what a client tries. The numbers are of connections at once.
var clientAttacks = []attack{
	{"handshakes that send nothing", func(ctx context.Context, t *target) { t.crowd(ctx, 3000, time.Second, halfOpen) }},
	{"handshakes and resets", func(ctx context.Context, t *target) { t.crowd(ctx, 20, 0, detach) }},
	{"huge heads", func(ctx context.Context, t *target) { t.crowd(ctx, 200, 0, hugeHead) }},
	{"messages without an end", func(ctx context.Context, t *target) { t.crowd(ctx, 400, 0, withoutEnd) }},
	{"fragments without an end", func(ctx context.Context, t *target) { t.crowd(ctx, 100, 0, fragments) }},
	{"reads nothing", func(ctx context.Context, t *target) { t.crowd(ctx, 100, 0, readsNothing) }},
	{"floods of control", func(ctx context.Context, t *target) { t.crowd(ctx, 4, 0, controlFlood) }},
	{"resumes with one token", func(ctx context.Context, t *target) { t.crowd(ctx, 1, 0, oneToken) }},
	{"resumes with no token at all", func(ctx context.Context, t *target) { t.crowd(ctx, 8, 0, junkToken) }},
}

// crowd keeps n connections busy with an attack that ends now and then. Each has
// had its rest of about pause then.
func (t *target) crowd(ctx context.Context, n int, pause time.Duration, once func(ctx context.Context, t *target)) {
	var all sync.WaitGroup
	for range t.many(n) {
		all.Go(func() {
			for ctx.Err() == nil {
				once(ctx, t)
				rest(ctx, pause+10*time.Millisecond)
			}
		})
	}
	all.Wait()
}

// rest waits for about d.
func rest(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d/2 + rand.N(d)):
	case <-ctx.Done():
	}
}

// sources are the addresses of loopback that attackers come from.
const sources = 16

// holds is how long a connection that does nothing is held.
const holds = 20 * time.Second

func (t *target) dial(ctx context.Context) net.Conn {
	// One address has some 28,000 ports.
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1, 0, byte(1+rand.N(sources)))}}
	c, err := from.DialContext(ctx, "tcp", t.addr)
	if err != nil {
		rest(ctx, 100*time.Millisecond)
		return nil
	}
	return &conn{c, context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })}
}

// A conn waits for nothing any more when the attack is over.
type conn struct {
	net.Conn
	stop func() bool
}

// reset closes a connection so that neither end waits for the other.
func reset(c net.Conn) {
	if c, ok := c.(*conn); ok {
		c.stop()
		if t, ok := c.Conn.(*net.TCPConn); ok {
			_ = t.SetLinger(0)
		}
	}
	c.Close()
}

const head = "GET %s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: %s\r\n%s\r\n"

// open makes a handshake, and returns nil if it was refused.
func (t *target) open(ctx context.Context, path, protocols, extra string) (net.Conn, *bufio.Reader) {
	c := t.dial(ctx)
	if c == nil {
		return nil, nil
	}
	fmt.Fprintf(c, head, path, protocols, extra)
	br := bufio.NewReader(c)
	resp, err := http.ReadResponse(br, nil) //nolint:bodyclose // there is none
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		reset(c)
		rest(ctx, 500*time.Millisecond)
		return nil, nil
	}
	return c, br
}

func halfOpen(ctx context.Context, t *target) {
	c := t.dial(ctx)
	if c == nil {
		return
	}
	defer reset(c)
	if rand.N(2) == 0 {
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHo")
	}
	rest(ctx, holds)
}

func detach(ctx context.Context, t *target) {
	cookie := "Cookie: c=" + strings.Repeat("c", 50_000) + "\r\n"
	if c, _ := t.open(ctx, "/echo/gone", "wsr, wsr.v1, wsr.adopt", cookie); c != nil {
		reset(c)
	}
}

func hugeHead(ctx context.Context, t *target) {
	c := t.dial(ctx)
	if c == nil {
		return
	}
	defer reset(c)
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\nX: %s", strings.Repeat("x", 50_000))
	for range 20 {
		if rest(ctx, 500*time.Millisecond); ctx.Err() != nil {
			return
		}
		if _, err := fmt.Fprint(c, "x"); err != nil {
			return
		}
	}
}

// megabyte is the largest message, in its frame.
var megabyte = frame.Append(nil, ws.Header{Fin: true, OpCode: ws.OpBinary, Masked: true}, make([]byte, 1<<20))

func withoutEnd(ctx context.Context, t *target) {
	protocols := []string{"wsr, wsr.v1", "x"}[rand.N(2)]
	c, _ := t.open(ctx, "/echo/part", protocols, "")
	if c == nil {
		return
	}
	defer reset(c)
	_, _ = c.Write(megabyte[:len(megabyte)-1])
	rest(ctx, holds)
}

func fragments(ctx context.Context, t *target) {
	c, _ := t.open(ctx, "/echo/fragments", "wsr, wsr.v1", "")
	if c == nil {
		return
	}
	defer reset(c)
	b := frame.Append(nil, ws.Header{OpCode: ws.OpBinary, Masked: true}, nil)
	part := frame.Append(nil, ws.Header{Masked: true}, make([]byte, 1000))
	for n := 0; n < 1000 && ctx.Err() == nil; n++ {
		if _, err := c.Write(append(b, part...)); err != nil {
			return
		}
		if b = b[:0]; n%50 == 0 {
			rest(ctx, 20*time.Millisecond)
		}
	}
	rest(ctx, holds)
}

func readsNothing(ctx context.Context, t *target) {
	c, _ := t.open(ctx, "/flood", []string{"wsr, wsr.v1", "x"}[rand.N(2)], "")
	if c == nil {
		return
	}
	defer reset(c)
	rest(ctx, holds)
}

func controlFlood(ctx context.Context, t *target) {
	c, br := t.open(ctx, "/echo/flood", "wsr, wsr.v1", "")
	if c == nil {
		return
	}
	defer reset(c)
	go func() { _, _ = br.WriteTo(discard{}) }()
	masked := ws.Header{Fin: true, OpCode: ws.OpBinary, Masked: true}
	var b []byte
	for range 20 {
		b = frame.Append(b, ws.Header{Fin: true, OpCode: ws.OpPing, Masked: true}, make([]byte, 100))
		b = frame.Append(b, ws.Header{Fin: true, OpCode: ws.OpPong, Masked: true}, nil)
		b = frame.Append(b, masked, wire.AppendAck(nil, 0))
	}
	for ctx.Err() == nil {
		if _, err := c.Write(b); err != nil {
			return
		}
		rest(ctx, 20*time.Millisecond)
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// oneToken resumes one session on many connections at once.
func oneToken(ctx context.Context, t *target) {
	c, br := t.open(ctx, "/echo/token", "wsr, wsr.v1", "")
	if c == nil {
		return
	}
	defer reset(c)
	welcome, err := readWelcome(br)
	if err != nil {
		return
	}
	offer := "wsr, wsr.v1, wsr.resume." + welcome.Token + ".0.1"
	end := time.Now().Add(holds / 4)
	t.crowd(ctx, 10, 0, func(ctx context.Context, t *target) {
		if time.Now().After(end) {
			rest(ctx, time.Second) // the next session comes with the next attack
			return
		}
		if c, _ := t.open(ctx, "/echo/token", offer, ""); c != nil {
			reset(c)
		}
	})
}

func junkToken(ctx context.Context, t *target) {
	token := strings.Repeat(string(rune('a'+rand.N(26))), 200)
	if c, _ := t.open(ctx, "/echo/junk", "wsr, wsr.v1, wsr.resume."+token+".0.1", ""); c != nil {
		reset(c)
	}
}

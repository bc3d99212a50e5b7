package faultlink

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime/pprof"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Real sockets have no virtual clock, so these tests wait for events and
// never for a time to pass; limit only keeps a failure from hanging, and
// nothing is how long a silence must hold to be believed.
const (
	limit   = 10 * time.Second
	nothing = 30 * time.Millisecond
)

// A bench is a link, and a client and a target connected through it.
type bench struct {
	*testing.T
	link   *Link
	target net.Listener
}

func newBench(t *testing.T) *bench {
	t.Helper()
	target, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := New("127.0.0.1:0", target.Addr().String(), rand.New(rand.NewPCG(1, 2)).Float64)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.Close()
		target.Close()
		wantNoGoroutine(t)
	})
	return &bench{t, l, target}
}

func (b *bench) dial() net.Conn {
	b.Helper()
	c, err := net.Dial("tcp", b.link.Addr())
	if err != nil {
		b.Fatal(err)
	}
	return b.keep(c)
}

func (b *bench) pair() (client, target net.Conn) {
	b.Helper()
	client = b.dial()
	return client, b.accept()
}

func (b *bench) accept() net.Conn {
	b.Helper()
	b.target.(*net.TCPListener).SetDeadline(time.Now().Add(limit))
	c, err := b.target.Accept()
	if err != nil {
		b.Fatal(err)
	}
	return b.keep(c)
}

func (b *bench) keep(c net.Conn) net.Conn {
	b.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(limit))
	return c
}

func (b *bench) write(c net.Conn, s string) {
	b.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) wantRead(c net.Conn, s string) {
	b.Helper()
	got := make([]byte, len(s))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != s {
		b.Fatalf("read %q, %v; want %q", got, err, s)
	}
}

// wantEnd reads the rest and wants it to be empty and to end with err.
func (b *bench) wantEnd(what string, c net.Conn, err error) {
	b.Helper()
	rest, got := io.ReadAll(c)
	if got == nil {
		got = io.EOF
	}
	if len(rest) != 0 || !errors.Is(got, err) {
		b.Fatalf("%s: read %q, %v; want nothing and %v", what, rest, got, err)
	}
}

func (b *bench) wantNothing(what string, c net.Conn) {
	b.Helper()
	c.SetReadDeadline(time.Now().Add(nothing))
	defer c.SetReadDeadline(time.Now().Add(limit))
	b.wantEnd(what, c, os.ErrDeadlineExceeded)
}

func (b *bench) wantConnections(n int) {
	b.Helper()
	for end := time.Now().Add(limit); len(b.link.Conns()) != n; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			b.Fatalf("%d connections, want %d", len(b.link.Conns()), n)
		}
	}
}

// wantNoGoroutine looks for code of this package on any stack.
func wantNoGoroutine(t *testing.T) {
	t.Helper()
	var stacks bytes.Buffer
	pprof.Lookup("goroutine").WriteTo(&stacks, 1)
	if s := stacks.String(); strings.Contains(s, "faultlink.(*Link)") || strings.Contains(s, "faultlink.(*Conn)") {
		t.Errorf("goroutines left after Close:\n%s", s)
	}
}

func TestHealthy(t *testing.T) {
	b := newBench(t)
	client, target := b.pair()
	b.write(client, "ping")
	b.wantRead(target, "ping")
	b.wantConnections(1)

	// The client ends its stream; the other direction goes on.
	client.(*net.TCPConn).CloseWrite()
	b.wantEnd("target", target, io.EOF)
	b.write(target, "late")
	target.Close()
	b.wantRead(client, "late")
	b.wantEnd("client", client, io.EOF)
	b.wantConnections(0)
}

func TestBrokenEndIsPassedOn(t *testing.T) {
	b := newBench(t)
	client, target := b.pair()
	reset(client.(*net.TCPConn))
	b.wantEnd("target", target, syscall.ECONNRESET)
}

func TestCutRST(t *testing.T) {
	b := newBench(t)
	client, target := b.pair()
	b.link.Cut(RST)
	b.wantEnd("client", client, syscall.ECONNRESET)
	b.wantEnd("target", target, syscall.ECONNRESET)
	b.wantConnections(0)

	client, target = b.pair()
	b.write(client, "again")
	b.wantRead(target, "again")
}

func TestCutFIN(t *testing.T) {
	b := newBench(t)
	client, target := b.pair()
	b.link.Cut(FIN)
	b.wantEnd("client", client, io.EOF)
	b.wantEnd("target", target, io.EOF)
	b.write(client, "into the void")
	b.wantConnections(0)
}

func TestHalfOpen(t *testing.T) {
	for _, kind := range []Kind{DropTarget, DropClient} {
		t.Run(kind.String(), func(t *testing.T) {
			b := newBench(t)
			left, dropped := b.pair()
			if kind == DropClient {
				left, dropped = dropped, left
			}
			b.link.Cut(kind)
			b.wantEnd("the dropped end", dropped, syscall.ECONNRESET)
			// More than the buffers hold, so the link really swallows it.
			b.write(left, strings.Repeat("x", 8<<20))
			b.wantNothing("the half-open end", left)
			b.wantConnections(0)
		})
	}
}

func TestCutOneConnection(t *testing.T) {
	b := newBench(t)
	client, target := b.pair()
	other, otherTarget := b.pair()
	for _, c := range b.link.Conns() {
		if c.client.RemoteAddr().String() == client.LocalAddr().String() {
			if to := c.Target(); to.String() != b.target.Addr().String() {
				t.Errorf("its target is %s, want %s", to, b.target.Addr())
			}
			c.Cut(RST)
		}
	}
	b.wantEnd("client", client, syscall.ECONNRESET)
	b.wantEnd("target", target, syscall.ECONNRESET)
	b.write(other, "alive")
	b.wantRead(otherTarget, "alive")
}

func TestSilence(t *testing.T) {
	b := newBench(t)
	client, target := b.pair()
	b.link.Silence()
	b.write(client, "up")
	b.write(target, "down")
	client.(*net.TCPConn).CloseWrite()
	b.wantNothing("target", target)
	b.wantNothing("client", client)

	// A connection that begins in the silence is as silent.
	late := b.dial()
	b.write(late, "late")
	b.wantNothing("late", late)
	b.wantConnections(2)

	b.link.Heal()
	b.wantRead(target, "up")
	b.wantEnd("target", target, io.EOF)
	b.wantRead(client, "down")
	b.wantRead(b.accept(), "late")
}

func TestSilenceOfOne(t *testing.T) {
	b := newBench(t)
	client, target := b.pair()
	b.link.Conns()[0].Silence()
	other, otherTarget := b.pair()
	b.write(client, "held")
	b.write(other, "passes")
	b.wantRead(otherTarget, "passes")
	b.wantNothing("target", target)
	b.link.Cut(RST) // a silent connection can be cut
	b.wantEnd("target", target, syscall.ECONNRESET)
}

func TestCutAfterEveryByte(t *testing.T) {
	const text = "every offset of this text"
	b := newBench(t)
	for _, kind := range []Kind{RST, FIN} {
		end := map[Kind]error{RST: syscall.ECONNRESET, FIN: io.EOF}[kind]
		for n := range len(text) + 1 {
			client, target := b.pair()
			b.link.CutAfter(Inbound, int64(n), kind)
			b.write(client, text)
			b.wantRead(target, text[:n])
			b.wantEnd(kind.String()+" target", target, end)

			client, target = b.pair()
			b.link.CutAfter(Outbound, int64(n), kind)
			b.write(target, text)
			b.wantRead(client, text[:n])
			b.wantEnd(kind.String()+" client", client, end)
		}
	}
	b.wantConnections(0)
}

func TestLatencyKeepsOrder(t *testing.T) {
	const way, jitter = 10 * time.Millisecond, 10 * time.Millisecond
	b := newBench(t)
	b.link.SetLatency(way, 0)
	client, target := b.pair()
	start := time.Now()
	b.write(client, "x")
	b.wantRead(target, "x")
	b.write(target, "y")
	b.wantRead(client, "y")
	if took := time.Since(start); took < 2*way {
		t.Errorf("there and back took %v, want at least %v", took, 2*way)
	}

	b.link.SetLatency(way, jitter)
	var sent strings.Builder
	for i := range 200 {
		s := string(rune('a' + i%26))
		b.write(client, s)
		sent.WriteString(s)
	}
	b.wantRead(target, sent.String())
}

// Both ends are left alone with a connection that carries nothing.
func TestMute(t *testing.T) {
	b := newBench(t)
	client, target := b.pair()
	b.link.Cut(Mute)
	b.wantConnections(0)
	b.write(client, "up")
	b.write(target, "down")
	b.wantNothing("target", target)
	b.wantNothing("client", client)
	target.Close()
	b.wantNothing("client", client)
}

func TestDown(t *testing.T) {
	b := newBench(t)
	client, target := b.pair()
	for range 2 { // twice is as once
		if err := b.link.Down(true); err != nil {
			t.Fatal(err)
		}
	}
	if c, err := net.Dial("tcp", b.link.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("dial while down: %v, %v", c, err)
	}
	b.write(client, "lives on")
	b.wantRead(target, "lives on")
	for range 2 {
		if err := b.link.Down(false); err != nil {
			t.Fatal(err)
		}
	}
	client, target = b.pair()
	b.write(client, "up again")
	b.wantRead(target, "up again")
}

func TestTargetRefuses(t *testing.T) {
	b := newBench(t)
	b.target.Close()
	c, err := net.Dial("tcp", b.link.Addr())
	if err == nil { // the reset may be faster than the dialler looks
		_, err = b.keep(c).Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("got %v, want a reset", err)
	}
	b.wantConnections(0)
}

func TestCloseWhileSilent(t *testing.T) {
	b := newBench(t)
	client, _ := b.pair()
	b.link.Silence()
	late := b.dial()
	b.wantConnections(2)
	b.link.Close()
	b.wantEnd("client", client, syscall.ECONNRESET)
	b.wantEnd("late", late, syscall.ECONNRESET)
	if err := b.link.Down(false); err != nil {
		t.Fatal(err)
	}
	if c, err := net.Dial("tcp", b.link.Addr()); err == nil {
		c.Close()
		t.Fatal("a closed link came up again")
	}
}

// Whatever is done to it at the same time, a link ends and leaves nothing.
func TestChaos(t *testing.T) {
	b := newBench(t)
	var echo sync.WaitGroup
	echo.Go(func() {
		for {
			c, err := b.target.Accept()
			if err != nil {
				return
			}
			echo.Go(func() { defer c.Close(); io.Copy(c, c) })
		}
	})
	var work sync.WaitGroup
	for seed := range 4 {
		r := rand.New(rand.NewPCG(uint64(seed), 7))
		work.Go(func() {
			for range 50 {
				b.fault(r)
				b.useOnce(r)
			}
		})
	}
	work.Wait()
	b.link.Close()
	b.target.Close()
	echo.Wait()
}

func (b *bench) fault(r *rand.Rand) {
	kind := Kind(r.IntN(len(kindNames)))
	switch r.IntN(7) {
	case 0:
		b.link.Cut(kind)
	case 1:
		b.link.CutAfter(Direction(r.IntN(2)), r.Int64N(100), kind)
	case 2:
		b.link.Silence()
	case 3, 4:
		b.link.Heal()
	case 5:
		b.link.SetLatency(time.Duration(r.IntN(1000))*time.Microsecond, time.Millisecond)
	case 6:
		if err := b.link.Down(r.IntN(2) == 0); err != nil {
			b.Error(err)
		}
	}
}

// useOnce wants that what comes back, if anything, is a prefix of what was
// sent.
func (b *bench) useOnce(r *rand.Rand) {
	c, err := net.Dial("tcp", b.link.Addr())
	if err != nil {
		return
	}
	defer c.Close()
	sent := bytes.Repeat([]byte{byte(r.IntN(256)), byte(r.IntN(256))}, 50)
	c.SetDeadline(time.Now().Add(5 * time.Millisecond))
	c.Write(sent)
	got := make([]byte, len(sent))
	n, _ := io.ReadFull(c, got)
	if !bytes.HasPrefix(sent, got[:n]) {
		b.Errorf("sent % x, got % x", sent, got[:n])
	}
}

package peer

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/internal/httpguard"
	"github.com/wsresilience/wsresilience/internal/proxytest"
	"github.com/wsresilience/wsresilience/internal/upgrade"
)

// A gateway forwards every upgrade to one owner. What else came of it than an
// answer is a 503 that says so.
type gateway struct {
	*Forwarder
	addr string
	ends chan Result
}

func newGateway(t testing.TB, owner string, change func(*Config)) *gateway {
	t.Helper()
	cfg := Config{Self: "gateway:1", Proofs: testRing(t), Logger: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&cfg)
	}
	g := &gateway{Forwarder: New(cfg), ends: make(chan Result, 4096)}
	hs := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, ref := upgrade.Parse(r); ref != nil {
			ref.Write(w)
			return
		}
		end := g.Forward(w, r, "http", owner)
		g.ends <- end
		if end != Served {
			http.Error(w, end.String(), http.StatusServiceUnavailable)
		}
	})}
	l := proxytest.Listen(t)
	g.addr = l.Addr().String()
	go func() { _ = hs.Serve(httpguard.Guard(l)) }()
	t.Cleanup(func() {
		g.CloseAll()
		hs.Close()
		proxytest.Eventually(t, "no tunnel is left", func() bool { return g.Count() == 0 })
	})
	return g
}

// fakeOwner proves on every connection that it is the owner, and runs fn, which
// reads the client's request.
func fakeOwner(t testing.TB, fn func(net.Conn)) string {
	t.Helper()
	return listener(t, func(c net.Conn, addr string) {
		if proved := prove(t, c, addr); proved != nil {
			fn(proved)
		}
	})
}

// A provedConn reads the client's request first.
type provedConn struct {
	net.Conn
	io.Reader
}

func (c provedConn) Read(p []byte) (int, error) { return c.Reader.Read(p) }

// prove is the owner's side of the handshake; nil: the peer went away.
func prove(t testing.TB, c net.Conn, self string) net.Conn {
	f, br := New(Config{Proofs: testRing(t), Self: self}), bufio.NewReader(c)
	r, err := http.ReadRequest(br)
	if err != nil {
		return nil
	}
	agreed, answer := f.answer(r)
	if agreed.aad == nil {
		t.Error("a challenge that cannot be answered")
		return nil
	}
	_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\n%s: %s\r\nContent-Length: 0\r\n\r\n", handshakeHeader, answer)
	if r, err = http.ReadRequest(br); err != nil {
		return nil
	}
	sealed, _ := io.ReadAll(r.Body)
	b, err := f.cfg.Proofs.Open(nil, sealed, agreed.aad)
	if err == nil {
		_, b, err = parseProof(b, agreed.version)
	}
	if err != nil {
		t.Errorf("the client's request: %v", err)
	}
	return provedConn{c, io.MultiReader(bytes.NewReader(b), br)}
}

// listener runs fn on every connection.
func listener(t testing.TB, fn func(c net.Conn, addr string)) string {
	t.Helper()
	l := proxytest.Listen(t)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				fn(c, l.Addr().String())
			}()
		}
	}()
	return l.Addr().String()
}

// readHead reads a request head as it came.
func readHead(c net.Conn) (string, *bufio.Reader) {
	br := bufio.NewReader(c)
	var head strings.Builder
	for {
		line, err := br.ReadString('\n')
		head.WriteString(line)
		if err != nil || line == "\r\n" {
			return head.String(), br
		}
	}
}

var ownerSwitch = strings.Replace(proxytest.Switched, "ACCEPT", upgrade.AcceptKey(proxytest.SampleKey), 1) + "\r\n"

// echoOwner is an owner that answers 101 and echoes bytes.
func echoOwner(t testing.TB) string {
	return fakeOwner(t, func(c net.Conn) {
		_, br := readHead(c)
		_, _ = io.WriteString(c, ownerSwitch)
		if n := br.Buffered(); n > 0 {
			b, _ := br.Peek(n)
			_, _ = c.Write(b)
		}
		raw := c.(provedConn).Conn // which the kernel copies
		_, _ = io.Copy(raw, raw)
	})
}

// ask sends the sample request to a gateway and reads the answer's head.
func (g *gateway) ask(t testing.TB, more string) (net.Conn, *bufio.Reader, *http.Response) {
	t.Helper()
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(proxytest.Patience))
	if _, err := io.WriteString(c, proxytest.UpgradeHead+more+"\r\n"); err != nil {
		t.Fatal(err)
	}
	br := bufio.NewReader(c)
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	return c, br, resp
}

func (g *gateway) wantEnd(t testing.TB, want Result) {
	t.Helper()
	select {
	case got := <-g.ends:
		if got != want {
			t.Errorf("ended as %s, want %s", got, want)
		}
	case <-time.After(proxytest.Patience):
		t.Errorf("no end, want %s", want)
	}
}

// The owner reads the client's own head, and the client the owner's own
// answer, what follows at once included.
func TestTunnelForwardsVerbatim(t *testing.T) {
	heads := make(chan string, 1)
	answer := "HTTP/1.1 101 Any Words\r\nupgrade: WebSocket\r\nX-Odd:  two  \r\nSec-WebSocket-Accept: " + upgrade.AcceptKey(proxytest.SampleKey) + "\r\n\r\n\x82\x01!"
	g := newGateway(t, fakeOwner(t, func(c net.Conn) {
		head, _ := readHead(c)
		heads <- head
		_, _ = io.WriteString(c, answer)
	}), nil)
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, proxytest.UpgradeHead+"X-Forwarded-For: 192.0.2.1\r\nCookie: a=1\r\nCookie: b=2\r\n\r\n")
	_ = c.SetDeadline(time.Now().Add(proxytest.Patience))
	got, err := io.ReadAll(c)
	if err != nil || string(got) != answer {
		t.Errorf("client got %q, %v", got, err)
	}
	head := <-heads
	for _, line := range []string{"GET /chat?x=1 HTTP/1.1", "Host: app.example", "Sec-WebSocket-Key: " + proxytest.SampleKey, "X-Forwarded-For: 192.0.2.1", "Cookie: a=1", "Cookie: b=2"} {
		if strings.Count(head, line+"\r\n") != 1 {
			t.Errorf("owner did not read %q once in\n%s", line, head)
		}
	}
}

func TestTunnelEnds(t *testing.T) {
	answering := func(answer string) func(net.Conn) {
		return func(c net.Conn) {
			readHead(c)
			_, _ = io.WriteString(c, answer)
			_, _ = c.Read(make([]byte, 1)) // until the other end
		}
	}
	for _, tc := range []struct {
		name  string
		owner func(net.Conn)
		want  Result
	}{
		{"421", answering("HTTP/1.1 421 Misdirected Request\r\nContent-Length: 0\r\n\r\n"), NotOwner},
		{"refused by the owner", answering("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"), Served},
		{"distrusted", answering("HTTP/1.1 403 Forbidden\r\nWsr-Peer: rejected\r\nContent-Length: 0\r\n\r\n"), Unreachable},
		{"silent", answering(""), Unreachable},
		{"slow head", answering("HTTP/1.1 101 Switching Protocols\r\nUpgr"), Unreachable},
		{"garbage", answering("SSH-2.0-OpenSSH_9.9\r\n\r\n"), Unreachable},
		{"other key", answering(strings.Replace(ownerSwitch, upgrade.AcceptKey(proxytest.SampleKey), "s3pPLMBiTxaQ9kYGzzhZRbK+xOx=", 1)), Unreachable},
		{"early hints", answering("HTTP/1.1 103 Early Hints\r\n\r\n"), Unreachable},
		{"huge head", answering("HTTP/1.1 101 Switching Protocols\r\nX: " + strings.Repeat("x", upgrade.MaxAnswerBytes) + "\r\n\r\n"), Unreachable},
		{"early close", func(c net.Conn) { readHead(c) }, Unreachable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			owner := fakeOwner(t, tc.owner)
			g := newGateway(t, owner, nil)
			g.ask(t, "")
			g.wantEnd(t, tc.want)
			if bad := g.SilentFor(owner) > 0; bad != (tc.want == Unreachable) {
				t.Errorf("remembered as silent: %v", bad)
			}
		})
	}
}

func TestTunnelToNobody(t *testing.T) {
	l := proxytest.Listen(t)
	closed := l.Addr().String()
	l.Close()
	for owner, want := range map[string]Result{
		closed: Refused, "": NotOwner, "gateway:1": NotOwner, "host": NotOwner,
		"a b:1": NotOwner, "host:0": NotOwner, "host:http": NotOwner, ":80": NotOwner,
	} {
		g := newGateway(t, owner, nil)
		g.ask(t, "")
		g.wantEnd(t, want)
	}
}

// A client that goes away while the owner thinks is nobody's fault.
func TestTunnelClientGone(t *testing.T) {
	asked := make(chan struct{})
	owner := fakeOwner(t, func(c net.Conn) {
		readHead(c)
		close(asked)
		_, _ = c.Read(make([]byte, 1))
	})
	g := newGateway(t, owner, nil)
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, proxytest.UpgradeHead+"\r\n")
	<-asked
	c.Close()
	g.wantEnd(t, Served)
	if g.SilentFor(owner) != 0 {
		t.Error("the owner was blamed")
	}
}

// Bytes before the answer end both connections.
func TestTunnelEarlyBytes(t *testing.T) {
	ended := make(chan error, 1)
	g := newGateway(t, fakeOwner(t, func(c net.Conn) {
		_, br := readHead(c)
		_, _ = io.WriteString(c, ownerSwitch)
		_, err := br.ReadByte()
		ended <- err
	}), nil)
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, proxytest.UpgradeHead+"\r\nearly")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != http.StatusBadRequest {
		t.Errorf("%v, %v", resp, err)
	}
	if err := <-ended; err == nil {
		t.Error("the early bytes reached the owner")
	}
}

// Each end's FIN is passed on, and what comes the other way still arrives.
func TestTunnelHalfClose(t *testing.T) {
	g := newGateway(t, fakeOwner(t, func(c net.Conn) {
		_, br := readHead(c)
		_, _ = io.WriteString(c, ownerSwitch)
		b, _ := io.ReadAll(br)
		_, _ = c.Write(append(b, " heard"...))
	}), nil)
	c, br, _ := g.ask(t, "")
	proxytest.Eventually(t, "the tunnel is there", func() bool { return g.Count() == 1 })
	_, _ = io.WriteString(c, "last words")
	_ = c.(*net.TCPConn).CloseWrite()
	if b, err := io.ReadAll(br); err != nil || string(b) != "last words heard" {
		t.Errorf("%q, %v", b, err)
	}
	proxytest.Eventually(t, "the tunnel ends", func() bool { return g.Count() == 0 })
}

// Everything arrives, both ways at once, over TCP.
func TestTunnelCarries(t *testing.T) {
	g := newGateway(t, echoOwner(t), nil)
	c, br, _ := g.ask(t, "")
	carry(t, c, br)
	g.CloseAll()
	if _, err := br.ReadByte(); err == nil {
		t.Error("a tunnel outlives closeAll")
	}
	if _, _, resp := g.ask(t, ""); resp.StatusCode == http.StatusOK {
		t.Error("a new one is served")
	}
}

// carry echoes some megabytes in pieces of many sizes.
func carry(t testing.TB, c net.Conn, br io.Reader) {
	t.Helper()
	sent := bytes.Repeat([]byte("0123456789abcdef\x00\xff!"), 200_000)
	go func() {
		for rest, n := sent, 1; len(rest) > 0; n = n*3%70_001 + 1 {
			k := min(n, len(rest))
			if _, err := c.Write(rest[:k]); err != nil {
				return
			}
			rest = rest[k:]
		}
	}()
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(br, got); err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("what came back differs: %v", err)
	}
}

// An idle tunnel costs two sockets and two waiting goroutines; no pipe and no
// buffer.
func TestIdleTunnel(t *testing.T) {
	const n = 100
	g := newGateway(t, echoOwner(t), nil)
	talk := func() {
		c, br, _ := g.ask(t, "")
		_, _ = io.WriteString(c, "x")
		if _, err := br.ReadByte(); err != nil {
			t.Fatal(err)
		}
	}
	talk() // the pipes that are pooled from here on
	files, memory := descriptors(t), idleMemory()
	for range n {
		talk()
	}
	proxytest.Eventually(t, "handlers have returned", func() bool { return len(g.ends) == n+1 })
	// In one process: the client's socket, both of the sidecar, the owner's,
	// whose io.Copy holds a pipe. Those that carried the bytes are given back
	// a little later.
	proxytest.Eventually(t, "six descriptors each", func() bool { return (descriptors(t)-files)/n <= 6 })
	each := (idleMemory() - memory) / n
	t.Logf("%d bytes each, with its client and its owner", each)
	if each > 40<<10 {
		t.Errorf("%d bytes each", each)
	}
}

// idleMemory is heap and stacks.
func idleMemory() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// A crowd that comes back to an owner that does not answer is told at once,
// once one of it knows.
func TestTunnelCrowd(t *testing.T) {
	var mu sync.Mutex
	asked := 0
	owner := fakeOwner(t, func(c net.Conn) {
		mu.Lock()
		asked++
		mu.Unlock()
		_, _ = io.Copy(io.Discard, c)
	})
	g := newGateway(t, owner, nil)
	g.ask(t, "")
	g.wantEnd(t, Unreachable)
	began := time.Now()
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { g.ask(t, "") })
	}
	wg.Wait()
	if took := time.Since(began); took > time.Second {
		t.Errorf("it took %v", took)
	}
	mu.Lock()
	defer mu.Unlock()
	if asked != 1 {
		t.Errorf("the owner was asked %d times", asked)
	}
}

// BenchmarkTunnel is a round trip of a small message, without and with one
// more sidecar between.
func BenchmarkTunnel(b *testing.B) {
	owner := echoOwner(b)
	for _, name := range []string{"direct", "tunnel"} {
		for _, size := range []int{64, 64 << 10} {
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
				g := newGateway(b, owner, nil)
				if name == "direct" {
					g.addr = owner
				}
				c, br, _ := g.ask(b, "")
				_ = c.SetDeadline(time.Time{})
				msg := make([]byte, size)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := c.Write(msg); err != nil {
						b.Fatal(err)
					}
					if _, err := io.ReadFull(br, msg); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// descriptors counts those of this process, where it can.
func descriptors(t testing.TB) int {
	t.Helper()
	if runtime.GOOS != "linux" {
		return 0
	}
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// An owner that first has to hand the session over says so, and then has longer
// than others. It says so once.
func TestTunnelOwnerIsAtWork(t *testing.T) {
	t.Parallel()
	const processing = "HTTP/1.1 102 Processing\r\n\r\n"
	for _, tc := range []struct {
		name, first, last string
		after             time.Duration
		want              Result
	}{
		{"hands over", processing, "HTTP/1.1 421 Misdirected Request\r\nContent-Length: 0\r\n\r\n", tunnelTimeout + 500*time.Millisecond, NotOwner},
		{"at once, in one piece", processing + "HTTP/1.1 421 Misdirected Request\r\nContent-Length: 0\r\n\r\n", "", 0, NotOwner},
		{"serves after all", processing, ownerSwitch, 100 * time.Millisecond, Served},
		{"again and again", processing + processing, ownerSwitch, 0, Unreachable},
		{"says nothing", "", ownerSwitch, tunnelTimeout + 500*time.Millisecond, Unreachable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			owner := fakeOwner(t, func(c net.Conn) {
				readHead(c)
				_, _ = io.WriteString(c, tc.first)
				time.Sleep(tc.after)
				_, _ = io.WriteString(c, tc.last)
				_, _ = io.Copy(io.Discard, c)
			})
			g := newGateway(t, owner, nil)
			_, _, resp := g.ask(t, "")
			if got := resp.StatusCode == http.StatusSwitchingProtocols; got != (tc.want == Served) {
				t.Errorf("the client got %d", resp.StatusCode)
			}
			g.wantEnd(t, tc.want)
		})
	}
}

package endtoend

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/wsresilience/wsresilience/client"
)

// hangLimit is what a client of these tests waits for the answer to a handshake
// that hangs.
const hangLimit = 300 * time.Millisecond

// handshakeFailures are the ways in which a first handshake fails: what is done
// with the connection once the request has been read. "refused" has no
// connection.
var handshakeFailures = map[string]func(c *net.TCPConn, r *http.Request){
	"refused":         nil,
	"reset":           func(c *net.TCPConn, _ *http.Request) { _ = c.SetLinger(0) },
	"closed":          func(*net.TCPConn, *http.Request) {},
	"hangs":           func(c *net.TCPConn, _ *http.Request) { _, _ = io.Copy(io.Discard, c) },
	"502":             answers("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"),
	"503":             answers("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"),
	"302":             answers("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/login\r\nContent-Length: 0\r\n\r\n"),
	"407":             answers("HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n"),
	"426":             answers("HTTP/1.1 426 Upgrade Required\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n"),
	"502 with a page": answers("HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<html>" + strings.Repeat("<p>nginx</p>\n", 2000)),
	"200":             answers("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"),
	"TLS":             answers("\x15\x03\x01\x00\x02\x02\x46"), // an alert, to who says no TLS
	"wrong key":       answers("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: wsr.v1\r\nSec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n"),
	"closed mid-head": answers("HTTP/1.1 101 Switching Protocols\r\nUpgrade: webso"),
	"reset mid-head": func(c *net.TCPConn, r *http.Request) {
		answers("HTTP/1.1 101 Switching Protocols\r\nUpgrade: webso")(c, r)
		_ = c.SetLinger(0)
	},
	refusesOurs:    answers("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
	selectsAnother: func(c *net.TCPConn, r *http.Request) { switches(c, r, "Sec-WebSocket-Protocol: soap\r\n") },
	withoutOurs: func(c *net.TCPConn, r *http.Request) {
		switches(c, r, "")
		_, _ = io.Copy(io.Discard, c)
	},
}

// What may come of a server that does not know our entries: Dial tries again by
// itself.
const (
	refusesOurs    = "400"
	selectsAnother = "101 with another entry"
)

// withoutOurs is the one answer that makes a connection, an ordinary one: who
// answers so is no sidecar.
const withoutOurs = "101 without our entry"

func switches(c *net.TCPConn, r *http.Request, more string) {
	const guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" // RFC 6455 §1.3
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + guid))
	answers("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+more+
		"Sec-WebSocket-Accept: "+base64.StdEncoding.EncodeToString(sum[:])+"\r\n\r\n")(c, r)
}

func answers(text string) func(*net.TCPConn, *http.Request) {
	return func(c *net.TCPConn, _ *http.Request) { _, _ = io.WriteString(c, text) }
}

// A spoiler lets handshakes fail on their way to a server.
type spoiler struct {
	target  string
	failure string
	left    atomic.Int64 // failures to come
	dead    string       // an address at which nobody listens
	ln      net.Listener
	tasks   sync.WaitGroup
}

func newSpoiler(t *testing.T, target, failure string, times int) *spoiler {
	t.Helper()
	listen := func() net.Listener {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return ln
	}
	dead := listen()
	s := &spoiler{target: target, failure: failure, dead: dead.Addr().String(), ln: listen()}
	_ = dead.Close()
	s.left.Store(int64(times))
	s.tasks.Go(func() {
		for {
			c, err := s.ln.Accept()
			if err != nil {
				return
			}
			s.tasks.Go(func() { s.serve(c.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() {
		_ = s.ln.Close()
		s.tasks.Wait()
	})
	return s
}

// dial is the client's.
func (s *spoiler) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	addr := s.ln.Addr().String()
	if handshakeFailures[s.failure] == nil && s.left.Add(-1) >= 0 {
		addr = s.dead
	}
	var d net.Dialer
	return d.DialContext(ctx, network, addr)
}

func (s *spoiler) serve(c *net.TCPConn) {
	defer c.Close()
	if fail := handshakeFailures[s.failure]; fail != nil && s.left.Add(-1) >= 0 {
		if r, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			fail(c, r)
		}
		return
	}
	to, err := net.Dial("tcp", s.target)
	if err != nil {
		return
	}
	defer to.Close()
	var up sync.WaitGroup
	up.Go(func() {
		_, _ = io.Copy(to, c)
		_ = to.(*net.TCPConn).CloseWrite()
	})
	_, _ = io.Copy(c, to)
	_ = c.CloseWrite()
	up.Wait()
}

// echoApp says what it hears, and knows no subprotocol.
func echoApp(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	for {
		typ, p, err := c.Read(r.Context())
		if err != nil || c.Write(r.Context(), typ, p) != nil {
			return
		}
	}
}

// TestFirstHandshakes: however often a first handshake fails, a program that
// dials again has a session where a sidecar is, and an ordinary WebSocket where
// none is. While it fails, it has none.
func TestFirstHandshakes(t *testing.T) {
	const always = 5 // in which time any guess would have been made
	app := httptest.NewServer(http.HandlerFunc(echoApp))
	t.Cleanup(app.Close)
	targets := map[bool]string{
		false: strings.TrimPrefix(app.URL, "http://"),
		true:  newProcess(t, app.URL, t.TempDir()).Addr,
	}
	for failure := range handshakeFailures {
		for _, times := range []int{1, 2, always} {
			for sidecar, target := range targets {
				t.Run(fmt.Sprintf("%s/%d times/sidecar %v", failure, times, sidecar), func(t *testing.T) {
					t.Parallel()
					wantFirst(t, newSpoiler(t, target, failure, times), times, sidecar)
				})
			}
		}
	}
}

// wantFirst dials until the failures are over, and once more.
func wantFirst(t *testing.T, s *spoiler, times int, sidecar bool) {
	o := &client.Options{NetDial: s.dial, HandshakeTimeout: processLimit}
	if s.failure == "hangs" {
		o.HandshakeTimeout = hangLimit
	}
	for i := range times {
		c, _, err := client.Dial(t.Context(), "ws://"+s.ln.Addr().String(), o)
		if err == nil {
			defer c.CloseNow()
		}
		switch {
		case s.failure == refusesOurs, s.failure == selectsAnother:
			if err == nil && c.Resilient() != sidecar {
				t.Fatalf("dial %d: resilient is %v, with a sidecar %v", i+1, c.Resilient(), sidecar)
			}
		case s.failure != withoutOurs && err == nil:
			t.Fatalf("dial %d: a connection by a handshake that failed", i+1)
		case s.failure == withoutOurs && (err != nil || c.Resilient()):
			t.Fatalf("dial %d: %v, want an ordinary WebSocket", i+1, err)
		}
	}
	if left := s.left.Load(); left > 0 {
		t.Fatalf("%d handshakes that were to fail were not made", left)
	}
	o.HandshakeTimeout = processLimit
	c, _, err := client.Dial(t.Context(), "ws://"+s.ln.Addr().String(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	if c.Resilient() != sidecar {
		t.Errorf("resilient is %v, with a sidecar %v", c.Resilient(), sidecar)
	}
	if err := c.Write(t.Context(), client.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, p, err := c.Read(t.Context()); err != nil || string(p) != "hello" {
		t.Errorf("%q, %v", p, err)
	}
}

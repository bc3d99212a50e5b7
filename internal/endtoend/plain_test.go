package endtoend

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	coder "github.com/coder/websocket"
	"github.com/gobwas/ws"
	gorilla "github.com/gorilla/websocket"

	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/internal/transport"
	"github.com/wsresilience/wsresilience/proxy"
	"github.com/wsresilience/wsresilience/session"
)

// eachDriver runs a test with a plain connection's sockets on both drivers.
func eachDriver(t *testing.T, fn func(t *testing.T, on func(*proxy.Config))) {
	for _, d := range []transport.Driver{transport.DriverEpoll, transport.DriverGoroutine} {
		t.Run(string(d), func(t *testing.T) {
			t.Parallel()
			fn(t, func(c *proxy.Config) { c.Driver = d })
		})
	}
}

// violations are frames that end a WebSocket, each in another way.
var violations = map[string]struct {
	h       ws.Header
	payload string
}{
	"text that is not UTF-8":     {ws.Header{Fin: true, OpCode: ws.OpText}, "\xce\xba\xe1\xbd\xb9\xff"},
	"a part that is not UTF-8":   {ws.Header{OpCode: ws.OpText}, "\xff"},
	"a reserved opcode":          {ws.Header{Fin: true, OpCode: 3}, "x"},
	"a reserved control opcode":  {ws.Header{Fin: true, OpCode: 11}, ""},
	"reserved bits":              {ws.Header{Fin: true, OpCode: ws.OpText, Rsv: frame.AnyRSV}, "x"},
	"a code nobody may send":     {ws.Header{Fin: true, OpCode: ws.OpClose}, "\x03\xed"},
	"half a code":                {ws.Header{Fin: true, OpCode: ws.OpClose}, "\x03"},
	"a reason that is not UTF-8": {ws.Header{Fin: true, OpCode: ws.OpClose}, "\x03\xe8\xff"},
	"continuation of nothing":    {ws.Header{Fin: true, OpCode: ws.OpContinuation}, "x"},
	"a ping in parts":            {ws.Header{OpCode: ws.OpPing}, "x"},
}

// masked is a frame of a client, with the same mask each time.
func masked(h ws.Header, payload string) []byte {
	h.Masked, h.Mask = true, [4]byte{1, 2, 3, 4}
	return frame.Append(nil, h, []byte(payload))
}

// A rawWebSocket is a connection behind its handshake.
type rawWebSocket struct {
	net.Conn
	br *bufio.Reader
}

func dialRaw(t *testing.T, addr string) *rawWebSocket {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: app\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	c := &rawWebSocket{conn, bufio.NewReader(conn)}
	resp, err := http.ReadResponse(c.br, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", resp, err)
	}
	return c
}

// rest is all that comes to the end, without the sidecar's pings.
func (c *rawWebSocket) rest() string {
	b, _ := io.ReadAll(c.br)
	return withoutPings(b)
}

func withoutPings(b []byte) string {
	var out []byte
	for len(b) > 0 {
		h, err := frame.Bounds(b)
		if err != nil || len(b) < h.Total() {
			break
		}
		if h.OpCode != ws.OpPing {
			out = append(out, b[:h.Total()]...)
		}
		b = b[h.Total():]
	}
	return string(append(out, b...))
}

// What an app answers to a message reaches the client, whatever the client sent
// behind that, and also if it goes on to send while the app has left.
func TestPlainAnswersBeforeViolations(t *testing.T) {
	t.Parallel()
	eachDriver(t, func(t *testing.T, on func(*proxy.Config)) {
		for _, app := range echoApps {
			backend := httptest.NewServer(app.serve)
			t.Cleanup(backend.Close)
			direct := strings.TrimPrefix(backend.URL, "http://")
			through := newStageAt(t, backend.URL, on).addr
			for name, bad := range violations {
				for _, how := range []string{"together", "apart", "and goes on"} {
					t.Run(app.name+"/"+name+"/"+how, func(t *testing.T) {
						t.Parallel()
						var got [2]string
						for i, addr := range []string{direct, through} {
							got[i] = violate(t, addr, masked(bad.h, bad.payload), how)
						}
						if got[0] != got[1] || !strings.Contains(got[0], "fine") {
							t.Errorf("directly %q, through %q", got[0], got[1])
						}
					})
				}
			}
		}
	})
}

// violate sends a valid message, then bad, and returns what comes.
func violate(t *testing.T, addr string, bad []byte, how string) string {
	t.Helper()
	c := dialRaw(t, addr)
	fine := masked(ws.Header{Fin: true, OpCode: ws.OpText}, "fine")
	switch how {
	case "together":
		_, _ = c.Write(append(fine, bad...))
	case "apart":
		_, _ = c.Write(fine)
		_, _ = c.Write(bad)
	default:
		_, _ = c.Write(append(fine, bad...))
		for range 20 {
			if _, err := c.Write(fine); err != nil {
				break
			}
			time.Sleep(time.Millisecond) // so that the app has left meanwhile
		}
	}
	_ = c.Conn.(*net.TCPConn).CloseWrite() // some apps take it, and wait for more
	return c.rest()
}

// The other direction: an app says something valid and then what its client may
// not take. The client has the first, and the app the client's answer to the second.
func TestPlainAnswersToBadApps(t *testing.T) {
	t.Parallel()
	clients := map[string]func(ctx context.Context, addr string) string{
		"coder": func(ctx context.Context, addr string) string {
			c, _, err := coder.Dial(ctx, "ws://"+addr, nil)
			if err != nil {
				return err.Error()
			}
			defer c.CloseNow()
			_, p, err := c.Read(ctx)
			if err != nil {
				return err.Error()
			}
			_, _, err = c.Read(ctx)
			return fmt.Sprintf("%q, %v", p, err)
		},
		"gorilla": func(ctx context.Context, addr string) string {
			c, _, err := gorilla.DefaultDialer.DialContext(ctx, "ws://"+addr, nil)
			if err != nil {
				return err.Error()
			}
			defer c.Close()
			_, p, err := c.ReadMessage()
			if err != nil {
				return err.Error()
			}
			_, _, err = c.ReadMessage()
			return fmt.Sprintf("%q, %v", p, err)
		},
	}
	eachDriver(t, func(t *testing.T, on func(*proxy.Config)) {
		for name, bad := range violations {
			app := make(chan string, 1)
			backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				app <- sayBadly(w, r, frame.Append(nil, bad.h, []byte(bad.payload)))
			}))
			t.Cleanup(backend.Close)
			through := newStageAt(t, backend.URL, on).addr
			for client, dial := range clients {
				t.Run(client+"/"+name, func(t *testing.T) {
					ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
					defer cancel()
					var got [2]string
					for i, addr := range []string{strings.TrimPrefix(backend.URL, "http://"), through} {
						got[i] = "the client " + dial(ctx, addr) + ", the app " + <-app
					}
					if got[0] != got[1] || !strings.Contains(got[0], "fine") {
						t.Errorf("directly %s; through %s", got[0], got[1])
					}
				})
			}
		}
	})
}

// Two sidecars on one path, 40 ms apart: neither takes the other's pongs, nor
// ends what is quiet, and the app sees nothing of either.
func TestPlainChain(t *testing.T) {
	t.Parallel()
	eachDriver(t, func(t *testing.T, on func(*proxy.Config)) {
		pongs := make(chan string, 100)
		backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			up := gorilla.Upgrader{}
			c, err := up.Upgrade(w, r, nil)
			if err != nil {
				return
			}
			defer c.Close()
			c.SetPongHandler(func(s string) error { pongs <- s; return nil })
			for {
				kind, p, err := c.ReadMessage()
				if err != nil || c.WriteMessage(kind, p) != nil {
					return
				}
			}
		}))
		t.Cleanup(backend.Close)
		enforce := func(c *proxy.Config) { on(c); c.PlainHeartbeat = session.PlainEnforce }
		inner := newStageAt(t, backend.URL, enforce)
		inner.link.SetLatency(20*time.Millisecond, 0)
		outer := newStageAt(t, "http://"+inner.link.Addr(), enforce)
		c, _, err := gorilla.DefaultDialer.Dial("ws://"+outer.addr, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		var pings atomic.Int64
		answer := c.PingHandler()
		c.SetPingHandler(func(s string) error { pings.Add(1); return answer(s) })
		time.AfterFunc(2*time.Second, func() { _ = c.WriteMessage(gorilla.TextMessage, []byte("still here")) })
		if _, p, err := c.ReadMessage(); err != nil || string(p) != "still here" || pings.Load() < 5 {
			t.Errorf("%q, %v, after %d pings", p, err, pings.Load())
		}
		if len(pongs) > 0 {
			t.Errorf("the app got the pong %q", <-pongs)
		}
	})
}

// A client that answers no ping for long is one that is busy, unless the operator
// says otherwise.
func TestPlainBusyClient(t *testing.T) {
	t.Parallel()
	eachDriver(t, func(t *testing.T, on func(*proxy.Config)) {
		for mode, lives := range map[session.PlainHeartbeat]bool{session.PlainMeasure: true, session.PlainEnforce: false, session.PlainOff: true} {
			t.Run(fmt.Sprint(mode), func(t *testing.T) {
				t.Parallel()
				backend := httptest.NewServer(http.HandlerFunc(gorillaEcho))
				t.Cleanup(backend.Close)
				c := dialRaw(t, newStageAt(t, backend.URL, func(c *proxy.Config) { on(c); c.PlainHeartbeat = mode }).addr)
				time.Sleep(2 * time.Second) // ten intervals and more, in which it reads nothing
				_, _ = c.Write(masked(ws.Header{Fin: true, OpCode: ws.OpText}, "back"))
				_ = c.Conn.(*net.TCPConn).CloseWrite()
				if got := c.rest(); strings.Contains(got, "\x81\x04back") != lives {
					t.Errorf("it got %q, should live: %v", got, lives)
				}
			})
		}
	})
}

// sayBadly accepts a handshake, sends a valid message and then bad, and returns
// what frames come.
func sayBadly(w http.ResponseWriter, r *http.Request, bad []byte) string {
	conn, br, _, err := ws.UpgradeHTTP(r, w)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	_, _ = conn.Write(append(frame.Append(nil, ws.Header{Fin: true, OpCode: ws.OpText}, []byte("fine")), bad...))
	_ = conn.(*net.TCPConn).CloseWrite() // some clients take it, and wait for more
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	b, _ := io.ReadAll(br)
	var all strings.Builder
	for len(b) > 0 {
		h, err := frame.Bounds(b)
		if err != nil || len(b) < h.Total() {
			fmt.Fprintf(&all, "% x", b)
			break
		}
		payload := b[h.Size:h.Total()]
		if h.Masked {
			frame.Mask(payload, h.Mask, 0)
		}
		fmt.Fprintf(&all, "%v %q, ", h.OpCode, payload)
		b = b[h.Total():]
	}
	return all.String()
}

package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// A rawApp answers each request with bytes of the test's choice, and reports
// what else came on the connection once it is closed.
type rawApp struct {
	net.Listener
	rest chan string
}

func newRawApp(t *testing.T, answer func(net.Conn, *http.Request)) *rawApp {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	a := &rawApp{l, make(chan string, 16)}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go a.serve(c, answer)
		}
	}()
	return a
}

func (a *rawApp) serve(c net.Conn, answer func(net.Conn, *http.Request)) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	br := bufio.NewReader(c)
	r, err := http.ReadRequest(br)
	if err != nil {
		a.rest <- "unreadable: " + err.Error()
		return
	}
	answer(c, r)
	rest, err := io.ReadAll(br)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		rest = append(rest, " and stays open"...)
	}
	a.rest <- string(rest)
}

func (a *rawApp) url() string { return "http://" + a.Addr().String() }

// wantClosed fails unless the sidecar closed its connection after sending
// want beyond the request.
func (a *rawApp) wantClosed(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-a.rest:
		if got != want {
			t.Errorf("the app got %q beyond the request, want %q", got, want)
		}
	case <-time.After(patience):
		t.Error("the app's connection was not closed")
	}
}

// answerText answers with s, in which ACCEPT stands for the right accept key.
func answerText(s string) func(net.Conn, *http.Request) {
	return func(c net.Conn, r *http.Request) {
		_, _ = io.WriteString(c, strings.ReplaceAll(s, "ACCEPT", acceptKey(r.Header.Get("Sec-WebSocket-Key"))))
	}
}

const (
	sampleKey = "dGhlIHNhbXBsZSBub25jZQ==" // RFC 6455 §1.3

	upgradeHead = "GET /chat?x=1 HTTP/1.1\r\nHost: app.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: " + sampleKey + "\r\nSec-WebSocket-Version: 13\r\n"

	switched = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ACCEPT\r\n"
)

func TestAcceptKey(t *testing.T) {
	if got := acceptKey(sampleKey); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Errorf("accept key %q", got)
	}
}

// The rows U of the attack list that the handshake decides.
func TestAttackUpstream(t *testing.T) {
	const head = "HTTP/1.1 101 Switching Protocols\r\n"
	const up, conn, accept = "Upgrade: websocket\r\n", "Connection: Upgrade\r\n", "Sec-WebSocket-Accept: ACCEPT\r\n"
	for _, tc := range []struct {
		name, answer string
		status       int
	}{
		{"U01 accept missing", head + up + conn + "\r\n", 502},
		{"U01 accept wrong", head + up + conn + "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n", 502},
		{"U01 accept twice", head + up + conn + accept + accept + "\r\n", 502},
		{"U01 no Upgrade", head + conn + accept + "\r\n", 502},
		{"U01 another Upgrade", head + "Upgrade: h2c\r\n" + conn + accept + "\r\n", 502},
		{"U01 two Upgrades", head + "Upgrade: websocket, h2c\r\n" + conn + accept + "\r\n", 502},
		{"U01 no Connection", head + up + accept + "\r\n", 502},
		{"U01 101 in HTTP/1.0", "HTTP/1.0 101 Switching Protocols\r\n" + up + conn + accept + "\r\n", 502},
		{"U02 extension not offered", switched + "Sec-WebSocket-Extensions: x-other\r\n\r\n", 502},
		{"U02 extension twice", switched + "Sec-WebSocket-Extensions: permessage-deflate, permessage-deflate\r\n\r\n", 502},
		{"U02 extension parameter not offered", switched + "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=9\r\n\r\n", 502},
		{"U02 window bits outside 8 to 15", switched + "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=16\r\n\r\n", 502},
		{"U02 extension does not parse", switched + "Sec-WebSocket-Extensions: ;;\r\n\r\n", 502},
		{"U02 subprotocol not offered", switched + "Sec-WebSocket-Protocol: other\r\n\r\n", 502},
		{"U02 two subprotocols", switched + "Sec-WebSocket-Protocol: chat, superchat\r\n\r\n", 502},
		{"U02 two lines of subprotocols", switched + "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: superchat\r\n\r\n", 502},
		{"U02 empty subprotocol", switched + "Sec-WebSocket-Protocol: \r\n\r\n", 502},
		{"U04 101 with Content-Length", switched + "Content-Length: 5\r\n\r\nhello", 502},
		{"U04 101 with chunks", switched + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 502},
		{"U04 101 with Content-Length 0", switched + "Content-Length: 0\r\n\r\n", 101}, // says nothing: ignored
		{"U04 100, 103 and 199 first", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 199 Odd\r\n\r\n" + switched + "\r\n", 101},
		{"U04 endless 100", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 1000), 502},
		// Whether frames may follow that look like "HTTP" is for the frame
		// parser to say: it closes with 1002 (W02, W03).
		{"U04 101 twice", switched + "\r\n" + switched + "\r\n", 101},
		{"U09 RST or FIN at once", "", 502},
		{"U12 garbage before the status line", "\x00\x01garbage\r\nHTTP/1.1 101\r\n\r\n", 502},
		{"U12 status line of 1 MiB", "HTTP/1.1 101 " + strings.Repeat("x", 1<<20) + "\r\n\r\n", 502},
		{"U12 endless header", "HTTP/1.1 101 S\r\n" + strings.Repeat("X: y\r\n", 1<<18), 502},
		// No row demands it: a bare CR would split our own head.
		{"U12 bare CR in a header", switched + "X-A: b\rSet-Cookie: c\r\n\r\n", 502},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := newRawApp(t, func(c net.Conn, r *http.Request) {
				answerText(tc.answer)(c, r)
				if tc.answer == "" {
					c.Close()
				}
			})
			c := dialRaw(t, newFront(t, a.url()).addr)
			c.send(upgradeHead + "Sec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n")
			resp, err := http.ReadResponse(c.Reader, nil)
			if err != nil || resp.StatusCode != tc.status {
				t.Fatalf("the client got %v, %v; want %d", resp, err, tc.status)
			}
			if tc.status != http.StatusSwitchingProtocols {
				_, _ = io.Copy(io.Discard, resp.Body)
				c.wantClosed()
			}
			c.Conn.Close()
			if tc.answer != "" && len(tc.answer) < 1<<16 {
				a.wantClosed(t, "")
			}
		})
	}
}

// U05: frames that come in one segment with the 101 are not lost.
func TestEarlyFrames(t *testing.T) {
	a := newRawApp(t, answerText(switched+"\r\n\x81\x05hello"))
	r := mustRequest(t, upgradeHead+"\r\n")
	up, _ := parseUpstream(a.url())
	app, _, err := up.upgrade(context.Background(), r, appHandshake{Scheme: "http", Verbatim: true})
	if err != nil {
		t.Fatal(err)
	}
	rest := make([]byte, 7-len(app.Early))
	if _, err := io.ReadFull(app.Conn, rest); err != nil {
		t.Fatal(err)
	}
	if got := string(app.Early) + string(rest); got != "\x81\x05hello" {
		t.Errorf("U05 %q", got)
	}
	app.Conn.Close()
	a.wantClosed(t, "")
}

// U09: an answer that does not come, or not to its end, is 504 when the
// handshake has lasted too long. The bound is on the whole, so that a head
// that drips fares like one that stops.
func TestSlowAnswer(t *testing.T) {
	for name, begin := range map[string]string{
		"U09 never answers":            "",
		"U09 stops in the status line": "HTTP/1.1 1",
		"U09 stops in the header":      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: web",
		"U09 stops after 100":          "HTTP/1.1 100 Continue\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			a := newRawApp(t, answerText(begin))
			f := newFront(t, a.url())
			f.timeout = 30 * time.Millisecond
			c := dialRaw(t, f.addr)
			c.send(upgradeHead + "\r\n")
			if resp, body := c.response(); resp.StatusCode != http.StatusGatewayTimeout {
				t.Errorf("%s %q", resp.Status, body)
			}
			c.wantClosed()
			a.wantClosed(t, "")
		})
	}
}

// U14, and that the app is told what the client said.
func TestHandshakePassesHeaders(t *testing.T) {
	var many strings.Builder
	for i := range 50 {
		fmt.Fprintf(&many, "X-App-%d: %d\r\n", i, i)
	}
	got := make(chan *http.Request, 1)
	a := newRawApp(t, func(c net.Conn, r *http.Request) {
		got <- r
		answerText(switched+"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n"+many.String()+"Sec-WebSocket-Protocol: chat\r\n\r\n")(c, r)
	})
	c := dialRaw(t, newFront(t, a.url()).addr)
	c.send(upgradeHead + "Cookie: sid=1\r\nOrigin: https://app.example\r\nUser-Agent: test\r\nSec-WebSocket-Protocol: chat,superchat\r\nSec-WebSocket-Extensions: x-odd; a=1\r\n\r\n")
	resp, err := http.ReadResponse(c.Reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(resp.Header["Set-Cookie"]); n != 2 || resp.Header.Get("X-App-49") != "49" {
		t.Errorf("U14 %d cookies, header %v", n, resp.Header)
	}
	if resp.Header.Get("Sec-WebSocket-Protocol") != "chat" || resp.Header.Get("Sec-WebSocket-Accept") != acceptKey(sampleKey) {
		t.Errorf("header %v", resp.Header)
	}
	r := <-got
	want := http.Header{
		"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Cookie": {"sid=1"}, "Origin": {"https://app.example"},
		"User-Agent": {"test"}, "Sec-Websocket-Key": {sampleKey}, "Sec-Websocket-Version": {"13"},
		"Sec-Websocket-Protocol": {"chat,superchat"}, "Sec-Websocket-Extensions": {"x-odd; a=1"},
		"X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Proto": {"http"}, "X-Forwarded-Host": {"app.example"},
	}
	if r.RequestURI != "/chat?x=1" || r.Host != "app.example" || !reflect.DeepEqual(r.Header, want) {
		t.Errorf("the app saw %s, Host %s, %v", r.RequestURI, r.Host, r.Header)
	}
}

// A resilient client's handshake: its wsr entries and its context takeover
// do not reach the app. The app listens on a Unix socket here.
func TestHandshakeResilient(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "app"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan http.Header, 1)
	a := &rawApp{l, make(chan string, 1)}
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		a.serve(c, func(c net.Conn, r *http.Request) {
			got <- r.Header
			answerText(switched+"Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_max_window_bits=10\r\n\r\n")(c, r)
		})
	}()
	r := mustRequest(t, upgradeHead+"Sec-WebSocket-Protocol: chat, wsr.v1\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n")
	q, refused := checkUpgrade(r)
	if refused != nil {
		t.Fatal(refused)
	}
	up, err := parseUpstream("unix:" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	app, _, err := up.upgrade(context.Background(), r, appHandshake{Scheme: "https", Protocols: []string{"chat"}, Offers: q.Offers})
	if err != nil {
		t.Fatal(err)
	}
	h := <-got
	if h.Get("Sec-WebSocket-Protocol") != "chat" ||
		h.Get("Sec-WebSocket-Extensions") != "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits" {
		t.Errorf("the app was offered %v", h)
	}
	want := deflateParams{ServerNoTakeover: true, ClientBits: 10}
	if app.Deflate == nil || *app.Deflate != want {
		t.Fatalf("deflate %+v, want %+v", app.Deflate, want)
	}
	answer, _ := app.Deflate.answerFor(q.Offers)
	if answer != "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits=10" {
		t.Errorf("the client is answered %q", answer)
	}
	app.Conn.Close()
	a.wantClosed(t, "")
}

// H15, U13 and H13: whatever is no 101 reaches the client as it is.
func TestRefusalPasses(t *testing.T) {
	for _, tc := range []struct{ name, answer string }{
		{"H15 401", "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 2\r\n\r\nno"},
		{"H15 403", "HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nno"},
		{"H15 404 chunked", "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n"},
		{"H15 429", "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\nno"},
		{"H15 503", "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\nno"},
		{"U13 redirect", "HTTP/1.1 301 Moved\r\nLocation: http://evil.example/\r\nContent-Length: 2\r\n\r\nno"},
		{"H12 426", "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\nContent-Length: 2\r\n\r\nno"},
		{"H13 200 with Upgrade", "HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ACCEPT\r\nContent-Length: 2\r\n\r\nno"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := newRawApp(t, answerText(tc.answer))
			c := dialRaw(t, newFront(t, a.url()).addr)
			c.send(upgradeHead + "\r\n")
			got, body := c.response()
			want, err := http.ReadResponse(bufio.NewReader(strings.NewReader(tc.answer)), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got.StatusCode != want.StatusCode || body != "no" || !got.Close {
				t.Errorf("%s %q, close %v", got.Status, body, got.Close)
			}
			for name, values := range want.Header {
				if name != "Connection" && name != "Sec-Websocket-Accept" && (name != "Upgrade" || got.StatusCode == 426) && !reflect.DeepEqual(got.Header[name], values) {
					t.Errorf("%s: %q, want %q", name, got.Header[name], values)
				}
			}
			if _, sniffed := got.Header["Content-Type"]; sniffed != (want.Header["Content-Type"] != nil) {
				t.Errorf("Content-Type %q", got.Header["Content-Type"])
			}
			c.wantClosed()
			a.wantClosed(t, "")
		})
	}
}

// H13, U12: a 200 without a length is a plain body to its end; the frames in
// it go nowhere, and nothing of the client's goes up.
func TestNoTunnelBehind200(t *testing.T) {
	a := newRawApp(t, func(c net.Conn, r *http.Request) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x05hello")
		_ = c.(*net.TCPConn).CloseWrite()
	})
	c := dialRaw(t, newFront(t, a.url()).addr)
	c.send(upgradeHead + "\r\n\x81\x85\x00\x00\x00\x00hello")
	if resp, body := c.response(); resp.StatusCode != 200 || body != "\x81\x05hello" {
		t.Errorf("%s %q", resp.Status, body)
	}
	c.wantClosed()
	a.wantClosed(t, "")
}

// H16: an endless refusal streams, and ends with the client.
func TestEndlessRefusal(t *testing.T) {
	a := newRawApp(t, func(c net.Conn, r *http.Request) {
		_, _ = io.WriteString(c, "HTTP/1.1 403 Forbidden\r\nContent-Length: 10000000000\r\n\r\n")
		_, _ = io.Copy(c, zeros{})
	})
	c := dialRaw(t, newFront(t, a.url()).addr)
	c.send(upgradeHead + "\r\n")
	resp, err := http.ReadResponse(c.Reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.CopyN(io.Discard, resp.Body, 64<<20); err != nil {
		t.Fatalf("H16 %d bytes, %v", n, err)
	}
	c.Conn.Close()
	a.wantClosed(t, "")
}

// H11, H12: what follows an upgrade request in the same segment reaches
// nobody when the app refuses.
func TestNothingBehindARefusedUpgrade(t *testing.T) {
	for _, tc := range []struct{ name, early, status string }{
		{"H11 a frame, 403", "\x81\x85\x00\x00\x00\x00hello", "403 Forbidden"},
		{"H12 a request, 426", "GET /admin HTTP/1.1\r\nHost: x\r\n\r\n", "426 Upgrade Required"},
		{"H12 a request, 401", "GET /admin HTTP/1.1\r\nHost: x\r\n\r\n", "401 Unauthorized"},
		{"H12 a request, 200", "GET /admin HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := newRawApp(t, answerText("HTTP/1.1 "+tc.status+"\r\nContent-Length: 2\r\n\r\nno"))
			c := dialRaw(t, newFront(t, a.url()).addr)
			c.send(upgradeHead + "\r\n" + tc.early)
			if resp, body := c.response(); resp.Status != tc.status || body != "no" {
				t.Errorf("%s %q", resp.Status, body)
			}
			c.wantClosed()
			a.wantClosed(t, "")
		})
	}
}

// H14: a 101 to what was no WebSocket handshake is no tunnel.
func TestUnaskedSwitch(t *testing.T) {
	for _, tc := range []struct{ name, request, answer string }{
		{"H14 POST with Upgrade", strings.Replace(upgradeHead, "GET", "POST", 1), switched},
		{"H14 plain GET", "GET / HTTP/1.1\r\nHost: x\r\n", switched},
		{"H14 101 without Upgrade", "GET / HTTP/1.1\r\nHost: x\r\n", "HTTP/1.1 101 Switching Protocols\r\n"},
		{"H20 Upgrade: h2c", "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\n",
			"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			seen := make(chan string, 1)
			a := newRawApp(t, func(c net.Conn, r *http.Request) {
				seen <- r.Header.Get("Upgrade")
				answerText(tc.answer+"\r\n")(c, r)
			})
			c := dialRaw(t, newFront(t, a.url()).addr)
			c.send(tc.request + "\r\n")
			if resp, _ := c.response(); resp.StatusCode != http.StatusBadGateway {
				t.Errorf("%s, want 502", resp.Status)
			}
			if up := <-seen; up != "" {
				t.Errorf("the app saw Upgrade: %s", up)
			}
			c.wantClosed()
			a.wantClosed(t, "")
		})
	}
}

func mustRequest(t testing.TB, raw string) *http.Request {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
	if err != nil {
		t.Fatal(err)
	}
	r.RemoteAddr = "127.0.0.1:1"
	return r
}

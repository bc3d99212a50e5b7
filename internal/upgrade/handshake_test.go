package upgrade

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/internal/proxytest"
)

func TestAcceptKey(t *testing.T) {
	if got := AcceptKey(proxytest.SampleKey); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Errorf("accept key %q", got)
	}
}

// The rows U of docs/ATTACKS.md that the handshake decides.
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
		{"U02 extension not offered", proxytest.Switched + "Sec-WebSocket-Extensions: x-other\r\n\r\n", 502},
		{"U02 extension twice", proxytest.Switched + "Sec-WebSocket-Extensions: permessage-deflate, permessage-deflate\r\n\r\n", 502},
		{"U02 extension parameter not offered", proxytest.Switched + "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=9\r\n\r\n", 502},
		{"U02 window bits outside 8 to 15", proxytest.Switched + "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=16\r\n\r\n", 502},
		{"U02 extension does not parse", proxytest.Switched + "Sec-WebSocket-Extensions: ;;\r\n\r\n", 502},
		{"U02 subprotocol not offered", proxytest.Switched + "Sec-WebSocket-Protocol: other\r\n\r\n", 502},
		{"U02 two subprotocols", proxytest.Switched + "Sec-WebSocket-Protocol: chat, superchat\r\n\r\n", 502},
		{"U02 two lines of subprotocols", proxytest.Switched + "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: superchat\r\n\r\n", 502},
		{"U02 empty subprotocol", proxytest.Switched + "Sec-WebSocket-Protocol: \r\n\r\n", 502},
		{"U04 101 with Content-Length", proxytest.Switched + "Content-Length: 5\r\n\r\nhello", 502},
		{"U04 101 with chunks", proxytest.Switched + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 502},
		{"U04 101 with Content-Length 0", proxytest.Switched + "Content-Length: 0\r\n\r\n", 101}, // says nothing: ignored
		{"U04 100, 103 and 199 first", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 199 Odd\r\n\r\n" + proxytest.Switched + "\r\n", 101},
		{"U04 endless 100", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 1000), 502},
		// Whether frames may follow that look like "HTTP" is for the frame
		// parser to say: it closes with 1002 (W02, W03).
		{"U04 101 twice", proxytest.Switched + "\r\n" + proxytest.Switched + "\r\n", 101},
		{"U09 RST or FIN at once", "", 502},
		{"U12 garbage before the status line", "\x00\x01garbage\r\nHTTP/1.1 101\r\n\r\n", 502},
		{"U12 status line of 1 MiB", "HTTP/1.1 101 " + strings.Repeat("x", 1<<20) + "\r\n\r\n", 502},
		{"U12 endless header", "HTTP/1.1 101 S\r\n" + strings.Repeat("X: y\r\n", 1<<18), 502},
		// No row demands it: a bare CR would split our own head.
		{"U12 bare CR in a header", proxytest.Switched + "X-A: b\rSet-Cookie: c\r\n\r\n", 502},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := proxytest.NewRawApp(t, func(c net.Conn, r *http.Request) {
				proxytest.AnswerText(tc.answer)(c, r)
				if tc.answer == "" {
					c.Close()
				}
			})
			c := proxytest.Dial(t, newFront(t, a.URL()).addr)
			c.Send(proxytest.UpgradeHead + "Sec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n")
			resp, err := http.ReadResponse(c.Reader, nil)
			if err != nil || resp.StatusCode != tc.status {
				t.Fatalf("the client got %v, %v; want %d", resp, err, tc.status)
			}
			if tc.status != http.StatusSwitchingProtocols {
				_, _ = io.Copy(io.Discard, resp.Body)
				c.WantClosed()
			}
			c.Conn.Close()
			if tc.answer != "" && len(tc.answer) < 1<<16 {
				a.WantClosed(t, "")
			}
		})
	}
}

// U12: what an app says that is no HTTP is not repeated in the log.
func TestGarbageIsNotLogged(t *testing.T) {
	for name, answer := range map[string]string{
		"U12 no status line": "secret\r\n\r\n",
		"U12 no header":      "HTTP/1.1 200 OK\r\nsecret\r\n\r\n",
		"U12 no length":      "HTTP/1.1 200 OK\r\nContent-Length: secret\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			f := newFront(t, proxytest.NewRawApp(t, proxytest.AnswerText(answer)).URL())
			c := proxytest.Dial(t, f.addr)
			c.Send(proxytest.UpgradeHead + "\r\n")
			if resp, body := c.Response(); resp.StatusCode != http.StatusBadGateway || strings.Contains(body, "secret") {
				t.Errorf("%s %q", resp.Status, body)
			}
			c.WantClosed()
			if got := f.logged.String(); !strings.Contains(got, "malformed") && !strings.Contains(got, "bad Content-Length") || strings.Contains(got, "secret") {
				t.Errorf("I9 log: %s", got)
			}
		})
	}
}

// U05: frames that come in one segment with the 101 are not lost.
func TestEarlyFrames(t *testing.T) {
	a := proxytest.NewRawApp(t, proxytest.AnswerText(proxytest.Switched+"\r\n\x81\x05hello"))
	r := mustRequest(t, proxytest.UpgradeHead+"\r\n")
	up, _ := ParseApp(a.URL())
	app, _, err := up.Dial(context.Background(), r, Offer{Scheme: "http", Verbatim: true})
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
	a.WantClosed(t, "")
}

// U09: an answer that does not come, or not to its end, is 504 when the
// handshake has lasted too long. The bound is on the whole, so that a head
// that drips fares like one that stops.
func TestSlowAnswer(t *testing.T) {
	if d := new(App).handshakeTimeout(); d != time.Minute {
		t.Errorf("an app may take %v", d)
	}
	for name, begin := range map[string]string{
		"U09 never answers":            "",
		"U09 stops in the status line": "HTTP/1.1 1",
		"U09 stops in the header":      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: web",
		"U09 stops after 100":          "HTTP/1.1 100 Continue\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			a := proxytest.NewRawApp(t, proxytest.AnswerText(begin))
			f := newFront(t, a.URL())
			f.timeout = 30 * time.Millisecond
			c := proxytest.Dial(t, f.addr)
			c.Send(proxytest.UpgradeHead + "\r\n")
			if resp, body := c.Response(); resp.StatusCode != http.StatusGatewayTimeout {
				t.Errorf("%s %q", resp.Status, body)
			}
			c.WantClosed()
			a.WantClosed(t, "")
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
	a := proxytest.NewRawApp(t, func(c net.Conn, r *http.Request) {
		got <- r
		proxytest.AnswerText(proxytest.Switched+"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n"+many.String()+"Sec-WebSocket-Protocol: chat\r\n\r\n")(c, r)
	})
	c := proxytest.Dial(t, newFront(t, a.URL()).addr)
	c.Send(proxytest.UpgradeHead + "Cookie: sid=1\r\nOrigin: https://app.example\r\nUser-Agent: test\r\nSec-WebSocket-Protocol: chat,superchat\r\nSec-WebSocket-Extensions: x-odd; a=1\r\n\r\n")
	resp, err := http.ReadResponse(c.Reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(resp.Header["Set-Cookie"]); n != 2 || resp.Header.Get("X-App-49") != "49" {
		t.Errorf("U14 %d cookies, header %v", n, resp.Header)
	}
	if resp.Header.Get("Sec-WebSocket-Protocol") != "chat" || resp.Header.Get("Sec-WebSocket-Accept") != AcceptKey(proxytest.SampleKey) {
		t.Errorf("header %v", resp.Header)
	}
	r := <-got
	want := http.Header{
		"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Cookie": {"sid=1"}, "Origin": {"https://app.example"},
		"User-Agent": {"test"}, "Sec-Websocket-Key": {proxytest.SampleKey}, "Sec-Websocket-Version": {"13"},
		"Sec-Websocket-Protocol": {"chat,superchat"}, "Sec-Websocket-Extensions": {"x-odd; a=1"},
		"X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Host": {"app.example"},
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
	a := &proxytest.RawApp{Listener: l, Rest: make(chan string, 1)}
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		a.Serve(c, func(c net.Conn, r *http.Request) {
			got <- r.Header
			proxytest.AnswerText(proxytest.Switched+"Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_max_window_bits=10\r\n\r\n")(c, r)
		})
	}()
	r := mustRequest(t, proxytest.UpgradeHead+"Sec-WebSocket-Protocol: chat, wsr.v1\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n")
	q, refused := Parse(r)
	if refused != nil {
		t.Fatal(refused)
	}
	up, err := ParseApp("unix:" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	app, _, err := up.Dial(context.Background(), r, Offer{Scheme: "https", Protocols: []string{"chat"}, Offers: q.Offers})
	if err != nil {
		t.Fatal(err)
	}
	h := <-got
	if h.Get("Sec-WebSocket-Protocol") != "chat" ||
		h.Get("Sec-WebSocket-Extensions") != "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits" {
		t.Errorf("the app was offered %v", h)
	}
	want := DeflateParams{ServerNoTakeover: true, ClientBits: 10}
	if app.Deflate == nil || *app.Deflate != want {
		t.Fatalf("deflate %+v, want %+v", app.Deflate, want)
	}
	answer, _ := app.Deflate.AnswerFor(q.Offers)
	if answer != "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits=10" {
		t.Errorf("the client is answered %q", answer)
	}
	app.Conn.Close()
	a.WantClosed(t, "")
}

// H13, U12: a 200 without a length is a plain body to its end; the frames in
// it go nowhere, and nothing of the client's goes up.
func TestNoTunnelBehind200(t *testing.T) {
	a := proxytest.NewRawApp(t, func(c net.Conn, r *http.Request) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x05hello")
		_ = c.(*net.TCPConn).CloseWrite()
	})
	c := proxytest.Dial(t, newFront(t, a.URL()).addr)
	c.Send(proxytest.UpgradeHead + "\r\n\x81\x85\x00\x00\x00\x00hello")
	if resp, body := c.Response(); resp.StatusCode != 200 || body != "\x81\x05hello" {
		t.Errorf("%s %q", resp.Status, body)
	}
	c.WantClosed()
	a.WantClosed(t, "")
}

// H16: an endless refusal streams, and ends with the client.
func TestEndlessRefusal(t *testing.T) {
	a := proxytest.NewRawApp(t, func(c net.Conn, r *http.Request) {
		_, _ = io.WriteString(c, "HTTP/1.1 403 Forbidden\r\nContent-Length: 10000000000\r\n\r\n")
		_, _ = io.Copy(c, proxytest.Zeros{})
	})
	c := proxytest.Dial(t, newFront(t, a.URL()).addr)
	c.Send(proxytest.UpgradeHead + "\r\n")
	resp, err := http.ReadResponse(c.Reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.CopyN(io.Discard, resp.Body, 64<<20); err != nil {
		t.Fatalf("H16 %d bytes, %v", n, err)
	}
	c.Conn.Close()
	a.WantClosed(t, "")
}

// H11, H12: what follows an upgrade request in the same segment reaches
// nothing when the app refuses.
func TestNothingBehindARefusedUpgrade(t *testing.T) {
	for _, tc := range []struct{ name, early, status string }{
		{"H11 a frame, 403", "\x81\x85\x00\x00\x00\x00hello", "403 Forbidden"},
		{"H12 a request, 426", "GET /admin HTTP/1.1\r\nHost: x\r\n\r\n", "426 Upgrade Required"},
		{"H12 a request, 401", "GET /admin HTTP/1.1\r\nHost: x\r\n\r\n", "401 Unauthorized"},
		{"H12 a request, 200", "GET /admin HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := proxytest.NewRawApp(t, proxytest.AnswerText("HTTP/1.1 "+tc.status+"\r\nContent-Length: 2\r\n\r\nno"))
			c := proxytest.Dial(t, newFront(t, a.URL()).addr)
			c.Send(proxytest.UpgradeHead + "\r\n" + tc.early)
			if resp, body := c.Response(); resp.Status != tc.status || body != "no" {
				t.Errorf("%s %q", resp.Status, body)
			}
			c.WantClosed()
			a.WantClosed(t, "")
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

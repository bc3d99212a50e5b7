package upgrade

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/wsresilience/wsresilience/internal/httpguard"
	"github.com/wsresilience/wsresilience/internal/proxytest"
)

// h is a request with WebSocket headers, from its first line and with more
// fields at the end.
func h(line string, fields ...string) string {
	_, rest, _ := strings.Cut(proxytest.UpgradeHead, "\r\n")
	return line + "\r\n" + rest + strings.Join(append(fields, ""), "\r\n") + "\r\n"
}

const get = "GET /chat HTTP/1.1"

// swap is h(get) with one piece of it replaced.
func swap(old, new string) string { return strings.Replace(h(get), old, new, 1) }

// The rows H of docs/ATTACKS.md that end in an answer of ours: nothing goes
// to the app, and the connection closes.
func TestAttackRequests(t *testing.T) {
	const keyLine = "Sec-WebSocket-Key: " + proxytest.SampleKey + "\r\n"
	plain := func(fields string) string { return "GET / HTTP/1.1\r\nHost: x\r\n" + fields + "\r\n" }
	rows := []struct {
		name, send string
		status     int
	}{
		{"H02 HTTP/1.0", h("GET /chat HTTP/1.0"), 400},
		{"H02 HTTP/2.0", h("GET /chat HTTP/2.0"), 505},
		{"H02 HTTP/1.1x", h("GET /chat HTTP/1.1x"), 400},
		{"H04 key missing", swap(keyLine, ""), 400},
		{"H04 key of 23 characters", swap(proxytest.SampleKey, proxytest.SampleKey[1:]), 400},
		{"H04 key of 25 characters", swap(proxytest.SampleKey, "A"+proxytest.SampleKey), 400},
		{"H04 key not base64", swap(proxytest.SampleKey, "!!!!!!!!!!!!!!!!!!!!!!=="), 400},
		{"H04 key of 15 bytes", swap(proxytest.SampleKey, "AAAAAAAAAAAAAAAAAAAA"), 400},
		{"H04 key with stray bits", swap(proxytest.SampleKey, "AAAAAAAAAAAAAAAAAAAAAB=="), 400},
		{"H05 two keys", swap(keyLine, keyLine+"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"), 400},
		{"H05 the same key twice", swap(keyLine, keyLine+keyLine), 400},
		{"H06 no Host", swap("Host: app.example\r\n", ""), 400},
		{"H06 empty Host", swap("app.example", ""), 400},
		{"H06 two Hosts", swap("Host: app.example\r\n", "Host: app.example\r\nHost: app.example\r\n"), 400},
		{"H06 Host with a space", swap("app.example", "app .example"), 400},
		{"H06 Host with @", swap("app.example", "a@app.example"), 400},
		{"H06 Host with #", swap("app.example", "app.example#a"), 400},
		{"H06 Host with NUL", swap("app.example", "app.\x00example"), 400},
		{"H07 bare LF", strings.ReplaceAll(h(get), "\r\n", "\n"), 400},
		{"H07 one bare LF", swap("Upgrade\r\n", "Upgrade\n"), 400},
		{"H07 bare LF ends the head", strings.TrimSuffix(h(get), "\r\n") + "\n", 400},
		{"H07 bare CR", swap("app.example", "app.\rexample"), 400},
		{"H07 CR CR LF", swap("app.example\r\n", "app.example\r\r\n"), 400},
		{"H07 space before the colon", h(get, "X : y"), 400},
		{"H07 obs-fold", h(get, "X: a", " b"), 400},
		{"H07 obs-fold with a tab", h(get, "X: a", "\tb"), 400},
		{"H07 line with a leading space first", strings.Replace(h(get), "Host", " Host", 1), 400},
		{"H07 leading space", " " + h(get), 400},
		{"H07 empty line first", "\r\n" + h(get), 400}, // RFC 9112 §2.2 would skip it; no client sends one
		{"H08 empty header name", h(get, ": x"), 400},
		{"H08 UTF-8 in a name", h(get, "X-\u00e4: x"), 400},
		{"H08 no colon", h(get, "nothing"), 400},
		{"H09 257 headers", h(get, slices.Repeat([]string{"X: y"}, 257)...), 431},
		{"H09 1001 headers", h(get, slices.Repeat([]string{"X: y"}, 1001)...), 431},
		{"H09 line of 64 KiB", h(get, "X: "+strings.Repeat("y", 64<<10)), 431},
		{"H09 request line of 64 KiB", h("GET /" + strings.Repeat("y", 64<<10) + " HTTP/1.1"), 431},
		{"H21 chunked and a length", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400},
		{"H21 a length and chunked", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"H21 chunked, identity", plain("Transfer-Encoding: chunked, identity\r\n"), 400},
		{"H21 identity", plain("Transfer-Encoding: identity\r\n"), 400},
		{"H21 chunked twice", plain("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 400},
		{"H21 VT chunked", plain("Transfer-Encoding: \x0bchunked\r\n"), 400},
		{"H21 chunked in HTTP/1.0", "POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"H21 two lengths", plain("Content-Length: 0\r\nContent-Length: 5\r\n"), 400},
		{"H21 one length twice", plain("Content-Length: 0\r\nContent-Length: 0\r\n"), 400},
		{"H21 length in a list", plain("Content-Length: 0, 0\r\n"), 400},
		{"H21 length with a sign", plain("Content-Length: +0\r\n"), 400},
		{"H22 Expect on an upgrade", h(get, "Expect: 100-continue"), 400},
		{"H22 10,000 cookies", h(get, slices.Repeat([]string{"Cookie: a=b"}, 10_000)...), 431},
		{"H25 absolute form for another host", h("GET http://evil.example/ HTTP/1.1"), 400},
		{"H25 the same, plain", "GET http://evil.example/ HTTP/1.1\r\nHost: good.example\r\n\r\n", 400},
		{"H25 absolute form for the same host", h("GET http://app.example/ HTTP/1.1"), 400},
		{"H25 asterisk", h("GET * HTTP/1.1"), 400},
		{"H26 two Origins", h(get, "Origin: https://a.example", "Origin: https://b.example"), 400},
		{"H28 1,000 subprotocols", h(get, "Sec-WebSocket-Protocol: "+numbered(1000)), 400},
		{"H28 doubled subprotocol", h(get, "Sec-WebSocket-Protocol: a, a"), 400},
		{"H28 doubled over two lines", h(get, "Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocol: a"), 400},
		{"H28 no token", h(get, "Sec-WebSocket-Protocol: a b"), 400},
		{"version 1337", swap("Version: 13", "Version: 1337"), 426},
		{"version twice", swap("Version: 13", "Version: 13\r\nSec-WebSocket-Version: 13"), 426},
		{"version missing", swap("Sec-WebSocket-Version: 13\r\n", ""), 426},
		{"body with a length", h(get, "Content-Length: 5") + "hello", 400},
		{"body in chunks", h(get, "Transfer-Encoding: chunked") + "5\r\nhello\r\n0\r\n\r\n", 400},
	}
	for c := range byte(0x20) {
		if c != '\t' && c != '\r' && c != '\n' {
			rows = append(rows, struct {
				name, send string
				status     int
			}{fmt.Sprintf("H08 0x%02x in a value", c), h(get, "X: a"+string(rune(c))+"b"), 400})
		}
	}
	a := proxytest.NewApp(t, proxytest.AnswerOK)
	f := newFront(t, a.URL)
	for _, tc := range rows {
		t.Run(tc.name, func(t *testing.T) {
			c := proxytest.Dial(t, f.addr)
			c.Send(tc.send)
			resp, body := c.Response()
			if resp.StatusCode != tc.status {
				t.Errorf("%s %q, want %d", resp.Status, body, tc.status)
			}
			if v := resp.Header.Get("Sec-WebSocket-Version"); (v == "13") != (tc.status == 426) {
				t.Errorf("Sec-WebSocket-Version: %q", v)
			}
			c.WantClosed()
			if n := a.Requests.Swap(0); n != 0 {
				t.Errorf("%d requests reached the app", n)
			}
		})
	}
}

func numbered(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprint("p", i))
	}
	return strings.Join(list, ",")
}

// What looks odd and is legal reaches the app; H19's spellings are in
// TestForwardHeader.
func TestLegalUpgrades(t *testing.T) {
	a := proxytest.NewRawApp(t, proxytest.AnswerText(proxytest.Switched+"\r\n"))
	f := newFront(t, a.URL())
	for _, tc := range []struct{ name, send string }{
		{"two Connection lines", swap("Connection: Upgrade", "Connection: keep-alive\r\nConnection: Upgrade")},
		{"a list in Upgrade", swap("Upgrade: websocket", "Upgrade: h2c, WebSocket")},
		{"H09 100 headers", h(get, slices.Repeat([]string{"X: y"}, 100)...)},
		{"H27 64 KiB of a;b;b;b", h(get, "Sec-WebSocket-Extensions: a"+strings.Repeat(";b", 25<<10))},
		{"H27 bad parameters", h(get, "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=7")},
		{"H28 50,000 spaces", h(get, "Sec-WebSocket-Protocol: a,"+strings.Repeat(" ", 50_000)+"b")},
		{"H28 empty", h(get, "Sec-WebSocket-Protocol: ")},
		{"Content-Length 0", h(get, "Content-Length: 0")},
		{"tab and UTF-8 in a value", h(get, "X: a\tb\u00e4")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := proxytest.Dial(t, f.addr)
			c.Send(tc.send)
			resp, err := http.ReadResponse(c.Reader, nil)
			if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
				t.Fatalf("%v, %v, want 101", resp, err)
			}
			c.Conn.Close()
			a.WantClosed(t, "")
		})
	}
}

func TestParseProtocols(t *testing.T) {
	for _, tc := range []struct {
		lines []string
		want  []string
		ok    bool
	}{
		{nil, nil, true},
		{[]string{""}, nil, true},
		{[]string{"chat"}, []string{"chat"}, true},
		{[]string{"chat ,\tsuperchat", "wsr.v1"}, []string{"chat", "superchat", "wsr.v1"}, true},
		{[]string{",,a,,"}, []string{"a"}, true},
		{[]string{"a,A"}, []string{"a", "A"}, true},
		{[]string{"a", "a"}, nil, false},
		{[]string{"a/b"}, nil, false},
		{[]string{`"a"`}, nil, false},
		{[]string{numbered(maxProtocols + 1)}, nil, false},
	} {
		got, ok := parseProtocols(tc.lines)
		if ok != tc.ok || !slices.Equal(got, tc.want) {
			t.Errorf("%q: %q, %v; want %q, %v", tc.lines, got, ok, tc.want, tc.ok)
		}
	}
	if got, ok := parseProtocols([]string{numbered(maxProtocols)}); !ok || len(got) != maxProtocols {
		t.Errorf("%d subprotocols: %d, %v", maxProtocols, len(got), ok)
	}
}

// A list that is taken must come out the same when it is written and read
// again, or the app reads another.
func FuzzProtocols(f *testing.F) {
	for _, s := range []string{"chat, superchat", "wsr, wsr.v1, wsr.resume.abc.1.2", ",, a ,", "a,a", " \t", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list, ok := parseProtocols([]string{s})
		if !ok {
			return
		}
		again, ok := parseProtocols([]string{strings.Join(list, ", ")})
		if !ok || !slices.Equal(list, again) || len(list) > maxProtocols {
			t.Errorf("%q, then %q, %v", list, again, ok)
		}
	})
}

// Whatever passes the check makes a request of one head for the app, with
// the key that the client sent and no second Upgrade.
func FuzzUpgrade(f *testing.F) {
	f.Add(h(get))
	f.Add(h(get, "Sec-WebSocket-Protocol: a, b", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"))
	f.Add(h("GET http://evil/ HTTP/1.1", "X_Forwarded_For: 1", "Connection: x-forwarded-for"))
	f.Add(h(get, "Content-Length: 5") + "hello")
	f.Fuzz(func(t *testing.T, raw string) {
		r, err := http.ReadRequest(bufio.NewReader(guarded(raw)))
		if err != nil || !Requested(r) {
			return
		}
		q, refused := Parse(r)
		if refused != nil {
			if refused.Status < 400 || refused.Label == 0 || !utf8.ValidString(refused.Reason) {
				t.Fatalf("%+v", refused)
			}
			return
		}
		r.RemoteAddr = "192.0.2.1:1"
		head := RequestHead(r, handshakeHeader(r, "", Offer{Scheme: "http", Verbatim: true}))
		if n := strings.Count(string(head), "\r\n\r\n"); n != 1 || !strings.HasSuffix(string(head), "\r\n\r\n") {
			t.Fatalf("%d heads in %q", n, head)
		}
		again, err := http.ReadRequest(bufio.NewReader(strings.NewReader(string(head))))
		if err != nil {
			t.Fatalf("%v in %q", err, head)
		}
		q2, refused := Parse(again)
		if refused != nil || q2.Key != q.Key || !slices.Equal(q2.Protocols, q.Protocols) || again.Host != r.Host || again.RequestURI != r.RequestURI {
			t.Fatalf("the app reads %q otherwise: %+v, %v", head, q2, refused)
		}
	})
}

// guarded is raw as net/http reads it.
func guarded(raw string) io.Reader {
	c, _ := httpguard.Guard(oneConn{strings.NewReader(raw)}).Accept()
	return c
}

// oneConn is a listener, and the connection that it accepts.
type oneConn struct{ io.Reader }

func (c oneConn) Accept() (net.Conn, error) { return readConn{Reader: c.Reader}, nil }
func (oneConn) Close() error                { return nil }
func (oneConn) Addr() net.Addr              { return nil }

type readConn struct {
	net.Conn
	io.Reader
}

func (c readConn) Read(p []byte) (int, error) { return c.Reader.Read(p) }

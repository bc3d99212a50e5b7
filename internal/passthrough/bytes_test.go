package passthrough

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/internal/proxytest"
)

// A byteApp hands each connection to the test.
func byteApp(t *testing.T, serve func(net.Conn)) net.Listener {
	t.Helper()
	l := proxytest.Listen(t)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(proxytest.Patience))
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	return l
}

func urlOf(l net.Listener) string { return "http://" + l.Addr().String() }

// readHead reads up to an empty line, and returns the bytes.
func readHead(br *bufio.Reader) string {
	var b strings.Builder
	for {
		line, err := br.ReadString('\n')
		b.WriteString(line)
		if err != nil || b.Len() > 2 && (line == "\r\n" || line == "\n") {
			return b.String()
		}
	}
}

// forwarded is what the app gets of a head, beside its bytes.
const forwarded = "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: a.example\r\n"

// The head that the app gets has the client's bytes, in their order.
func TestHeadsAsTheyCame(t *testing.T) {
	heads := make(chan string, 1)
	l := byteApp(t, func(c net.Conn) {
		heads <- readHead(bufio.NewReader(c))
		_, _ = io.WriteString(c, "HTTP/1.1 204 Nothing\r\n\r\n")
	})
	f := newFront(t, urlOf(l))
	const host = "Host: a.example\r\n"
	for _, tc := range []struct{ name, send, want string }{
		{"a target that would be decoded", "GET //{}%2f..%2findex.html?a=|&b=%zz HTTP/1.1\r\n" + host, ""},
		{"UTF-8 and quotes in the target", "GET /\"ä<>\\^` HTTP/1.1\r\n" + host, ""},
		{"absolute form", "GET http://a.example/x HTTP/1.1\r\n" + host, ""},
		{"asterisk", "OPTIONS * HTTP/1.1\r\n" + host, ""},
		{"no path at all", "GET index.html HTTP/1.1\r\n" + host, ""},
		{"a method of its own", "M-SEARCH / HTTP/1.1\r\n" + host, ""},
		{"HTTP/1.0", "GET / HTTP/1.0\r\n" + host + "Connection: keep-alive\r\n", ""},
		{"an empty line in front", "\r\nGET / HTTP/1.1\r\n" + host, ""},
		{"names in their case and order", "GET / HTTP/1.1\r\nx-b:1\r\n" + host + "SOAPAction:  \"x\" \r\nx-a: 2\r\nX-B: 3\r\nAuThorization: Basic eA==\r\n", ""},
		{"latin-1 and UTF-8 in values", "GET / HTTP/1.1\r\n" + host + "X-Name: J\xfcrgen ü\r\n", ""},
		{"hop by hop", "GET / HTTP/1.1\r\n" + host + "Connection: keep-alive, TE\r\nKeep-Alive: timeout=5\r\nTE: trailers, deflate\r\nProxy-Authorization: Basic eA==\r\nProxy-Connection: keep-alive\r\n", ""},
		{"names with _", "GET / HTTP/1.1\r\n" + host + "api_key: 1\r\n", ""},
		{"W that is not ours", "GET / HTTP/1.1\r\n" + host + "WSRx: 1\r\nWarning: 199\r\nX-Ws: 1\r\n", ""},
		// What is ours.
		{"X-Forwarded-For", "GET / HTTP/1.1\r\nx-forwarded-for: 10.0.0.1\r\nX-Forwarded-For: 10.0.0.2\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: b\r\n" + host,
			"GET / HTTP/1.1\r\nx-forwarded-for: 10.0.0.1\r\nX-Forwarded-For: 10.0.0.2, 127.0.0.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: b\r\n" + host + "\r\n"},
		{"an empty X-Forwarded-For", "GET / HTTP/1.1\r\nX-Forwarded-For:\r\n" + host, "GET / HTTP/1.1\r\nX-Forwarded-For: 127.0.0.1\r\n" + host + "X-Forwarded-Host: a.example\r\n\r\n"},
		{"H18 Connection lists others", "GET / HTTP/1.1\r\n" + host + "Connection: X-Forwarded-For, close , Authorization\r\nAuthorization: x\r\n",
			"GET / HTTP/1.1\r\n" + host + "Connection: close\r\nAuthorization: x\r\n" + forwarded + "\r\n"},
		{"H18 and nothing else", "GET / HTTP/1.1\r\n" + host + "Connection: Content-Length\r\n", "GET / HTTP/1.1\r\n" + host + forwarded + "\r\n"},
		{"H19 ours", "GET / HTTP/1.1\r\n" + host + "wsr-x: 1\r\nX-WSR-Y: 2\r\nWsr_Z: 3\r\nx_wsr_z: 4\r\n", "GET / HTTP/1.1\r\n" + host + forwarded + "\r\n"},
		{"H19 _ for -", "GET / HTTP/1.1\r\n" + host + "X_Forwarded_For: 1\r\nX-Forwarded_Proto: 2\r\nContent_Length: 3\r\nTransfer_Encoding: chunked\r\nX_Real_IP: 4\r\nX_Auth: 5\r\nX-Auth: 6\r\n",
			"GET / HTTP/1.1\r\n" + host + "X-Auth: 6\r\n" + forwarded + "\r\n"},
		{"subprotocols of ours", "GET / HTTP/1.1\r\n" + host + "Sec-WebSocket-Protocol: wsr\r\nSec-Websocket-Protocol: chat,wsr.v1, a b\r\nSec-WebSocket-Protocol: wsrx\r\n",
			"GET / HTTP/1.1\r\n" + host + "Sec-Websocket-Protocol: chat, a b\r\nSec-WebSocket-Protocol: wsrx\r\n" + forwarded + "\r\n"},
		{"Upgrade", "GET / HTTP/1.1\r\n" + host + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n", "GET / HTTP/1.1\r\n" + host + forwarded + "\r\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := proxytest.Dial(t, f.addr)
			c.Send(tc.send + "\r\n")
			want := tc.want
			if want == "" {
				want = tc.send + forwarded + "\r\n"
			}
			if got := <-heads; got != want {
				t.Errorf("the app got\n%q, want\n%q", got, want)
			}
			if got := readHead(c.Reader); got != "HTTP/1.1 204 Nothing\r\n\r\n" {
				t.Errorf("the client got %q", got)
			}
		})
	}
}

// What the app says is what the client gets.
func TestAnswersAsTheyCame(t *testing.T) {
	for _, tc := range []struct{ name, method, answer, want string }{
		{"names, order and reason", "GET", "HTTP/1.1 299 Very Fine\r\nwww-authenticate: Negotiate\r\nX-b: 1\r\nX-B:2\r\nContent-length: 2\r\nx-A:\r\n\r\nok", ""},
		{"no reason", "GET", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", ""},
		{"informational", "GET", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ""},
		{"chunks, extensions and trailers", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n05;a=b\r\nhello\r\n000\r\nX-Sum: 1\r\nx-b: 2\r\n\r\n", ""},
		{"coded chunks", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", ""},
		{"padded chunk sizes", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1  \r\nx\r\n0  \r\n\r\n", ""},
		{"up to the end", "GET", "HTTP/1.1 200 OK\r\n\r\nhello", ""},
		{"HTTP/1.0", "GET", "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nhello", ""},
		{"lines that end in LF", "GET", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", ""},
		{"folded", "GET", "HTTP/1.1 200 OK\r\nX-A: 1\r\n 2\r\nContent-Length: 2\r\n\r\nok", ""},
		{"a length to HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", ""},
		{"304 with a length", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\nETag: \"x\"\r\n\r\n", ""},
		{"one length twice", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", ""},
		{"hop by hop", "GET", "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5, max=100\r\nProxy-Authenticate: Basic\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n", ""},
		{"a head of 200 KB", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: " + strings.Repeat("x", 200<<10) + "\r\n\r\n", ""},
		{"a length beside chunks", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := byteApp(t, func(c net.Conn) {
				readHead(bufio.NewReader(c))
				for _, b := range [][]byte{[]byte(tc.answer[:len(tc.answer)/2]), []byte(tc.answer[len(tc.answer)/2:])} {
					_, _ = c.Write(b)
				}
			})
			c := proxytest.Dial(t, newFront(t, urlOf(l)).addr)
			c.Send(tc.method + " / HTTP/1.1\r\nHost: a.example\r\n\r\n")
			want := tc.want
			if want == "" {
				want = tc.answer
			}
			got, err := io.ReadAll(c.Reader)
			if string(got) != want || err != nil {
				t.Errorf("%.200q, %v, want\n%.200q", got, err, want)
			}
		})
	}
}

// Answers whose end is doubtful do not pass.
func TestDoubtfulAnswers(t *testing.T) {
	for name, answer := range map[string]string{
		"two lengths":             "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
		"a list of lengths":       "Content-Length: 1, 1\r\n\r\nx",
		"a length with a sign":    "Content-Length: +1\r\n\r\nx",
		"chunked, then another":   "Transfer-Encoding: chunked, gzip\r\n\r\n1\r\nx\r\n0\r\n\r\n",
		"chunked twice":           "Transfer-Encoding: chunked, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
		"a space before a colon":  "Content-Length : 1\r\n\r\nx",
		"a folded length":         "Content-Length: 1\r\n 0\r\n\r\nx",
		"a bare CR":               "X: a\rContent-Length: 1\r\n\r\nx",
		"NUL":                     "X: a\x00\r\nContent-Length: 1\r\n\r\nx",
		"a head without an end":   "X: " + strings.Repeat("x", maxAnswerHead) + "\r\n\r\n",
		"a line without a colon":  "secret\r\n\r\n",
		"a folded line at first":  " x: y\r\n\r\n",
		"a field without a name":  ": y\r\n\r\n",
		"U12 no answer, but text": "\x00",
	} {
		t.Run(name, func(t *testing.T) {
			l := byteApp(t, func(c net.Conn) {
				readHead(bufio.NewReader(c))
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n"+answer)
			})
			f := newFront(t, urlOf(l))
			c := proxytest.Dial(t, f.addr)
			c.Send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
			if resp, body := c.Response(); resp.StatusCode != http.StatusBadGateway || strings.Contains(body, "secret") {
				t.Errorf("%s %q", resp.Status, body)
			}
			if strings.Contains(f.logged.String(), "secret") {
				t.Errorf("I9 %s", f.logged.String())
			}
		})
	}
}

// refusedRequests are heads that two servers could read as two different ones
// (docs/ATTACKS.md).
func TestRefusedRequests(t *testing.T) {
	const host = "Host: x\r\n"
	l := byteApp(t, func(c net.Conn) {
		t.Errorf("the app got %q", readHead(bufio.NewReader(c)))
	})
	f := newFront(t, urlOf(l))
	rows := []struct {
		name, send string
		status     int
	}{
		{"H02 HTTP/1.2", "GET / HTTP/1.2\r\n" + host, 505},
		{"H02 HTTP/2.0", "GET / HTTP/2.0\r\n" + host, 505},
		{"H02 malformed", "GET / HTTP/1.1x\r\n" + host, 400},
		{"H02 no version", "GET /\r\n", 400},
		{"H02 two spaces", "GET  / HTTP/1.1\r\n" + host, 400},
		{"H02 a space in the target", "GET /a b HTTP/1.1\r\n" + host, 400},
		{"H06 no Host", "GET / HTTP/1.1\r\n", 400},
		{"H06 two Hosts", "GET / HTTP/1.1\r\n" + host + host, 400},
		{"H06 Host with @", "GET / HTTP/1.1\r\nHost: a@x\r\n", 400},
		{"H06 Host with a slash", "GET / HTTP/1.1\r\nHost: x/a\r\n", 400},
		{"H07 bare LF", "GET / HTTP/1.1\nHost: x\n\n", 400},
		{"H07 bare CR", "GET / HTTP/1.1\r\n" + host + "X: a\rb\r\n", 400},
		{"H07 a space before the colon", "GET / HTTP/1.1\r\n" + host + "X : y\r\n", 400},
		{"H07 folded", "GET / HTTP/1.1\r\n" + host + "X: a\r\n b\r\n", 400},
		{"H07 folded at first", "GET / HTTP/1.1\r\n X: a\r\n" + host, 400},
		{"H07 empty lines", "\r\n\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n" + host, 400},
		{"H08 no name", "GET / HTTP/1.1\r\n" + host + ": y\r\n", 400},
		{"H08 UTF-8 in a name", "GET / HTTP/1.1\r\n" + host + "X-\u00e4: y\r\n", 400},
		{"H08 no colon", "GET / HTTP/1.1\r\n" + host + "nothing\r\n", 400},
		{"H08 NUL", "GET / HTTP/1.1\r\n" + host + "X: a\x00b\r\n", 400},
		{"H08 DEL", "GET / HTTP/1.1\r\n" + host + "X: a\x7fb\r\n", 400},
		{"H09 257 fields", "GET / HTTP/1.1\r\n" + host + strings.Repeat("X: y\r\n", 256), 431},
		{"H09 a line of 64 KiB", "GET / HTTP/1.1\r\n" + host + "X: " + strings.Repeat("y", 64<<10) + "\r\n", 431},
		{"H20 a preface and no more", "PRI * HTTP/2.0\r\n\r\nGET / HTTP/1.1\r\n" + host, 505},
		{"H20 a preface with fields", "PRI * HTTP/2.0\r\n" + host, 505},
		{"H21 chunked and a length", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", 400},
		{"H21 a length and chunked", "POST / HTTP/1.1\r\n" + host + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400},
		{"H21 chunked, identity", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked, identity\r\n", 400},
		{"H21 gzip, chunked", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip, chunked\r\n", 400},
		{"H21 identity", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: identity\r\n", 400},
		{"H21 xchunked", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: xchunked\r\n", 400},
		{"H21 chunked twice", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400},
		{"H21 VT chunked", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: \x0bchunked\r\n", 400},
		{"H21 chunked in HTTP/1.0", "POST / HTTP/1.0\r\n" + host + "Transfer-Encoding: chunked\r\n", 400},
		{"H21 two lengths", "POST / HTTP/1.1\r\n" + host + "Content-Length: 0\r\nContent-Length: 5\r\n", 400},
		{"H21 one length twice", "POST / HTTP/1.1\r\n" + host + "Content-Length: 0\r\nContent-Length: 0\r\n", 400},
		{"H21 a list of lengths", "POST / HTTP/1.1\r\n" + host + "Content-Length: 0, 0\r\n", 400},
		{"H21 a length with a sign", "POST / HTTP/1.1\r\n" + host + "Content-Length: +0\r\n", 400},
		{"H21 an empty length", "POST / HTTP/1.1\r\n" + host + "Content-Length:\r\n", 400},
		{"H21 a length in hex", "POST / HTTP/1.1\r\n" + host + "Content-Length: 0x1\r\n", 400},
		{"H21 chunked with a parameter", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked;q=1\r\n", 400},
		{"H21 quoted chunked", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: \"chunked\"\r\n", 400},
		{"H21 an empty coding", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding:\r\n", 400},
		{"H21 chunked and a comma", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked,\r\n", 400},
		{"H21 a comma and chunked", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: ,chunked\r\n", 400},
		{"H21 chunked, then identity", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", 400},
		{"H21 identity, then chunked", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", 400},
		{"H21 two words", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked chunked\r\n", 400},
		{"H21 chunked in small pieces", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chun\r\n ked\r\n", 400},
		{"H21 a tab before the colon", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding\t: chunked\r\n", 400},
		{"H21 NBSP", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: \xa0chunked\r\n", 400},
		{"H21 NEL", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\x85\r\n", 400},
		{"H21 a length above 2^63", "POST / HTTP/1.1\r\n" + host + "Content-Length: 9223372036854775808\r\n", 400},
		{"H21 a length in words", "POST / HTTP/1.1\r\n" + host + "Content-Length: 1e1\r\n", 400},
		{"H21 a length with _", "POST / HTTP/1.1\r\n" + host + "Content-Length: 1_0\r\n", 400},
		{"H21 a length with a fraction", "POST / HTTP/1.1\r\n" + host + "Content-Length: 1.0\r\n", 400},
		{"H21 two lengths in one", "POST / HTTP/1.1\r\n" + host + "Content-Length: 1 0\r\n", 400},
		{"H21 a length below 0", "POST / HTTP/1.1\r\n" + host + "Content-Length: -1\r\n", 400},
		{"H21 other digits", "POST / HTTP/1.1\r\n" + host + "Content-Length: \u0663\r\n", 400},
		{"H21 a length and its end", "POST / HTTP/1.1\r\n" + host + "Content-Length: 1;\r\n", 400},
		{"H21 a folded length", "POST / HTTP/1.1\r\n" + host + "Content-Length: 1\r\n\t0\r\n", 400},
		{"H06 Host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n", 400},
		{"H06 Host with a query", "GET / HTTP/1.1\r\nHost: a?b\r\n", 400},
		{"H06 Host in another alphabet", "GET / HTTP/1.1\r\nHost: b\u00fccher.example\r\n", 400},
		{"H08 ESC", "GET / HTTP/1.1\r\n" + host + "X: a\x1bb\r\n", 400},
		{"H08 VT in a name", "GET / HTTP/1.1\r\n" + host + "X\x0b: b\r\n", 400},
		{"H08 a quote in a name", "GET / HTTP/1.1\r\n" + host + "\"X\": b\r\n", 400},
		{"H08 NUL in the target", "GET /\x00 HTTP/1.1\r\n" + host, 400},
		{"H02 a tab in the line", "GET\t/ HTTP/1.1\r\n" + host, 400},
		{"H02 a space behind the version", "GET / HTTP/1.1 \r\n" + host, 400},
		{"H02 small letters", "GET / http/1.1\r\n" + host, 400},
		{"H02 a long version", "GET / HTTP/1.10\r\n" + host, 400},
		{"H25 another port", "GET http://x:81/ HTTP/1.1\r\n" + host, 400},
		{"H25 absolute form for another host", "GET http://evil.example/ HTTP/1.1\r\n" + host, 400},
		{"H25 with user information", "GET http://x@evil.example/ HTTP/1.1\r\n" + host, 400},
		{"CONNECT", "CONNECT x:80 HTTP/1.1\r\n" + host, 405},
		{"an upgrade with a body", strings.Replace(proxytest.UpgradeHead, "\r\n", "\r\nContent-Length: 5\r\n", 1), 400},
		{"an upgrade with chunks", strings.Replace(proxytest.UpgradeHead, "\r\n", "\r\nTransfer-Encoding: chunked\r\n", 1), 400},
	}
	for _, tc := range rows {
		t.Run(tc.name, func(t *testing.T) {
			c := proxytest.Dial(t, f.addr)
			_, _ = io.WriteString(c.Conn, tc.send+"\r\n")
			if resp, body := c.Response(); resp.StatusCode != tc.status || resp.Header.Get("Wsr-Refused") == "" || !resp.Close {
				t.Errorf("%s %q, want %d", resp.Status, body, tc.status)
			}
			c.WantClosed()
		})
	}
	// Behind a good request the bad one is refused after the answer.
	good := newFront(t, urlOf(byteApp(t, func(c net.Conn) {
		br := bufio.NewReader(c)
		readHead(br)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		if rest, _ := io.ReadAll(br); len(rest) > 0 {
			t.Errorf("the app got %q", rest)
		}
	})))
	for _, tc := range rows {
		if strings.HasPrefix(tc.name, "H09") {
			continue // as long as the answer has not come nothing is read
		}
		c := proxytest.Dial(t, good.addr)
		_, _ = io.WriteString(c.Conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"+tc.send+"\r\n")
		if resp, body := c.Response(); resp.StatusCode != 200 || body != "ok" {
			t.Errorf("%s: %s %q", tc.name, resp.Status, body)
		}
		if resp, _ := c.Response(); resp.StatusCode != tc.status {
			t.Errorf("%s: %s, want %d", tc.name, resp.Status, tc.status)
		}
	}
}

// Full duplex: answers come when the app gives them, and bodies arrive whole.
func TestFullDuplex(t *testing.T) {
	l := byteApp(t, func(c net.Conn) {
		br := bufio.NewReader(c)
		head := readHead(br)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		buf := make([]byte, 64<<10)
		var last []byte // bytes: the end may come in parts
		for total := 0; ; {
			n, err := br.Read(buf)
			total += n
			last = append(last, buf[max(0, n-5):n]...)
			last = last[max(0, len(last)-5):]
			fmt.Fprintf(c, "%x\r\n%s\r\n", len(fmt.Sprintf("%d;", total)), fmt.Sprintf("%d;", total))
			chunked := strings.Contains(head, "chunked")
			if err != nil || !chunked && total >= 2_000_000 || chunked && string(last) == "0\r\n\r\n" {
				break
			}
		}
		_, _ = io.WriteString(c, "0\r\n\r\n")
	})
	f := newFront(t, urlOf(l))
	for name, tc := range map[string]struct {
		field string
		wrap  func(string) string
		end   string
	}{
		"a length": {"Content-Length: 2000000", func(s string) string { return s }, ""},
		"chunks":   {"Transfer-Encoding: chunked", func(s string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(s), s) }, "0\r\n\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			c := proxytest.Dial(t, f.addr)
			c.Send("POST / HTTP/1.1\r\nHost: a.example\r\n" + tc.field + "\r\n\r\n")
			resp, err := http.ReadResponse(c.Reader, nil)
			if err != nil {
				t.Fatalf("no answer before the body: %v", err)
			}
			sent := 0
			piece := strings.Repeat("x", 20_000)
			answers := bufio.NewReader(resp.Body)
			for i := range 100 {
				p := tc.wrap(piece)
				c.Send(p)
				sent += len(p)
				if i == 0 { // the app answers the first piece before the second comes
					if _, err := answers.ReadString(';'); err != nil {
						t.Fatalf("no answer to a part: %v", err)
					}
				}
			}
			c.Send(tc.end)
			sent += len(tc.end)
			rest, err := io.ReadAll(answers)
			if err != nil || !strings.HasSuffix(string(rest), fmt.Sprintf("%d;", sent)) {
				t.Errorf("the app got %.60q of %d, %v", rest[max(0, len(rest)-60):], sent, err)
			}
		})
	}
}

// An app may refuse a body before it has come, and Expect is its to answer.
func TestEarlyRefusals(t *testing.T) {
	for name, expect := range map[string]string{"a body": "", "a body that waits": "Expect: 100-continue\r\n"} {
		t.Run(name, func(t *testing.T) {
			l := byteApp(t, func(c net.Conn) {
				br := bufio.NewReader(c)
				if head := readHead(br); expect != "" && !strings.Contains(head, expect) {
					t.Errorf("the app got %q", head)
				}
				_, _ = io.WriteString(c, "HTTP/1.1 401 Who Are You\r\nContent-Length: 0\r\n\r\n")
				_, _ = io.CopyN(io.Discard, br, 10)
				if head := readHead(br); !strings.HasPrefix(head, "GET /second ") {
					t.Errorf("then the app got %q", head)
				}
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			})
			c := proxytest.Dial(t, newFront(t, urlOf(l)).addr)
			c.Send("POST / HTTP/1.1\r\nHost: a.example\r\n" + expect + "Content-Length: 10\r\n\r\n")
			if resp, _ := c.Response(); resp.StatusCode != 401 {
				t.Errorf("%s", resp.Status)
			}
			c.Send("0123456789GET /second HTTP/1.1\r\nHost: a.example\r\n\r\n")
			if resp, _ := c.Response(); resp.StatusCode != 200 {
				t.Errorf("%s", resp.Status)
			}
		})
	}
}

// A body that breaks off looks broken to the app, however it is framed, and an
// answer to the client.
func TestBrokenOff(t *testing.T) {
	got := make(chan string, 1)
	l := byteApp(t, func(c net.Conn) {
		rest, err := io.ReadAll(c)
		_, body, _ := strings.Cut(string(rest), "\r\n\r\n")
		got <- fmt.Sprint(body, " ", err == nil)
	})
	f := newFront(t, urlOf(l))
	for _, framing := range []string{"Content-Length: 100\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"} {
		for _, linger := range []int{-1, 0} {
			c := proxytest.Dial(t, f.addr)
			c.Send("POST / HTTP/1.1\r\nHost: a.example\r\n" + framing)
			time.Sleep(20 * time.Millisecond) // a reset would overtake what was sent
			_ = c.Conn.(*net.TCPConn).SetLinger(linger)
			c.Conn.Close()
			_, body, _ := strings.Cut(framing, "\r\n\r\n")
			if s := <-got; s != fmt.Sprint(body, " ", linger != 0) {
				t.Errorf("%q, %d: the app got %q", framing, linger, s)
			}
		}
	}
	for _, linger := range []int{-1, 0} {
		l := byteApp(t, func(c net.Conn) {
			readHead(bufio.NewReader(c))
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\nhalf")
			time.Sleep(20 * time.Millisecond)
			_ = c.(*net.TCPConn).SetLinger(linger)
		})
		c := proxytest.Dial(t, newFront(t, urlOf(l)).addr)
		c.Send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
		body, err := io.ReadAll(c.Reader)
		if !strings.HasSuffix(string(body), "half") || (err == nil) != (linger != 0) {
			t.Errorf("%d: %q, %v", linger, body, err)
		}
	}
}

// A request that kills the app reaches it once, and the client sees the end that
// the app has made, at first and on a kept connection.
func TestNothingIsSentTwice(t *testing.T) {
	for _, kept := range []bool{false, true} {
		for _, linger := range []int{-1, 0} {
			for _, method := range []string{"GET", "POST", "DELETE"} {
				var requests atomic.Int64
				l := byteApp(t, func(c net.Conn) {
					br := bufio.NewReader(c)
					for {
						head := readHead(br)
						if !strings.Contains(head, "/kill") {
							_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
							continue
						}
						requests.Add(1)
						_ = c.(*net.TCPConn).SetLinger(linger)
						return
					}
				})
				c := proxytest.Dial(t, newFront(t, urlOf(l)).addr)
				if kept {
					c.Send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
					c.Response()
				}
				c.Send(method + " /kill HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\nIdempotency-Key: 1\r\n\r\n")
				rest, err := io.ReadAll(c.Reader)
				if len(rest) > 0 || (err == nil) != (linger != 0) || linger == 0 && !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("%s: the client got %q, %v", method, rest, err)
				}
				if n := requests.Load(); n != 1 {
					t.Errorf("%s: %d requests reached the app", method, n)
				}
			}
		}
	}
}

// What an app knows of a connection is one client's (NTLM, Negotiate).
func TestOneClientOneConnection(t *testing.T) {
	l := byteApp(t, func(c net.Conn) {
		br, who := bufio.NewReader(c), "nobody"
		for {
			r, err := http.ReadRequest(br)
			if err != nil {
				return
			}
			if a := r.Header.Get("Authorization"); a != "" {
				who = strings.TrimPrefix(a, "NTLM ")
			}
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(who), who)
		}
	})
	f := newFront(t, urlOf(l))
	ask := func(c *proxytest.Client, field, want string) {
		t.Helper()
		c.Send("GET / HTTP/1.1\r\nHost: a.example\r\n" + field + "\r\n")
		if _, who := c.Response(); who != want {
			t.Errorf("served as %s, want %s", who, want)
		}
	}
	alice, other := proxytest.Dial(t, f.addr), proxytest.Dial(t, f.addr)
	ask(alice, "Authorization: NTLM alice\r\n", "alice")
	ask(other, "", "nobody")
	ask(alice, "", "alice")
	alice.Conn.Close()
	ask(proxytest.Dial(t, f.addr), "", "nobody")
	ask(other, "", "nobody")

	// By HTTP/2, and by questions of ours.
	for range 3 {
		r, _ := http.NewRequest("GET", "http://"+l.Addr().String()+"/", nil)
		resp, err := f.h.Ask(r)
		if err != nil {
			t.Fatal(err)
		}
		if who, _ := io.ReadAll(resp.Body); string(who) != "nobody" {
			t.Errorf("asked as %s", who)
		}
		resp.Body.Close()
		r.Header.Set("Authorization", "NTLM bob")
		if resp, err = f.h.Ask(r); err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
}

// When one side ends its connection, the other learns: an app that ends idle
// ones, a client that has asked its last, an app that says close.
func TestEndsAreMirrored(t *testing.T) {
	ended := make(chan error, 1)
	l := byteApp(t, func(c net.Conn) {
		br := bufio.NewReader(c)
		head := readHead(br)
		if strings.Contains(head, "/half") { // the client sends no more, and gets its answer
			rest, err := io.ReadAll(br)
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			ended <- errors.Join(err, map[bool]error{true: errors.New("more came")}[len(rest) > 0])
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		if strings.Contains(head, "/stays") {
			_, err := br.ReadByte()
			ended <- err
		}
	})
	f := newFront(t, urlOf(l))
	c := proxytest.Dial(t, f.addr)
	c.Send("GET /ends HTTP/1.1\r\nHost: a.example\r\n\r\n")
	c.Response()
	c.WantClosed() // the app ended an idle connection

	c = proxytest.Dial(t, f.addr)
	c.Send("GET /stays HTTP/1.1\r\nHost: a.example\r\n\r\n")
	c.Response()
	c.Conn.Close()
	if err := <-ended; err != io.EOF {
		t.Errorf("the app learnt %v of the client's end", err)
	}

	c = proxytest.Dial(t, f.addr)
	c.Send("GET /half HTTP/1.1\r\nHost: a.example\r\n\r\n")
	_ = c.Conn.(*net.TCPConn).CloseWrite()
	if _, body := c.Response(); body != "ok" {
		t.Errorf("a client that sends no more got %q", body)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	c.WantClosed()
}

// Idle connections end when the setting says so, and heads that drip before.
func TestIdle(t *testing.T) {
	l := byteApp(t, func(c net.Conn) {
		br := bufio.NewReader(c)
		for readHead(br) != "" {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	})
	if h := newFront(t, urlOf(l)).h; h.cfg.IdleTimeout <= 600*time.Second || h.cfg.HandshakeTimeout != time.Minute {
		t.Errorf("%v, %v by default", h.cfg.IdleTimeout, h.cfg.HandshakeTimeout)
	}
	f := newFront(t, urlOf(l), func(c *Config) { c.HeadTimeout, c.IdleTimeout = 50*time.Millisecond, 400*time.Millisecond })
	c := proxytest.Dial(t, f.addr)
	for range 2 { // longer than a head may take
		c.Send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
		c.Response()
		time.Sleep(100 * time.Millisecond)
	}
	c.Send("GET / HTTP/1.1\r\nHo")
	began := time.Now()
	c.WantClosed()
	if took := time.Since(began); took > 300*time.Millisecond {
		t.Errorf("half a head was waited for %v", took)
	}
	c = proxytest.Dial(t, f.addr)
	c.Send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
	c.Response()
	c.WantClosed()
}

// Clients are told to come back elsewhere, and what is under way is finished.
func TestDrainingCloses(t *testing.T) {
	var drains atomic.Bool
	l := byteApp(t, func(c net.Conn) {
		br := bufio.NewReader(c)
		for readHead(br) != "" {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	f := newFront(t, urlOf(l), func(c *Config) { c.Draining = drains.Load })
	c := proxytest.Dial(t, f.addr)
	c.Send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
	if resp, _ := c.Response(); resp.Close {
		t.Error("told to close before")
	}
	drains.Store(true)
	c.Send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
	if got, want := readHead(c.Reader), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if rest, err := io.ReadAll(c.Reader); string(rest) != "ok" || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
}

// NTLM in a handshake: the app's refusal leaves the connection as it is.
func TestRefusedHandshakes(t *testing.T) {
	l := byteApp(t, func(c net.Conn) {
		br := bufio.NewReader(c)
		readHead(br)
		_, _ = io.WriteString(c, "HTTP/1.1 401 Unauthorized\r\nWww-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n")
		head := readHead(br)
		if !strings.Contains(head, "Authorization: NTLM") {
			return
		}
		_, _ = io.WriteString(c, strings.ReplaceAll(proxytest.Switched+"\r\n", "ACCEPT", proxytest.AcceptKey(proxytest.SampleKey)))
	})
	joined := make(chan Switched, 1)
	f := newFront(t, urlOf(l), func(c *Config) { c.Joined = func(sw Switched) { _ = sw.Answer(); joined <- sw } })
	c := proxytest.Dial(t, f.addr)
	c.Send(proxytest.UpgradeHead + "\r\n")
	if got := readHead(c.Reader); !strings.Contains(got, "Www-Authenticate: NTLM") {
		t.Errorf("%q", got)
	}
	c.Send(proxytest.UpgradeHead + "Authorization: NTLM x\r\n\r\n")
	if got := readHead(c.Reader); !strings.HasPrefix(got, "HTTP/1.1 101 ") {
		t.Errorf("%q", got)
	}
	sw := <-joined
	sw.Client.Close()
	sw.App.Close()
}

// What the app makes of a handshake is what the client gets.
func TestHandshakesAsTheyCame(t *testing.T) {
	const up = "Upgrade: websocket\r\nConnection: Upgrade\r\n"
	const get = "GET /chat HTTP/1.1\r\nHost: a.example\r\n"
	key := func(k string) string { return "Sec-WebSocket-Key: " + k + "\r\nSec-WebSocket-Version: 13\r\n" }
	switched := func(more string) string { return proxytest.Switched + more + "\r\n" }
	for _, tc := range []struct{ name, request, answer, want string }{
		{"the key of RFC 6455", get + up + key("dGhlIHNhbXBsZSBub25jZQ=="), switched(""), ""},
		{"the key printed in RFC 6455", get + up + key("x3JJHMbDL1EzLkh9GBhXDw=="), switched(""), ""},
		{"a short key", get + up + key("AA=="), switched(""), ""},
		{"a long key", get + up + key(strings.Repeat("QUFB", 20)), switched(""), ""},
		{"a key that is no base64", get + up + key("not base64!"), switched(""), ""},
		{"version 8", get + up + "Sec-WebSocket-Key: AA==\r\nSec-WebSocket-Version: 8\r\nSec-WebSocket-Origin: http://x\r\n", switched(""), ""},
		{"no version", get + up + "Sec-WebSocket-Key: AA==\r\n", switched(""), ""},
		{"HTTP/1.0", "GET /chat HTTP/1.0\r\nHost: a.example\r\n" + up + key("AA=="), switched(""), ""},
		{"absolute form", "GET http://a.example/chat HTTP/1.1\r\nHost: a.example\r\n" + up + key("AA=="), switched(""), ""},
		{"subprotocols that are no tokens", get + up + key("AA==") + "Sec-WebSocket-Protocol: a b, http://x/y, a b\r\n", switched("Sec-WebSocket-Protocol: http://x/y\r\n"), ""},
		{"two Origins", get + up + key("AA==") + "Origin: a\r\nOrigin: b\r\n", switched(""), ""},
		{"names in another case", get + "upgrade: WebSocket\r\nconnection: keep-alive, upgrade\r\nsec-websocket-key: AA==\r\nSEC-WEBSOCKET-VERSION: 13\r\n", switched(""), ""},
		{"a subprotocol unasked", get + up + key("AA=="), switched("Sec-WebSocket-Protocol: chat\r\n"), ""},
		{"Accept twice", get + up + key("AA=="), switched("sec-websocket-accept: ACCEPT\r\n"), ""},
		{"an extension unasked", get + up + key("AA=="), switched("Sec-WebSocket-Extensions: x-webkit-deflate-frame\r\n"), ""},
		{"window bits unasked", get + up + key("AA==") + "Sec-WebSocket-Extensions: permessage-deflate\r\n", switched("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=12\r\n"), ""},
		{"server_max_window_bits", get + up + key("AA==") + "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=15\r\n", switched("Sec-WebSocket-Extensions: permessage-deflate\r\n"), ""},
		{"101 in HTTP/1.0", get + up + key("AA=="), strings.Replace(switched(""), "1.1", "1.0", 1), ""},
		{"another reason", get + up + key("AA=="), strings.Replace(switched("x-Odd: 1\r\n"), "Switching Protocols", "Web Socket Protocol Handshake", 1), ""},
		{"after informational answers", get + up + key("AA=="), "HTTP/1.1 103 Early Hints\r\n\r\n" + switched(""), ""},
		{"a body announced", get + up + key("AA=="), switched("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"), switched("")},
		{"other fields", get + up + key("AA==") + "Cookie: a=1\r\nExpect: 100-continue\r\n", switched("Set-Cookie: a=1\r\nset-cookie: b=2\r\n"), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			heads := make(chan string, 1)
			l := byteApp(t, func(c net.Conn) {
				br := bufio.NewReader(c)
				head := readHead(br)
				heads <- head
				_, _ = io.WriteString(c, strings.ReplaceAll(tc.answer, "ACCEPT", proxytest.AcceptKey(keyOf(head)))+"early")
				_, _ = io.Copy(c, br)
			})
			joined := make(chan Switched, 1)
			f := newFront(t, urlOf(l), func(c *Config) { c.Joined = func(sw Switched) { _ = sw.Answer(); joined <- sw } })
			c := proxytest.Dial(t, f.addr)
			c.Send(tc.request + "\r\n")
			if got := <-heads; got != tc.request+forwarded+"\r\n" {
				t.Errorf("the app got %q", got)
			}
			want := tc.want
			if want == "" {
				want = tc.answer
			}
			want = strings.ReplaceAll(want, "ACCEPT", proxytest.AcceptKey(keyOf(tc.request)))
			got := make([]byte, len(want))
			if _, err := io.ReadFull(c.Reader, got); err != nil || string(got) != want {
				t.Errorf("the client got %q, %v, want %q", got, err, want)
			}
			sw := <-joined
			defer sw.Client.Close()
			defer sw.App.Close()
			if _, ok := sw.Client.(*net.TCPConn); !ok {
				t.Errorf("a %T is left", sw.Client)
			}
			rest, _ := io.ReadAll(io.LimitReader(sw.App, int64(5-len(sw.Early))))
			if string(sw.Early)+string(rest) != "early" {
				t.Errorf("early %q, then %q", sw.Early, rest)
			}
			c.Send("frames")
			_ = sw.Client.SetReadDeadline(time.Now().Add(proxytest.Patience))
			buf := make([]byte, 6)
			if _, err := io.ReadFull(sw.Client, buf); err != nil || string(buf) != "frames" {
				t.Errorf("%q, %v of the client's frames", buf, err)
			}
		})
	}
}

func keyOf(head string) string {
	_, fields, _ := strings.Cut(head, "\r\n")
	h, _ := textproto.NewReader(bufio.NewReader(strings.NewReader(fields + "\r\n"))).ReadMIMEHeader()
	return h.Get("Sec-WebSocket-Key")
}

// H11, H12: what comes right behind a handshake is neither frames nor a request
// that the app could have taken for frames.
func TestBytesBehindAHandshake(t *testing.T) {
	l := byteApp(t, func(c net.Conn) {
		br := bufio.NewReader(c)
		head := readHead(br)
		time.Sleep(20 * time.Millisecond) // so that the bytes behind it have come
		_, _ = io.WriteString(c, strings.ReplaceAll(proxytest.Switched+"\r\n", "ACCEPT", proxytest.AcceptKey(keyOf(head))))
		if rest, _ := io.ReadAll(br); len(rest) > 0 {
			t.Errorf("the app got %q", rest)
		}
	})
	f := newFront(t, urlOf(l))
	for _, behind := range []string{"\x81\x85\x00\x00\x00\x00hello", "GET /second HTTP/1.1\r\nHost: x\r\n\r\n"} {
		c := proxytest.Dial(t, f.addr)
		c.Send(proxytest.UpgradeHead + "\r\n" + behind)
		if resp, _ := c.Response(); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%q: %s", behind, resp.Status)
		}
		c.WantClosed()
	}
}

// An app that takes long is waited for, as long as the setting says.
func TestSlowHandshake(t *testing.T) {
	l := byteApp(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	f := newFront(t, urlOf(l), func(c *Config) { c.HandshakeTimeout = 50 * time.Millisecond })
	c := proxytest.Dial(t, f.addr)
	c.Send(proxytest.UpgradeHead + "\r\n")
	if resp, _ := c.Response(); resp.StatusCode != http.StatusGatewayTimeout {
		t.Errorf("%s, want 504", resp.Status)
	}
	c.WantClosed()
}

// One that hangs up is told as that: clients could not tell it from a network that
// breaks.
func TestSilentHandshake(t *testing.T) {
	l := byteApp(t, func(c net.Conn) { readHead(bufio.NewReader(c)) })
	c := proxytest.Dial(t, newFront(t, urlOf(l)).addr)
	c.Send(proxytest.UpgradeHead + "\r\n")
	if resp, _ := c.Response(); resp.StatusCode != http.StatusBadGateway || resp.Header.Get("Wsr-Refused") == "" {
		t.Errorf("%s, want 502", resp.Status)
	}
	c.WantClosed()
}

// X-Forwarded-Proto says what is known: by TLS here, by the setting, by the client,
// or nothing.
func TestForwardedProto(t *testing.T) {
	heads := make(chan string, 1)
	l := byteApp(t, func(c net.Conn) {
		heads <- readHead(bufio.NewReader(c))
		_, _ = io.WriteString(c, "HTTP/1.1 204 Nothing\r\nConnection: close\r\n\r\n")
	})
	for _, tc := range []struct{ scheme, set, said, want string }{
		{"http", "", "", ""}, {"https", "", "", "https"}, {"http", "https", "", "https"}, {"https", "http", "", "http"},
		{"http", "https", "http", "http"}, {"https", "", "http", "http"},
	} {
		f := newFront(t, urlOf(l), func(c *Config) { c.Scheme, c.App.Proto = tc.scheme, tc.set })
		said := ""
		if tc.said != "" {
			said = "X-Forwarded-Proto: " + tc.said + "\r\n"
		}
		proxytest.Dial(t, f.addr).Send("GET / HTTP/1.1\r\nHost: a.example\r\n" + said + "\r\n")
		_, got, _ := strings.Cut(<-heads, "X-Forwarded-Proto: ")
		if got, _, _ = strings.Cut(got, "\r\n"); got != tc.want {
			t.Errorf("%+v: %q", tc, got)
		}
	}
}

// Protocols that the settings list may be switched to, and pass as they are.
func TestOtherUpgrades(t *testing.T) {
	l := byteApp(t, func(c net.Conn) {
		br := bufio.NewReader(c)
		head := readHead(br)
		if strings.Contains(head, "Upgrade: tcp") {
			_, _ = io.WriteString(c, "HTTP/1.1 101 Go\r\nUpgrade: TCP\r\nConnection: upgrade\r\n\r\nhi ")
			_, _ = io.Copy(c, br)
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 "+fmt.Sprint(strings.Contains(head, "Upgrade:"))+"\r\nContent-Length: 0\r\n\r\n")
	})
	f := newFront(t, urlOf(l), func(c *Config) { c.Upgrades = []string{"tcp", "spdy/3.1"} })
	c := proxytest.Dial(t, f.addr)
	c.Send("POST /attach HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
	if got := readHead(c.Reader); got != "HTTP/1.1 101 Go\r\nUpgrade: TCP\r\nConnection: upgrade\r\n\r\n" {
		t.Fatalf("%q", got)
	}
	c.Send("there")
	_ = c.Conn.(*net.TCPConn).CloseWrite()
	if rest, err := io.ReadAll(c.Reader); string(rest) != "hi there" || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
	c = proxytest.Dial(t, f.addr)
	c.Send("GET / HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: tcp, h2c\r\n\r\n")
	if got := readHead(c.Reader); !strings.HasPrefix(got, "HTTP/1.1 200 false") {
		t.Errorf("%q", got)
	}
}

// A Unix socket whose queue is full is waited for.
func TestFullQueue(t *testing.T) {
	path := t.TempDir() + "/app"
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}), syscall.Listen(fd, 1)); err != nil {
		t.Fatal(err)
	}
	f := newFront(t, "unix:"+path)
	var clients []*proxytest.Client
	for range 20 {
		c := proxytest.Dial(t, f.addr)
		c.Send("GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")
		clients = append(clients, c)
	}
	time.Sleep(50 * time.Millisecond) // most have met the full queue
	var wg sync.WaitGroup
	defer wg.Wait()
	for range clients {
		wg.Go(func() {
			nfd, _, err := syscall.Accept(fd)
			if err != nil {
				return
			}
			defer syscall.Close(nfd)
			_, _ = syscall.Read(nfd, make([]byte, 4096))
			_, _ = syscall.Write(nfd, []byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
		})
	}
	for _, c := range clients {
		if resp, _ := c.Response(); resp.StatusCode != 200 {
			t.Errorf("%s", resp.Status)
		}
	}
}

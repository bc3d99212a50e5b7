package upgrade

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/wsresilience/wsresilience/internal/proxytest"
)

// H15, U13 and H13: whatever is no 101 reaches the client as it came, but that the
// connection ends behind it.
func TestRefusalPasses(t *testing.T) {
	const hints = "HTTP/1.1 103 Early Hints\r\nlink: </login.css>\r\n\r\n"
	for _, tc := range []struct{ name, head, body string }{
		{"H15 401", "HTTP/1.1 401 who are you?\r\nwww-authenticate: Basic realm=\"x\"\r\nWWW-Authenticate: Negotiate\r\nSERVER: x\r\ncontent-length: 2\r\n", "no"},
		{"H15 no reason", "HTTP/1.1 403\r\nContent-Length: 2\r\n", "no"},
		{"H15 an empty reason", "HTTP/1.1 403 \r\nContent-Length: 2\r\n", "no"},
		{"H15 404 in chunks", "HTTP/1.1 404 Not Found\r\ntransfer-encoding: Chunked\r\nTrailer: x-sum\r\n", "2;x=y\r\nno\r\n0\r\nx-sum: 1\r\n\r\n"},
		{"H15 chunks without trailers", "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n", "2\r\nno\r\n00\r\n\r\n"},
		{"H15 429", "HTTP/1.1 429 Slow Down\r\nRetry-After: 7\r\nX-b: 2\r\nX-A: 1\r\nx-b: 3\r\nContent-Length: 2\r\n", "no"},
		{"H15 503, hints in front", "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n", ""},
		{"H15 an unknown status", "HTTP/1.1 599 Odd\r\nContent-Length: 2\r\n", "no"},
		{"H15 no content", "HTTP/1.1 204 No Content\r\nX: y\r\n", ""},
		{"H15 not modified", "HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n", ""},
		{"H15 up to the end", "HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n", "no"},
		{"H15 HTTP/1.0", "HTTP/1.0 400 Bad Request\r\n", "no"},
		{"H15 a closing app", "HTTP/1.1 401 No\r\nconnection: Close\r\nKeep-Alive: x\r\nContent-Length: 2\r\n", "no"},
		{"U13 redirect", "HTTP/1.1 302 Found\r\nlocation: //login.example/?a=%2f\r\nSet-Cookie: a=1; Path=/\r\nset-cookie: b=2\r\nContent-Length: 2\r\n", "no"},
		{"H12 426", "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\nContent-Length: 2\r\n", "no"},
		{"H13 200 with Upgrade", "HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ACCEPT\r\nContent-Length: 2\r\n", "no"},
		{"latin-1", "HTTP/1.1 401 Zutritt f\xfcr Mitglieder\r\nX: J\xfcrgen\r\nContent-Length: 2\r\n", "n\x00"},
		{"odd names and spaces", "HTTP/1.1 401 No\r\nx y: 1\r\nX-Z:2 \r\nContent-Length:2\r\n", "no"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			front := ""
			if strings.Contains(tc.name, "hints") {
				front = hints
			}
			a := proxytest.NewRawApp(t, func(c net.Conn, r *http.Request) {
				proxytest.AnswerText(front+tc.head+"\r\n"+tc.body)(c, r)
				_ = c.(*net.TCPConn).CloseWrite()
			})
			c := proxytest.Dial(t, newFront(t, a.URL()).addr)
			c.Send(proxytest.UpgradeHead + "\r\n")
			got, err := io.ReadAll(c.Reader)
			want := strings.ReplaceAll(tc.head, "ACCEPT", AcceptKey("dGhlIHNhbXBsZSBub25jZQ=="))
			if !strings.Contains(tc.head, "Close") && !strings.HasPrefix(tc.head, "HTTP/1.0") {
				want += "Connection: close\r\n"
			}
			if want = front + want + "\r\n" + tc.body; err != nil || string(got) != want {
				t.Errorf("%q, %v;\n want %q", got, err, want)
			}
			c.Close()
			a.WantClosed(t, "")
		})
	}
}

// What breaks off in the middle does so for the client; a head that is left out of
// an answer is one of ours.
func TestRefusalBreaksOff(t *testing.T) {
	for _, answer := range []string{
		"HTTP/1.1 401 No\r\nContent-Length: 5\r\n\r\nno",
		"HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nno",
		"HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\nx",
		"HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\nno",
		"HTTP/1.1 401 No\r\nWsr-Refused: draining\r\nContent-Length: 50\r\n\r\nno",
	} {
		a := proxytest.NewRawApp(t, func(c net.Conn, r *http.Request) {
			proxytest.AnswerText(answer)(c, r)
			_ = c.(*net.TCPConn).CloseWrite()
		})
		c := proxytest.Dial(t, newFront(t, a.URL()).addr)
		c.Send(proxytest.UpgradeHead + "\r\n")
		resp, err := http.ReadResponse(c.Reader, nil)
		if err != nil || resp.StatusCode != 401 || resp.Header.Get("Wsr-Refused") != "" {
			t.Fatalf("%q: %v, %v", answer, resp, err)
		}
		if b, err := io.ReadAll(resp.Body); err == nil {
			t.Errorf("%q: %q looks complete", answer, b)
		}
		c.Close()
		a.WantClosed(t, "")
	}
}

// What an app says with its 101 reaches the client as it came, but for what is about
// its own connection and handshake.
func TestSwitchFieldsAsTheyCame(t *testing.T) {
	a := proxytest.NewRawApp(t, func(c net.Conn, r *http.Request) {
		proxytest.AnswerText("HTTP/1.1 101 Go On\r\nserver: x\r\nUPGRADE: websocket\r\nset-cookie: a=1\r\nconnection: upgrade, x\r\nX-b:2\r\nSet-Cookie: b=2\r\n"+
			"sec-websocket-accept: ACCEPT\r\nkeep-alive: 5\r\nx-folded: a\r\n\t b\r\nX-Lf: 1\nDate: then\r\nx-b: \r\n\r\n")(c, r)
	})
	c := proxytest.Dial(t, newFront(t, a.URL()).addr)
	c.Send(proxytest.UpgradeHead + "\r\n")
	want := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + AcceptKey(proxytest.SampleKey) +
		"\r\nserver: x\r\nset-cookie: a=1\r\nX-b:2\r\nSet-Cookie: b=2\r\nx-folded: a b\r\nX-Lf: 1\r\nDate: then\r\nx-b: \r\n\r\n"
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c.Reader, got); err != nil || string(got) != want {
		t.Errorf("%q, %v;\n want %q", got, err, want)
	}
}

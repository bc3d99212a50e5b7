package proxy

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/proxytest"
	"github.com/wsresilience/wsresilience/wire"
)

// secret is what is said wherever somebody can say something.
const secret = "hunter2"

// headSecrets are fields of a request, each with a secret.
var headSecrets = []string{
	"Authorization: Bearer " + secret, "Cookie: sid=" + secret, "Origin: https://" + secret + ".example", "Referer: https://x/" + secret,
	"User-Agent: " + secret, "X-Forwarded-For: " + secret + ", 198.51.100.1, " + secret, "Forwarded: for=" + secret, "X-Real-Ip: " + secret,
	"Traceparent: 00-" + secret + "-00f067aa0ba902b7-01", "Tracestate: a=" + secret, "Baggage: user=" + secret,
	"X-Api-Key: " + secret, "Wsr-Session-Id: " + secret, "Wsr_Session_Id: " + secret, "X-" + secret + ": 1",
}

// wantNoSecret looks for it in the log at its most talkative.
func (sc *scene) wantNoSecret(what string, more ...string) {
	sc.t.Helper()
	for _, s := range append(more, secret) {
		if at := strings.Index(strings.ToLower(sc.log.String()), strings.ToLower(s)); at >= 0 {
			text := sc.log.String()
			sc.t.Errorf("%s: the log has it (I9): %q", what, text[max(0, at-200):min(len(text), at+80)])
		}
	}
}

// Whatever a client says, in whatever place, none of it is in the log, and what
// happens is (I9).
func TestNoSecretOfClientInLog(t *testing.T) {
	long := strings.Repeat(secret, 20)
	for name, says := range map[string]func(p *testClient){
		"text":                  func(p *testClient) { p.echo(secret) },
		"too big":               func(p *testClient) { p.write(masked(ws.OpText, []byte(strings.Repeat(secret, 1000)))) },
		"not UTF-8":             func(p *testClient) { p.write(masked(ws.OpText, []byte(secret+"\xff"))) },
		"ping":                  func(p *testClient) { p.write(masked(ws.OpPing, []byte(secret))) },
		"pong":                  func(p *testClient) { p.write(masked(ws.OpPong, []byte(secret))) },
		"close":                 func(p *testClient) { p.write(masked(ws.OpClose, append([]byte{0x0f, 0xa0}, secret...))) },
		"close with a bad code": func(p *testClient) { p.write(masked(ws.OpClose, append([]byte{0, 1}, secret...))) },
		"CLOSE":                 func(p *testClient) { p.control(wire.AppendClose(nil, 4000, secret)) },
		"CLOSE with a bad code": func(p *testClient) {
			p.control(append(wire.AppendClose(nil, 4000, ""), append([]byte{1, 2}, secret...)...))
		},
		"RESTORE out of place":   func(p *testClient) { p.control([]byte("\xffWSR\x08\x01" + secret)) },
		"unknown control":        func(p *testClient) { p.control([]byte("\xffWSR\x7f" + secret)) },
		"ESCAPED that is none":   func(p *testClient) { p.control([]byte("\xffWSR\x00" + secret)) },
		"heartbeat":              func(p *testClient) { p.control(append([]byte("\xffWSR\x03"+secret+"123456"), 0, 0, 0, 0, 0, 0, 0, 0)) },
		"heartbeat of bad size":  func(p *testClient) { p.control([]byte("\xffWSR\x03" + secret)) },
		"frames that are none":   func(p *testClient) { p.write([]byte(long)) },
		"unmasked":               func(p *testClient) { p.write(append([]byte{0x81, byte(len(secret))}, secret...)) },
		"a token of another key": func(p *testClient) { p.sc.resume("/chat?t="+secret, secret+p.welcome.Token[7:], 0, 1, headSecrets...) },
		"too high a position":    func(p *testClient) { p.sc.resume("/chat?t="+secret, p.welcome.Token, 99, 1) },
		"an offer that is none":  func(p *testClient) { p.sc.open("/chat?t="+secret, "wsr.v1, wsr.resume."+secret, headSecrets...) },
		"a bad key": func(p *testClient) {
			p.sc.openWith("/", "GET /?"+secret+" HTTP/1.1\r\nHost: "+secret+"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "+secret+"\r\nSec-WebSocket-Protocol: wsr.v1\r\n\r\n")
		},
		"another version": func(p *testClient) {
			p.sc.openWith("/", "GET /?"+secret+" HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: "+secret+"\r\nSec-WebSocket-Key: "+proxytest.SampleKey+"\r\nSec-WebSocket-Protocol: wsr.v1\r\n\r\n")
		},
		"a plain client":      func(p *testClient) { p.sc.plain("/ends?t="+secret, headSecrets...).conn.Close() },
		"a plain subprotocol": func(p *testClient) { p.sc.open("/chat?t="+secret, secret, headSecrets...).conn.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sc := newScene(t, func(c *Config) { c.MaxMessage = 4 << 10 })
			p := sc.resilient("/chat?ticket="+secret, headSecrets...)
			says(p)
			p.conn.Close()
			eventually(t, "the end of the connection is told", func() bool {
				return strings.Contains(sc.log.String(), "session detached") || strings.Contains(sc.log.String(), "session ended")
			})
			sc.wantNoSecret(name, p.welcome.Token)
		})
	}
}

// Nor what an app says.
func TestNoSecretOfAppInLog(t *testing.T) {
	frames := func(b ...byte) string { return proxytest.Switched + "X-Secret: " + secret + "\r\n\r\n" + string(b) }
	close := func(code uint16) []byte {
		return append([]byte{0x88, byte(2 + len(secret)), byte(code >> 8), byte(code)}, secret...)
	}
	answers := map[string]string{
		"refusal":              "HTTP/1.1 403 " + secret + "\r\nSet-Cookie: " + secret + "\r\nContent-Length: 7\r\n\r\n" + secret,
		"redirect":             "HTTP/1.1 302 Found\r\nLocation: /login?" + secret + "\r\nContent-Length: 0\r\n\r\n",
		"no HTTP":              secret + "\r\n\r\n",
		"no status":            "HTTP/1.1 " + secret + " OK\r\n\r\n",
		"bad version":          "HTTP/" + secret + " 101 OK\r\n\r\n",
		"bad field":            proxytest.Switched + secret + "\r\n\r\n",
		"bad field name":       proxytest.Switched + "x y " + secret + ": 1\r\n\r\n",
		"bad length":           "HTTP/1.1 200 OK\r\nContent-Length: " + secret + "\r\n\r\n",
		"wrong accept":         "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + secret + "\r\n\r\n",
		"unasked subprotocol":  proxytest.Switched + "Sec-WebSocket-Protocol: " + secret + "\r\n\r\n",
		"unasked extension":    proxytest.Switched + "Sec-WebSocket-Extensions: " + secret + "\r\n\r\n",
		"message":              frames(append([]byte{0x81, byte(len(secret))}, secret...)...),
		"close":                frames(close(4001)...),
		"close with 1012":      frames(close(1012)...),
		"close with bad code":  frames(close(999)...),
		"masked":               frames(append([]byte{0x81, 0x80 | byte(len(secret)), 0, 0, 0, 0}, secret...)...),
		"reserved bits":        frames(append([]byte{0xf1, byte(len(secret))}, secret...)...),
		"ends in its message":  frames(append([]byte{0x81, 0x7d}, secret...)...),
		"text that is no text": frames(append([]byte{0x81, byte(len(secret) + 1), 0xff}, secret...)...),
	}
	for name, answer := range answers {
		for _, offer := range []string{"chat", "chat, wsr.v1"} {
			t.Run(fmt.Sprint(name, ", ", offer), func(t *testing.T) {
				t.Parallel()
				sc := appScene(t, proxytest.NewRawApp(t, proxytest.AnswerText(answer)))
				p := sc.open("/chat?"+secret, offer, headSecrets...)
				if p.resp.StatusCode == http.StatusSwitchingProtocols {
					_ = p.conn.(interface{ CloseWrite() error }).CloseWrite()
					eventually(t, "something is told", func() bool { return sc.log.String() != "" })
				}
				p.conn.Close()
				sc.wantNoSecret(name)
			})
		}
	}
}

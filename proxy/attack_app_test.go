package proxy

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/internal/proxytest"
	"github.com/wsresilience/wsresilience/observe"
	"github.com/wsresilience/wsresilience/wire"
)

func appAttacks() []attack {
	return []attack{
		{"U01", func(t *testing.T) { refusedAnswers(t, brokenSwitches()) }},
		{"U02", unaskedChoices},
		{"U04", oddHeads},
		{"U05", framesBehindSwitch},
		{"U06", maskedByApp},
		{"U07", malformedByApp},
		{"U08", endlessByApp},
		{"U09", silentApps},
		{"U11", appVanishes},
		{"U12", func(t *testing.T) { refusedAnswers(t, noHTTP()) }},
		{"U13", redirect},
		{"U14", richSwitch},
		{"U15", pingsByApp},
	}
}

// appScene is a sidecar in front of an app that gives one answer.
func appScene(t *testing.T, app *proxytest.RawApp) *scene {
	t.Helper()
	sc := &scene{t: t, watch: newWatch(), app: &witness{}, log: new(bytesLog)}
	good := newScene(t, nil) // another sidecar of the process, which must not notice
	cfg := Config{Upstream: app.URL(), Tokens: good.ring, Logger: slog.New(slog.NewTextHandler(sc.log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	cfg.Observer = event.Observers{sc.watch, observe.NewLife(cfg.Logger)}
	sc.srv, sc.addr = serveAttacked(t, cfg, nil)
	t.Cleanup(func() {
		if sc.watch.count("panicked") != 0 {
			t.Error("a session panicked")
		}
	})
	return sc
}

// bothOffers are what a plain and a resilient client offer.
var bothOffers = []string{"chat", "chat, wsr.v1"}

// refusedAnswers: an answer that is none ends in 502 and a closed socket.
func refusedAnswers(t *testing.T, answers map[string]string) {
	refusedTo(t, answers, bothOffers)
}

func refusedTo(t *testing.T, answers map[string]string, offers []string) {
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			app := proxytest.NewRawApp(t, proxytest.AnswerText(answer))
			sc := appScene(t, app)
			for _, protocols := range offers {
				sc.open("/", protocols).wantStatus(http.StatusBadGateway)
				app.WantClosed(t, "")
			}
		})
	}
}

// unaskedChoices: what an app chose that was not offered ends a resilient
// handshake. Of a plain one the client judges, but for what only we may say.
func unaskedChoices(t *testing.T) {
	choices := unaskedAnswers()
	refusedTo(t, choices, bothOffers[1:])
	refusedTo(t, map[string]string{"ours": choices["ours"]}, bothOffers[:1])
	delete(choices, "ours")
	for name, answer := range choices {
		sc := appScene(t, proxytest.NewRawApp(t, proxytest.AnswerText(answer)))
		if p := sc.open("/", bothOffers[0]); p.resp.StatusCode != http.StatusSwitchingProtocols {
			t.Errorf("%s: a plain client gets %s", name, p.resp.Status)
		}
	}
}

func brokenSwitches() map[string]string {
	head := "HTTP/1.1 101 Switching Protocols\r\n"
	return map[string]string{
		"no accept":           head + "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
		"wrong accept":        head + "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
		"two accepts":         head + "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ACCEPT\r\nSec-WebSocket-Accept: AAAA\r\n\r\n",
		"no upgrade":          head + "Connection: Upgrade\r\nSec-WebSocket-Accept: ACCEPT\r\n\r\n",
		"upgrade to other":    head + "Upgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ACCEPT\r\n\r\n",
		"connection missing":  head + "Upgrade: websocket\r\nSec-WebSocket-Accept: ACCEPT\r\n\r\n",
		"connection is other": head + "Upgrade: websocket\r\nConnection: close\r\nSec-WebSocket-Accept: ACCEPT\r\n\r\n",
	}
}

func unaskedAnswers() map[string]string {
	return map[string]string{
		"extension":        proxytest.Switched + "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
		"subprotocol":      proxytest.Switched + "Sec-WebSocket-Protocol: mqtt\r\n\r\n",
		"ours":             proxytest.Switched + "Sec-WebSocket-Protocol: wsr.v1\r\n\r\n",
		"two subprotocols": proxytest.Switched + "Sec-WebSocket-Protocol: chat, chat\r\n\r\n",
		"two lines":        proxytest.Switched + "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: chat\r\n\r\n",
	}
}

func noHTTP() map[string]string {
	return map[string]string{
		"garbage":          "\x81\x05Hello\r\n\r\n",
		"garbage before":   "\x00\x01HTTP/1.1 101 Switching Protocols\r\n\r\n",
		"long status line": "HTTP/1.1 101 " + strings.Repeat("a", 1<<20) + "\r\n\r\n",
	}
}

// oddHeads: what a 101 says of a body is ignored, since it has none, and
// informational answers are skipped up to a bound; to a plain client they pass.
func oddHeads(t *testing.T) {
	refusedTo(t, map[string]string{
		"endless 1xx": strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 50) + proxytest.Switched + "\r\n",
	}, bothOffers[1:])
	for name, answer := range map[string]string{
		"length":  proxytest.Switched + "Content-Length: 5\r\n\r\n",
		"chunked": proxytest.Switched + "Transfer-Encoding: chunked\r\n\r\n",
		"1xx":     "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 199 X\r\n\r\n" + proxytest.Switched + "\r\n",
		"twice":   proxytest.Switched + "\r\n" + proxytest.Switched + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			sc := appScene(t, proxytest.NewRawApp(t, proxytest.AnswerText(answer+"\x81\x05Hello")))
			for _, protocols := range bothOffers {
				p := sc.open("/", protocols)
				p.resilient = strings.Contains(protocols, "wsr")
				if p.resp.StatusCode == http.StatusBadGateway {
					continue
				}
				p.wantStatus(http.StatusSwitchingProtocols)
				for _, field := range []string{"Content-Length", "Transfer-Encoding"} {
					if p.resp.Header.Get(field) != "" {
						t.Errorf("%s passed with the 101", field)
					}
				}
				switch {
				case name != "twice":
					if got := p.hear(); got != "Hello" {
						t.Errorf("the client got %q", got)
					}
				case p.resilient: // the second head is no frame
					p.readWelcome()
					wantSessionClose(t, p, 1014)
					p.control(wire.AppendClose(nil, 1014, ""))
					p.wantClose(1014)
				default:
					want := proxytest.Switched + "\r\n\x81\x05Hello"
					if i := strings.Index(want, "ACCEPT"); i >= 0 {
						want = want[:i] // what follows has the accept of this handshake
					}
					got := make([]byte, len(want))
					if _, err := io.ReadFull(p.br, got); err != nil || string(got) != want {
						t.Errorf("the client got %q, %v", got, err)
					}
				}
				p.conn.Close()
			}
		})
	}
}

func framesBehindSwitch(t *testing.T) {
	sc := appScene(t, proxytest.NewRawApp(t, proxytest.AnswerText(proxytest.Switched+"\r\n\x81\x03one\x01\x01t\x80\x02wo\x82\x05three")))
	for _, protocols := range bothOffers {
		p := sc.open("/", protocols)
		p.resilient = strings.Contains(protocols, "wsr")
		var got []string
		for strings.Join(got, "") != "onetwothree" && len(got) < 5 {
			got = append(got, p.hear())
		}
		p.conn.Close()
	}
}

// appBreaks plays frames of an app. A plain client gets them as they came, and a
// resilient one is told toClient, and the app toApp.
func appBreaks(t *testing.T, frames []byte, toApp, toClient ws.StatusCode) {
	t.Helper()
	told := make(chan []byte, 2)
	app := proxytest.NewRawApp(t, func(c net.Conn, r *http.Request) {
		proxytest.AnswerText(proxytest.Switched+"\r\n"+string(frames))(c, r)
		_ = c.SetReadDeadline(time.Now().Add(attackPatience))
		rest, _ := io.ReadAll(c)
		told <- rest
	})
	sc := appScene(t, app)
	q := sc.open("/", bothOffers[0])
	got := make([]byte, len(frames))
	if _, err := io.ReadFull(q.br, got); err != nil || !bytes.Equal(got, frames) {
		t.Errorf("a plain client got % x, %v of % x", got, err, frames)
	}
	q.conn.Close()
	<-told

	p := sc.open("/", bothOffers[1])
	p.resilient = true
	p.readWelcome()
	wantSessionClose(t, p, toClient)
	p.control(wire.AppendClose(nil, toClient, ""))
	p.wantClose(toClient)
	rest := <-told
	h, err := frame.Rules{Masked: true}.Parse(rest)
	if err != nil || h.OpCode != ws.OpClose || h.Length < 2 {
		t.Fatalf("%x: the app was told % x", frames[:min(len(frames), 16)], rest)
	}
	frame.Mask(rest[h.Size:h.Total()], h.Mask, 0)
	if code := ws.StatusCode(binary.BigEndian.Uint16(rest[h.Size:])); code != toApp {
		t.Errorf("%x: the app was told %d, want %d", frames[:min(len(frames), 16)], code, toApp)
	}
}

func maskedByApp(t *testing.T) {
	appBreaks(t, unspaced(t, "81 85 00000000 48656c6c6f"), 1002, 1014)
}

// malformedByApp: the rows W02 to W15, without masks.
func malformedByApp(t *testing.T) {
	for _, m := range malformedFrames() {
		if m.id == "W01" || m.id == "W08" || m.id == "W14" || m.id == "W15" {
			continue // masks are U06, sizes U07, closes follow
		}
		for _, s := range m.frames {
			b := unmask(unspaced(t, s))
			t.Run(m.id, func(t *testing.T) { appBreaks(t, b, 1002, 1014) })
		}
	}
	for _, s := range append(closeFrames(0, 999, 1004, 1005, 1006, 1015, 2999, 5000), "88 81 00000000 03", "88 84 00000000 03e8 c328") {
		t.Run("close", func(t *testing.T) { closesByApp(t, unmask(unspaced(t, s))) })
	}
}

// closesByApp: a close frame that may not be is 1014 to a resilient client,
// and passes to a plain one.
func closesByApp(t *testing.T, b []byte) {
	sc := appScene(t, proxytest.NewRawApp(t, proxytest.AnswerText(proxytest.Switched+"\r\n"+string(b))))
	p := sc.open("/", "chat, wsr.v1")
	p.resilient = true
	p.readWelcome()
	wantSessionClose(t, p, 1014)
	p.control(wire.AppendClose(nil, 1014, ""))
	p.wantClose(1014)

	q := sc.open("/", "chat")
	if h, payload, err := q.frame(); err != nil || h.OpCode != ws.OpClose || !bytes.Equal(payload, b[2:]) {
		t.Errorf("a plain client got % x, %v of the close frame % x", payload, err, b)
	}
	q.conn.Close()
}

// unmask takes the zero masks out of a client's frames, which must be whole
// or end in a header.
func unmask(b []byte) (out []byte) {
	for len(b) > 1 {
		size := 2
		n := int(b[1] & 0x7f)
		switch n {
		case 126:
			size, n = 4, int(b[2])<<8|int(b[3])
		case 127:
			size, n = 10, len(b)-14
		}
		out = append(out, b[0], b[1]&0x7f)
		out = append(out, b[2:size]...)
		out = append(out, b[size+4:min(size+4+n, len(b))]...)
		b = b[min(size+4+n, len(b)):]
	}
	return out
}

func endlessByApp(t *testing.T) {
	for _, s := range []string{"82 7f 4000000000000000", "82 7f 0000000280000000", "82 7f 0000000000100001"} {
		header := unspaced(t, s)
		app := proxytest.NewRawApp(t, proxytest.AnswerText(proxytest.Switched+"\r\n"+string(header)))
		sc := appScene(t, app)
		used := allocated(func() {
			p := sc.open("/", "chat, wsr.v1")
			p.resilient = true
			p.readWelcome()
			wantSessionClose(t, p, 1009)
			p.control(wire.AppendClose(nil, 1009, ""))
			p.wantClose(1009)
			if !strings.Contains(sc.log.String(), "setting=WSR_MAX_MESSAGE") {
				t.Errorf("the log does not name the setting: %s", sc.log.String())
			}

			q := sc.open("/", "chat")
			head := make([]byte, len(header))
			if _, err := io.ReadFull(q.br, head); err != nil || !bytes.Equal(head, header) {
				t.Errorf("a plain client got % x", head)
			}
			q.conn.Close()
		})
		if used > 1<<20 {
			t.Errorf("%s: %d KiB were allocated", s, used>>10)
		}
	}
	part := append([]byte{0x00, 0x7e, 0x40, 0x00}, make([]byte, 1<<14)...)
	appEnds := proxytest.NewRawApp(t, proxytest.AnswerText(proxytest.Switched+"\r\n\x02\x00"+strings.Repeat(string(part), 100)))
	p := appScene(t, appEnds).open("/", "chat, wsr.v1")
	p.resilient = true
	p.readWelcome()
	wantSessionClose(t, p, 1009)
	p.conn.Close()
}

// silentApps: an app that hangs up is a 502. One that drips or is silent is a
// 504 when the handshake has lasted too long, which TestSlowAnswer of
// internal/upgrade shows.
func silentApps(t *testing.T) {
	app := proxytest.NewRawApp(t, func(c net.Conn, _ *http.Request) {
		_ = c.(*net.TCPConn).SetLinger(0)
		c.Close()
	})
	sc := appScene(t, app)
	for _, protocols := range bothOffers {
		sc.open("/", protocols).wantStatus(http.StatusBadGateway)
	}
	app.Close()
	for _, protocols := range bothOffers {
		sc.open("/", protocols).wantStatus(http.StatusBadGateway)
	}
	if n := sc.watch.count("refused upstream"); n != 4 {
		t.Errorf("%d refusals are counted", n)
	}
}

// appVanishes: the end of an app without a close frame is never a 1000.
func appVanishes(t *testing.T) {
	for _, linger := range []int{-1, 0} { // FIN, RST
		sc := appScene(t, proxytest.NewRawApp(t, func(c net.Conn, r *http.Request) {
			proxytest.AnswerText(proxytest.Switched+"\r\n\x81\x02hi")(c, r)
			if linger == 0 {
				time.Sleep(50 * time.Millisecond) // RST may destroy what was sent
			}
			_ = c.(*net.TCPConn).SetLinger(linger)
			c.Close()
		}))
		p := sc.open("/", "chat, wsr.v1")
		p.resilient = true
		p.readWelcome()
		if got := p.hear(); got != "hi" {
			t.Errorf("the last word came as %q", got)
		}
		wantSessionClose(t, p, 1006)
		p.conn.Close()

		q := sc.open("/", "chat")
		if got := q.hear(); got != "hi" {
			t.Errorf("the last word came as %q", got)
		}
		q.wantClose(1006)
	}
}

// redirect: it is the client's to follow, or not.
func redirect(t *testing.T) {
	app := proxytest.NewRawApp(t, proxytest.AnswerText("HTTP/1.1 301 Moved Permanently\r\nLocation: http://attacker.example/\r\nContent-Length: 0\r\n\r\n"))
	sc := appScene(t, app)
	for _, protocols := range bothOffers {
		p := sc.open("/", protocols)
		p.wantStatus(http.StatusMovedPermanently)
		if got := p.resp.Header.Get("Location"); got != "http://attacker.example/" {
			t.Errorf("Location %q", got)
		}
		p.conn.Close() // of a plain client the connection is kept
		app.WantClosed(t, "")
	}
}

func richSwitch(t *testing.T) {
	answer := proxytest.Switched + "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
	for i := range 50 {
		answer += fmt.Sprintf("X-Field-%d: %d\r\n", i, i)
	}
	sc := appScene(t, proxytest.NewRawApp(t, proxytest.AnswerText(answer+"\r\n")))
	for _, protocols := range bothOffers {
		p := sc.open("/", protocols)
		p.wantStatus(http.StatusSwitchingProtocols)
		if got := p.resp.Header["Set-Cookie"]; len(got) != 2 || got[0] != "a=1" || got[1] != "b=2" {
			t.Errorf("cookies %q", got)
		}
		for i := range 50 {
			if got := p.resp.Header.Get(fmt.Sprintf("X-Field-%d", i)); got != fmt.Sprint(i) {
				t.Errorf("field %d is %q", i, got)
			}
		}
		p.conn.Close()
	}
}

// pingsByApp: a resilient session answers them itself, as many as the app
// reads answers; a plain client gets them.
func pingsByApp(t *testing.T) {
	sc := newScene(t, nil)
	ping := frame.Append(nil, ws.Header{Fin: true, OpCode: ws.OpPing}, []byte("are you there?"))
	p := sc.resilient("/says")
	before := heapInUse()
	for range 100 {
		sc.app.call("/says").speak(bytes.Repeat(ping, 100))
	}
	last := frame.Append(nil, ws.Header{Fin: true, OpCode: ws.OpPing}, []byte("and after the flood?!"))
	eventually(t, "a ping behind the flood is answered", func() bool {
		sc.app.call("/says").speak(last)
		_, raw, _ := sc.app.call("/says").heardSoFar()
		return bytes.Contains(raw, []byte{0x80 | byte(ws.OpPong), 0x80 | 21})
	})
	wantHeap(t, before, most+keepRaw)
	p.wantHeartbeatAnswer(1)
	p.conn.Close()

	q := sc.plain("/says-plain")
	sc.app.call("/says-plain").speak(ping)
	if h, payload, err := q.frame(); err != nil || h.OpCode != ws.OpPing || string(payload) != "are you there?" {
		t.Errorf("the app's ping came as %q, %v", payload, err)
	}
}

package proxy

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

// malformed is a row of frames that end a resilient client's connection, with this
// code. A plain client's pass to the app as they are, which judges them.
type malformed struct {
	id     string
	frames []string
	code   ws.StatusCode
}

func malformedFrames() []malformed {
	long := strings.Repeat("78", 126)
	return []malformed{
		{"W01", []string{"81 05 48656c6c6f"}, 1002},
		{"W02", []string{"c1 85 00000000 48656c6c6f", "a1 85 00000000 48656c6c6f", "91 85 00000000 48656c6c6f"}, 1002},
		{"W04", []string{"89 fe 007e 00000000" + long, "09 80 00000000", "88 fe 007e 00000000" + long, "0a 80 00000000", "08 80 00000000"}, 1002},
		{"W05", []string{"80 81 00000000 41", "00 81 00000000 41"}, 1002},
		{"W06", []string{"01 81 00000000 41 81 81 00000000 42", "02 81 00000000 41 01 81 00000000 42"}, 1002},
		{"W07", []string{"82 ff 8000000000000000 00000000", "82 ff ffffffffffffffff 00000000"}, 1002},
		{"W08", []string{"82 ff 4000000000000000 00000000", "82 ff 0000010000000000 00000000", "82 ff 0000000100000000 00000000", "82 ff 0000000000100006 00000000", "81 ff 0000000000100001 00000000"}, 1009},
		{"W09", []string{"82 fe 0005 00000000 4142434445", "82 ff 0000000000000005 00000000 4142434445"}, 1002},
		{"W14", []string{"88 81 00000000 03", "88 84 00000000 03e8 c328"}, 1002},
		{"W15", closeFrames(0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535), 1002},
	}
}

func closeFrames(codes ...int) (list []string) {
	for _, c := range codes {
		list = append(list, fmt.Sprintf("88 82 00000000 %04x", c))
	}
	return list
}

func frameAttacks() []attack {
	list := []attack{
		{"W13", brokenText},
		{"W16", legalCloses},
		{"W18", afterClose},
		{"W25", maskedRequest},
	}
	for _, m := range malformedFrames() {
		list = append(list, attack{m.id, m.run})
	}
	return list
}

// enough is what a connection may cost this process, clients and app included,
// on a busy machine. The least that row W08 declares is twice that.
const enough = 512 << 10

func (m malformed) run(t *testing.T) {
	sc := newScene(t, nil)
	for i, frames := range m.frames {
		path := fmt.Sprintf("/attacked%d", i)
		m.plainly(sc, path+"p", frames)
		m.resiliently(sc, path+"r", frames)
	}
}

func (m malformed) plainly(sc *scene, path, frames string) {
	sc.t.Helper()
	p := sc.plain(path)
	used := allocated(func() {
		p.hex(frames)
		eventually(sc.t, "the frame passes as it came", func() bool {
			_, raw, _ := sc.app.call(path).heardSoFar()
			return bytes.Equal(raw, unspaced(sc.t, frames))
		})
		p.conn.Close()
	})
	if m.id == "W08" && used > enough {
		sc.t.Errorf("%s: %d bytes were allocated for a plain client's header", frames, used)
	}
}

// resiliently: the connection ends and the session does not, and nothing at
// all reaches the app.
func (m malformed) resiliently(sc *scene, path, frames string) {
	sc.t.Helper()
	p := sc.resilient(path)
	used := allocated(func() {
		p.hex(frames)
		p.wantClose(m.code)
	})
	if m.id == "W08" && used > enough {
		sc.t.Errorf("%s: %d bytes were allocated for a header", frames, used)
	}
	if _, raw, _ := sc.app.call(path).heardSoFar(); len(raw) != 0 {
		sc.t.Errorf("%s: the app got % x", frames, raw)
	}
	q, how := p.back()
	if how != "resumed" {
		sc.t.Fatalf("%s: the session is %s", frames, how)
	}
	q.echo("again")
	q.conn.Close()
	if messages, _, _ := sc.app.call(path).heardSoFar(); len(messages) != 1 || sc.app.dialled(path) != 1 {
		sc.t.Errorf("%s: the app got %q on %d connections", frames, messages, sc.app.dialled(path))
	}
}

// both plays an attack by a plain and by a resilient client.
func both(t *testing.T, sc *scene, play func(t *testing.T, p *testClient)) {
	t.Run("plain", func(t *testing.T) {
		p := sc.plain("/attacked-plain")
		p.t = t
		play(t, p)
		p.conn.Close()
	})
	t.Run("resilient", func(t *testing.T) {
		p := sc.resilient("/attacked-resilient")
		p.t = t
		play(t, p)
		p.conn.Close()
	})
}

// brokenText: what is no UTF-8 comes back byte for byte, whole, in fragments
// and at the end of a message.
func brokenText(t *testing.T) {
	sc := newScene(t, nil)
	both(t, sc, func(t *testing.T, p *testClient) {
		for _, s := range []string{"\xc3\x28", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xff", "\xffWSR\x02", "cut \xe2\x82"} {
			p.echo(s)
		}
		p.hex("01 81 00000000 e2 80 81 00000000 28")
		p.sent++
		if got := p.hear(); got != "\xe2\x28" {
			t.Errorf("fragments came back as %x", got)
		}
		p.hex("01 80 a1b2c3d4 00 81 00000000 48 00 80 01020304 80 81 00000001 69") // each with a mask of its own
		p.sent++
		if got := p.hear(); got != "Hi" {
			t.Errorf("fragments of which the first is empty came back as %q", got)
		}
	})
}

// legalCloses: every code that may be sent comes back. A plain client's went
// to the app with its reason; a resilient session outlives it.
func legalCloses(t *testing.T) {
	sc := newScene(t, nil)
	for _, code := range []ws.StatusCode{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999} {
		payload := append([]byte{byte(code >> 8), byte(code)}, "bye now"...)
		path := fmt.Sprintf("/close%d", code)
		p := sc.plain(path)
		p.write(masked(ws.OpClose, payload))
		p.wantClose(code)
		if _, _, closed := sc.app.call(path).heardSoFar(); !bytes.Equal(closed, payload) {
			t.Errorf("the app got the close frame %q, sent was %q", closed, payload)
		}

		r := sc.resilient(path)
		r.write(masked(ws.OpClose, payload))
		r.wantClose(code)
		q, how := r.back()
		if how != "resumed" {
			t.Fatalf("after a bare close with %d the session is %s", code, how)
		}
		q.echo("still the same")
		if _, _, closed := sc.app.call(path).heardSoFar(); closed != nil {
			t.Errorf("the app heard of a bare close: %x", closed)
		}
		q.conn.Close()
	}
}

// afterClose: what comes behind a close frame of a resilient client is not
// read any more.
func afterClose(t *testing.T) {
	sc := newScene(t, nil)
	behind := "81 85 00000000 48656c6c6f 88 82 00000000 0bb8 89 80 00000000"
	for _, first := range []string{"88 82 00000000 03e8", "88 80 00000000"} {
		p := sc.resilient("/behind")
		p.hex(first + behind)
		want := ws.StatusNormalClosure
		if len(first) < 15 {
			want = ws.StatusNoStatusRcvd
		}
		p.wantClose(want)
		if _, raw, _ := sc.app.call("/behind").heardSoFar(); len(raw) != 0 {
			t.Errorf("the app got % x", raw)
		}
	}
	p := sc.plain("/behind-plain")
	p.hex("88 82 00000000 03e8" + behind)
	p.wantClose(1000)
	_, raw, _ := sc.app.call("/behind-plain").heardSoFar()
	if sent := unspaced(t, "88 82 00000000 03e8"+behind); !bytes.HasPrefix(sent, raw) {
		t.Errorf("a plain client sent %x, the app got %x", sent, raw)
	}
}

// maskedRequest: bytes that spell a request under the mask are a payload.
func maskedRequest(t *testing.T) {
	sc := newScene(t, nil)
	both(t, sc, func(t *testing.T, p *testClient) {
		text := "GET / HTTP/1.1\r\nHost: inner\r\n\r\n"
		p.hex("81 9f 00000000" + hex.EncodeToString([]byte(text)))
		p.sent++
		if got := p.hear(); got != text {
			t.Errorf("came back as %q", got)
		}
	})
	if n := len(sc.app.all()); n != len(sc.others)+2 {
		t.Errorf("the app saw %d connections", n)
	}
}

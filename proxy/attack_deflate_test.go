package proxy

import (
	"bytes"
	"compress/flate"
	"fmt"
	"testing"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/wire"
)

const offersDeflate = "Sec-WebSocket-Extensions: permessage-deflate"

// deflated is a payload as permessage-deflate sends it.
func deflated(p []byte) []byte {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.BestCompression)
	_, _ = w.Write(p)
	_ = w.Flush()
	return bytes.TrimSuffix(b.Bytes(), []byte{0, 0, 0xff, 0xff})
}

func maskedDeflated(payload []byte) []byte {
	return frame.Append(nil, ws.Header{Fin: true, Rsv: frame.RSV1, OpCode: ws.OpBinary, Masked: true, Mask: [4]byte{9, 8, 7, 6}}, payload)
}

// deflateBombs are aimed at each place where the sidecar inflates.
func deflateBombs(t *testing.T) {
	t.Run("client", bombsFromClient)
	t.Run("app", bombFromApp)
	t.Run("replay", bombsInWindow)
}

func bombsFromClient(t *testing.T) {
	sc := newScene(t, nil)
	bomb := deflated(append([]byte(wire.Magic+"\x00"+wire.Magic), make([]byte, 64<<20)...))
	endless := append(deflated([]byte(wire.Magic)), "\x00\x00\xff\xff"...)
	endless = append(append(endless, bytes.Repeat([]byte{0, 0, 0, 0xff, 0xff}, 200_000)...), 0)
	for _, a := range []struct {
		name string
		send []byte
		code ws.StatusCode
	}{
		{"bomb", maskedDeflated(bomb), 1009},
		{"empty blocks", maskedDeflated(endless), 4400},
		{"bad block behind the magic", maskedDeflated(append(deflated([]byte(wire.Magic+"\x02abcd")), 0xff, 0xff)), 1002},
		{"RSV1 on a continuation", unspaced(t, "42 80 00000000 c0 80 00000000"), 1002},
		{"RSV1 on a ping", unspaced(t, "c9 80 00000000"), 1002},
	} {
		p := sc.resilient("/bomb?deflate", offersDeflate)
		used := allocated(func() {
			p.write(a.send)
			p.wantClose(a.code)
		})
		if used > 8<<20 {
			t.Errorf("%s: %d KiB were allocated", a.name, used>>10)
		}
		if messages, _, _ := sc.app.call("/bomb").heardSoFar(); len(messages) != 0 {
			t.Errorf("%s: the app got %d messages", a.name, len(messages))
		}
	}
	// What is not ours is not inflated: the app judges it.
	p := sc.resilient("/opaque?deflate", offersDeflate)
	for _, payload := range [][]byte{{0xff, 0xff, 0xff}, deflated(make([]byte, 4<<20)), {}, {0}} {
		p.write(maskedDeflated(payload))
		p.sent++
		if got := p.hear(); got != string(payload) {
			t.Errorf("a payload of %d bytes came back as %d", len(payload), len(got))
		}
	}
}

// bombFromApp meets a client that resumed without compression: the app's
// connection ends, and the client is told.
func bombFromApp(t *testing.T) {
	sc := newScene(t, nil)
	p := sc.resilient("/says?deflate", offersDeflate)
	p.conn.Close()
	q, how := p.back() // offers none
	if how != "resumed" {
		t.Fatal(how)
	}
	bomb := deflated(make([]byte, 64<<20))
	used := allocated(func() {
		sc.app.call("/says").speak(frame.Append(nil, ws.Header{Fin: true, Rsv: frame.RSV1, OpCode: ws.OpBinary}, bomb))
		wantSessionClose(t, q, 1009)
	})
	if used > 8<<20 {
		t.Errorf("%d KiB were allocated", used>>10)
	}
}

// wantSessionClose reads CLOSE with this code, past data.
func wantSessionClose(t *testing.T, p *testClient, want ws.StatusCode) {
	t.Helper()
	for {
		h, msg, err := p.frame()
		if err != nil || h.OpCode == ws.OpClose {
			t.Fatalf("no CLOSE came but %v % x", err, msg)
		}
		if kind, ok := wire.TypeOf(msg); ok && kind == wire.Close {
			if code, reason, err := wire.ParseClose(msg); err != nil || code != want {
				t.Errorf("CLOSE %d %s, %v, want %d", code, reason, err, want)
			}
			return
		}
	}
}

// bombsInWindow: a window of well-compressed messages does not become many
// times as large for a connection without compression (I6). If that cannot
// be, the client is told so, at once and every time.
func bombsInWindow(t *testing.T) {
	const window = 64 << 10
	sc := newScene(t, func(c *Config) { c.WindowBytes, c.MaxMessage = window, 256<<10 })
	p := sc.resilient("/says?deflate", offersDeflate)
	p.conn.Close()
	eventually(t, "the session is detached", func() bool { return sc.watch.count("detached gone") == 1 })
	bomb := frame.Append(nil, ws.Header{Fin: true, Rsv: frame.RSV1, OpCode: ws.OpBinary}, deflated(make([]byte, 200<<10)))
	sc.app.call("/says").speak(bytes.Repeat(bomb, window/len(bomb)))
	eventually(t, "the window is filled", func() bool { return sc.srv.Stats().Traffic.OutMessages >= uint64(window/len(bomb)) })
	for range 3 {
		used := allocated(func() {
			if _, how := p.back(); how != "reset lost" {
				t.Errorf("resumed without compression: %s", how)
			}
		})
		if used > 8<<20 {
			t.Errorf("%d KiB were allocated for a window of %d", used>>10, window>>10)
		}
		if st := sc.srv.Stats(); st.WindowBytes > 2*window {
			t.Errorf("windows hold %d KiB", st.WindowBytes>>10)
		}
	}
	q, how := p.back(offersDeflate)
	if how != "resumed" {
		t.Fatalf("with compression: %s", how)
	}
	for i := range window / len(bomb) {
		if got := q.hear(); len(got) >= len(bomb) {
			t.Fatalf("message %d has %d bytes: %s", i, len(got), fmt.Sprint(len(bomb)))
		}
	}
	q.conn.Close()
}

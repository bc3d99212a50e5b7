package session

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/wire"
)

// plainStage is a driver of a Plain without sockets.
type plainStage struct {
	t           *testing.T
	p           *Plain
	now         time.Time
	app, client []byte // what was written there
	out         Output
	ended       Ending
	blind       int
	clientTakes int
	appTakes    int
	shutC       bool
	final       []byte
}

func newPlainStage(t *testing.T, change func(*Config)) *plainStage {
	cfg := simConfig()
	if change != nil {
		change(cfg)
	}
	st := &plainStage{t: t, now: time.Unix(1_700_000_000, 0), clientTakes: 1 << 30, appTakes: 1 << 30}
	st.p = NewPlain(cfg, st.now)
	st.settle()
	return st
}

func (st *plainStage) settle() {
	for st.ended == 0 {
		st.p.Output(st.now, &st.out)
		if len(st.out.ToApp) > 0 {
			st.p.AppWrote(st.now, accept(&st.appTakes, st.out.ToApp, &st.app))
		}
		if len(st.out.ToClient) > 0 {
			st.p.ClientWrote(accept(&st.clientTakes, st.out.ToClient, &st.client))
		}
		if st.out.Blind {
			st.blind++
		}
		st.shutC = st.shutC || st.out.ShutClient
		st.ended = st.out.Ended
		if st.ended != 0 {
			st.final = bytes.Clone(st.out.FinalToClient)
		}
		if st.out.Idle() {
			return
		}
	}
}

func (st *plainStage) fromClient(b []byte) int {
	n := st.p.FromClient(st.now, b)
	st.settle()
	return n
}

func (st *plainStage) fromApp(b []byte) int {
	n := st.p.FromApp(st.now, b)
	st.settle()
	return n
}

// wait lets time pass, and calls Tick when that is due.
func (st *plainStage) wait(d time.Duration) {
	end := st.now.Add(d)
	for st.ended == 0 && !st.out.Deadline.IsZero() && !st.out.Deadline.After(end) {
		st.now = st.out.Deadline
		st.p.Tick(st.now)
		st.settle()
	}
	st.now = end
}

// pings are the pings that the client got, which it has then read.
func (st *plainStage) pings() (all [][]byte) {
	for b := st.client; len(b) > 0; {
		h, err := frame.Bounds(b)
		if err != nil || len(b) < h.Total() {
			st.t.Fatalf("the client reads % x: %v", b, err)
		}
		if h.OpCode == ws.OpPing {
			all = append(all, b[h.Size:h.Total()])
		}
		b = b[h.Total():]
	}
	st.client = nil
	return all
}

func pong(payload []byte) []byte {
	return frame.Append(nil, ws.Header{Fin: true, OpCode: ws.OpPong, Masked: true, Mask: [4]byte{1, 2, 3, 4}}, payload)
}

// What the other side may take or not, a plain connection passes, in both
// directions, and goes on to ping, since it knows where frames end.
func TestPlainPassesWhatIsOdd(t *testing.T) {
	text := func(h ws.Header, s string) []byte { return frame.Append(nil, h, []byte(s)) }
	masked := ws.Header{Fin: true, OpCode: ws.OpText, Masked: true, Mask: [4]byte{5, 6, 7, 8}}
	for name, b := range map[string][]byte{
		"unmasked":                          text(ws.Header{Fin: true, OpCode: ws.OpText}, "hi"),
		"masked":                            text(masked, "hi"),
		"16-bit length that need not be":    []byte("\x81\x7e\x00\x02hi"),
		"64-bit length that need not be":    []byte("\x81\x7f\x00\x00\x00\x00\x00\x00\x00\x02hi"),
		"reserved bits":                     text(ws.Header{Fin: true, OpCode: ws.OpBinary, Rsv: frame.AnyRSV}, "hi"),
		"reserved bits on a ping":           text(ws.Header{Fin: true, OpCode: ws.OpPing, Rsv: frame.RSV1}, ""),
		"continuation of nothing":           text(ws.Header{Fin: true, OpCode: ws.OpContinuation}, "hi"),
		"a message within a message":        append(text(ws.Header{OpCode: ws.OpText}, "a"), text(ws.Header{Fin: true, OpCode: ws.OpText}, "b")...),
		"text that is not UTF-8":            text(masked, "\xff\xfe"),
		"close with half a code":            text(ws.Header{Fin: true, OpCode: ws.OpClose}, "\x03"),
		"close with a code nobody may":      text(ws.Header{Fin: true, OpCode: ws.OpClose}, "\x03\xee"),
		"a frame behind the close frame":    append(text(ws.Header{Fin: true, OpCode: ws.OpClose}, "\x03\xe8"), text(masked, "hi")...),
		"garbage behind the close frame":    append(text(ws.Header{Fin: true, OpCode: ws.OpClose}, "\x03\xe8"), 0x8f, 0xff, 0xff),
		"a ping of 125 bytes":               text(ws.Header{Fin: true, OpCode: ws.OpPing}, strings.Repeat("x", 125)),
		"a pong nobody asked for":           text(ws.Header{Fin: true, OpCode: ws.OpPong}, "thirteen byte"),
		"a valid one and then a bad one":    append(text(masked, "fine"), 0x83, 0x00),
		"a reserved opcode":                 {0x83, 0x01, 'x'},
		"a control frame in parts":          {0x09, 0x00},
		"a ping of 126 bytes":               append([]byte{0x89, 0x7e, 0x00, 0x7e}, make([]byte, 126)...),
		"a length beyond all bounds":        []byte("\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff..."),
		"no WebSocket at all":               []byte("HELLO\n"),
		"a single byte that begins a frame": {0x81},
	} {
		for _, app := range []bool{false, true} {
			for _, step := range []int{1, 2, 1 << 20} {
				t.Run(fmt.Sprintf("%s, app %v, %d", name, app, step), func(t *testing.T) {
					st := newPlainStage(t, nil)
					feed, got := st.fromClient, &st.app
					if app {
						feed, got = st.fromApp, &st.client
					}
					for rest := b; len(rest) > 0; {
						n := min(step, len(rest))
						if feed(rest[:n]) != n {
							t.Fatalf("% x is kept back", rest[:n])
						}
						rest = rest[n:]
					}
					if !bytes.Equal(*got, b) || st.ended != 0 {
						t.Errorf("% x came of % x, ended %v", *got, b, st.ended)
					}
				})
			}
		}
	}
}

// Where frames cannot be followed, nothing is put between them any more, and it
// is told once.
func TestPlainBecomesBlind(t *testing.T) {
	for _, c := range []struct {
		b     string
		app   bool
		blind int
	}{
		{"\x83\x00", false, 1},
		{"\x83\x00", true, 1},
		{"hello", true, 1},
		{"\x81\x02hi", true, 0},
		{"\x01\x02hi", false, 0},
	} {
		st := newPlainStage(t, nil)
		feed := st.fromClient
		if c.app {
			feed = st.fromApp
		}
		feed([]byte(c.b))
		feed([]byte(c.b))
		st.client = nil
		st.wait(time.Minute)
		pinged := len(st.client) > 0
		if st.blind != c.blind || pinged != (c.blind == 0) {
			t.Errorf("%q, app %v: blind %d times, pinged %v", c.b, c.app, st.blind, pinged)
		}
		st.p.End(st.now, EndedShutdown, wire.CodeRestart)
		st.settle()
		if st.wait(handoverWait); st.ended != EndedShutdown || (len(st.final) > 0) != (c.blind == 0 && !c.app || c.blind == 0 && c.b[0]&0x80 != 0) {
			t.Errorf("%q, app %v: ended %v with % x", c.b, c.app, st.ended, st.final)
		}
	}
}

// What heartbeats are for is a setting. A client that is too busy to answer is
// not a dead one.
func TestPlainHeartbeats(t *testing.T) {
	for _, c := range []struct {
		mode  PlainHeartbeat
		pings bool
		ended Ending
	}{
		{PlainMeasure, true, 0},
		{PlainEnforce, true, EndedTimeout},
		{PlainOff, false, 0},
	} {
		st := newPlainStage(t, func(cfg *Config) { cfg.PlainHeartbeat = c.mode })
		st.wait(5 * time.Minute)
		if n := len(st.pings()); (n > 0) != c.pings || st.ended != c.ended {
			t.Errorf("mode %d: %d pings, ended %v", c.mode, n, st.ended)
		}
	}
}

// An answer after a silence, be it late, is ours and does not reach the app.
func TestPlainTakesItsPongs(t *testing.T) {
	st := newPlainStage(t, nil)
	st.wait(40 * time.Second)
	pings := st.pings()
	if len(pings) < 5 {
		t.Fatalf("%d pings", len(pings))
	}
	for _, ping := range pings {
		st.fromClient(pong(ping))
		st.fromClient(frame.Append(nil, ws.Header{Fin: true, OpCode: ws.OpPong}, ping)) // unmasked
	}
	if len(st.app) > 0 {
		t.Errorf("the app reads % x", st.app)
	}
}

// The app gets what its client sends and nothing else: no ping, and no pong of ours.
func TestPlainAddsNothingForTheApp(t *testing.T) {
	for _, mode := range []PlainHeartbeat{PlainMeasure, PlainOff} {
		st := newPlainStage(t, func(cfg *Config) { cfg.PlainHeartbeat = mode })
		var want []byte
		for i := range 20 {
			st.wait(10 * time.Second)
			for _, ping := range st.pings() {
				st.fromClient(pong(ping))
			}
			st.client = nil
			for _, f := range [][]byte{pong([]byte(fmt.Sprint("its own ", i))), frame.Append(nil, ws.Header{Fin: true, OpCode: ws.OpPing, Masked: true}, []byte("13 bytes long"))} {
				st.fromClient(f)
				want = append(want, f...)
			}
		}
		if !bytes.Equal(st.app, want) {
			t.Errorf("the app reads %q, want %q", st.app, want)
		}
	}
}

// Two sidecars on one path: each takes the answers to its own pings, and the
// outer leaves the client to the inner.
func TestPlainBehindPlain(t *testing.T) {
	seed := uint32(0)
	random := func(cfg *Config) { seed += 77; n := seed; cfg.Random = func() uint32 { return n } }
	outer, inner := newPlainStage(t, random), newPlainStage(t, random)
	outers, passed := 0, 0
	for range 60 {
		inner.wait(time.Second)
		b := inner.client
		passed += len(inner.pings())
		outer.fromApp(b)
		outer.wait(time.Second)
		for _, ping := range outer.pings() {
			before := len(outer.app)
			outer.fromClient(pong(ping))
			if len(outer.app) == before {
				outers++
			}
		}
		inner.fromClient(outer.app)
		outer.app = nil
	}
	if got := inner.p.counters.BeatsHeard; passed < 20 || got != uint64(passed) {
		t.Errorf("of %d pings of the inner sidecar %d were answered", passed, got)
	}
	if outers > 2 {
		t.Errorf("the outer sidecar pings as well, %d times", outers)
	}
	if len(inner.app) > 0 {
		t.Errorf("the app reads % x", inner.app)
	}
}

// After one side's end the other may take as long as it likes, if only something
// moves.
func TestPlainEndsSlowly(t *testing.T) {
	st := newPlainStage(t, nil)
	whole := frame.Append(nil, ws.Header{Fin: true, OpCode: ws.OpBinary}, make([]byte, 1<<20))
	whole = frame.Append(whole, ws.Header{Fin: true, OpCode: ws.OpClose}, []byte("\x03\xe8"))
	st.clientTakes = 1
	if n := st.fromApp(whole); n != len(whole) {
		t.Fatalf("%d bytes used", n)
	}
	st.p.AppGone(st.now, false)
	st.settle()
	for range 10 {
		st.clientTakes = 100 << 10
		st.p.ClientWritable()
		st.settle()
		st.wait(50 * time.Second)
	}
	st.clientTakes = 1 << 20
	st.p.ClientWritable()
	st.settle()
	if !bytes.Equal(st.client, whole) || st.ended != 0 || !st.shutC {
		t.Fatalf("%d bytes of %d, ended %v, FIN %v", len(st.client), len(whole), st.ended, st.shutC)
	}
	if st.wait(3 * halfClosed); st.ended != EndedClosed {
		t.Errorf("ended %v, although nothing moves", st.ended)
	}
}

// How long the other side has when one has ended is a setting.
func TestPlainCloseTimeout(t *testing.T) {
	for _, tc := range []struct{ set, want time.Duration }{{0, halfClosed}, {time.Second, time.Second}, {time.Hour, time.Hour}} {
		st := newPlainStage(t, func(cfg *Config) { cfg.CloseTimeout = tc.set })
		st.p.AppGone(st.now, false)
		st.settle()
		if st.wait(tc.want - time.Millisecond); st.ended != 0 {
			t.Errorf("%v: ended before", tc.set)
		}
		if st.wait(2 * time.Millisecond); st.ended != EndedClosed {
			t.Errorf("%v: not ended", tc.set)
		}
	}
}

// What an app said before its connection broke reaches the client.
func TestPlainAppBreaks(t *testing.T) {
	st := newPlainStage(t, nil)
	st.clientTakes = 3
	last := frame.Append(nil, ws.Header{Fin: true, OpCode: ws.OpText}, []byte("last words"))
	st.fromApp(last)
	st.p.AppGone(st.now, true)
	st.settle()
	if st.ended != 0 {
		t.Fatalf("ended %v before the client had all", st.ended)
	}
	st.clientTakes = 1 << 20
	st.p.ClientWritable()
	st.settle()
	if !bytes.Equal(st.client, last) || st.ended != EndedBroken {
		t.Errorf("the client got %q, ended %v", st.client, st.ended)
	}
}

// So does what a client said reach the app.
func TestPlainClientBreaks(t *testing.T) {
	st := newPlainStage(t, nil)
	st.appTakes = 3
	last := frame.Append(nil, ws.Header{Fin: true, OpCode: ws.OpText, Masked: true}, []byte("last words"))
	st.fromClient(last)
	st.p.ClientGone(st.now, true)
	st.settle()
	if st.ended != 0 {
		t.Fatalf("ended %v before the app had all", st.ended)
	}
	st.appTakes = 1 << 20
	st.p.AppWritable()
	st.settle()
	if !bytes.Equal(st.app, last) || st.ended != EndedBroken {
		t.Errorf("the app got %q, ended %v", st.app, st.ended)
	}
}

// A ping that waits for the end of a frame is not missed; and Tick is called all
// the same, so that the driver can ask TCP.
func TestPlainPingWaits(t *testing.T) {
	st := newPlainStage(t, func(cfg *Config) { cfg.PlainHeartbeat = PlainEnforce })
	st.fromApp(frame.AppendHeader(nil, ws.Header{Fin: true, OpCode: ws.OpBinary, Length: 1000}))
	for range 10 {
		if st.out.Deadline.IsZero() {
			t.Fatal("no deadline")
		}
		if st.wait(time.Minute); st.ended != 0 {
			t.Fatalf("ended %v", st.ended)
		}
	}
	st.fromApp(make([]byte, 1000))
	if n := len(st.pings()); n != 1 {
		t.Errorf("%d pings at the frame's end", n)
	}
}

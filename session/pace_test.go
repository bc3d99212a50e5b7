package session

import (
	"bytes"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/wire"
)

// ofClient is a frame as clients send it.
func ofClient(op ws.OpCode, fin bool, payload []byte) []byte {
	return frame.Append(nil, ws.Header{Fin: fin, OpCode: op, Masked: true, Mask: [4]byte{1, 2, 3, 4}}, payload)
}

// A flood comes in one read. What the rates let through at once is as much as in a
// second, then it goes on steadily; nothing is lost.
func TestRates(t *testing.T) {
	text, ping := ofClient(ws.OpText, true, []byte("0123456789")), ofClient(ws.OpPing, true, nil)
	pong, fragment := ofClient(ws.OpPong, true, nil), ofClient(ws.OpText, false, nil)
	ack := ofClient(ws.OpBinary, true, wire.AppendAck(nil, 0))
	for _, tt := range []struct {
		name       string
		rates      Rates
		flood      []byte
		first, all int // of the flood, at once and after a second more
		resilient  bool
		plain      bool
	}{
		{"messages", Rates{Messages: 20}, text, 20, 40, true, true},
		{"bytes", Rates{Bytes: 20 * len(text)}, text, 20, 40, true, true},
		{"pings", Rates{Control: 20}, ping, 20, 40, true, true},
		{"pongs", Rates{Control: 20}, pong, 20, 40, true, true},
		{"acknowledgements", Rates{Control: 20}, ack, 20, 40, true, false},
		{"fragments by messages", Rates{Messages: 20}, fragment, 20, 40, false, true},
		{"control is no message", Rates{Messages: 1}, ping, 100, 100, true, true},
		{"messages are no control", Rates{Control: 1}, text, 100, 100, true, true},
		{"control has bytes", Rates{Bytes: 20 * len(ping)}, ping, 20, 40, true, true},
		{"resumes are none of it", Rates{Resumes: 1}, text, 100, 100, true, true},
		{"no rates", Rates{}, text, 100, 100, true, true},
	} {
		flood := bytes.Repeat(tt.flood, 100)
		check := func(t *testing.T, when string, left, want int, paused bool) {
			t.Helper()
			if got := 100 - left/len(tt.flood); got < want || got > want+1 || paused != (want < 100) {
				t.Errorf("%s %d are read, want %d; paused: %v", when, got, want, paused)
			}
		}
		if tt.resilient {
			t.Run(tt.name+", resilient", func(t *testing.T) {
				st := newStage(t)
				st.cfg.Rates, st.cfg.WindowBytes = tt.rates, 1<<20
				st.do([]string{"new"})
				st.feedClient(flood)
				check(t, "at once", len(st.clientIn), tt.first, st.out.PauseClient)
				for range 25 {
					st.wait(40 * time.Millisecond)
					st.feedClient(nil)
				}
				check(t, "after a second", len(st.clientIn), tt.all, st.out.PauseClient)
				for range 200 {
					st.wait(40 * time.Millisecond)
					st.feedClient(nil)
				}
				if len(st.clientIn) > 0 || !st.s.Attached() {
					t.Errorf("%d bytes are never read; attached: %v", len(st.clientIn), st.s.Attached())
				}
			})
		}
		if tt.plain {
			t.Run(tt.name+", plain", func(t *testing.T) {
				st := newPlainStage(t, func(c *Config) { c.Rates = tt.rates })
				left := flood
				feed := func() {
					for n := 1; n > 0 && len(left) > 0; left = left[n:] {
						n = st.fromClient(left)
					}
				}
				feed()
				check(t, "at once", len(left), tt.first, st.out.PauseClient)
				for range 25 {
					st.wait(40 * time.Millisecond)
					feed()
				}
				check(t, "after a second", len(left), tt.all, st.out.PauseClient)
				for range 200 {
					st.wait(40 * time.Millisecond)
					feed()
				}
				if !bytes.Equal(st.app, flood) {
					t.Errorf("the app got %d bytes of %d", len(st.app), len(flood))
				}
			})
		}
	}
}

// A frame whose header was the last that the client might send passes whole, and a
// large one is slowed in its middle by its bytes only.
func TestRatesOfPlainFrames(t *testing.T) {
	st := newPlainStage(t, func(c *Config) { c.Rates = Rates{Messages: 1} })
	large := ofClient(ws.OpBinary, true, make([]byte, 1000))
	for i := range large {
		if n := st.fromClient(large[i : i+1]); n != 1 {
			t.Fatalf("byte %d is not taken", i)
		}
	}
	if !st.out.PauseClient {
		t.Error("it goes on behind the only message of this second")
	}

	st = newPlainStage(t, func(c *Config) { c.Rates = Rates{Bytes: 100} })
	if n := st.fromClient(large[:500]); n != 500 || !st.out.PauseClient {
		t.Errorf("%d bytes of 500; paused: %v", n, st.out.PauseClient)
	}
	st.wait(3900 * time.Millisecond)
	if n := st.fromClient(large[500:]); n != 0 {
		t.Errorf("%d bytes before the others were paid", n)
	}
	st.wait(200 * time.Millisecond)
	if n := st.fromClient(large[500:]); n == 0 {
		t.Error("no byte after that")
	}
}

// A client that is not read for long is not judged by heartbeats, whose answers
// stand behind what is not read.
func TestHeartbeatsDoNotJudgeTheSlowed(t *testing.T) {
	flood := bytes.Repeat(ofClient(ws.OpText, true, make([]byte, 200)), 3)
	st := newStage(t)
	st.cfg.Rates = Rates{Bytes: 2}
	st.do([]string{"new"})
	st.feedClient(flood)
	for range 100 {
		st.wait(time.Second)
	}
	if !st.s.Attached() || !st.out.PauseClient {
		t.Errorf("attached: %v, paused: %v", st.s.Attached(), st.out.PauseClient)
	}
	p := newPlainStage(t, func(c *Config) { c.PlainHeartbeat, c.Rates = PlainEnforce, Rates{Bytes: 2} })
	left := flood
	for range 100 {
		left = left[p.fromClient(left):]
		p.wait(time.Second)
	}
	if p.ended != 0 || !p.out.PauseClient {
		t.Errorf("it ends: %v; paused: %v", p.ended, p.out.PauseClient)
	}
}

// A session that moves hears its client, however fast that is, and what it has
// done counts on the next connection too.
func TestRatesOutliveConnections(t *testing.T) {
	st := newStage(t)
	st.cfg.Rates, st.cfg.WindowBytes = Rates{Messages: 1, Resumes: 2}, 1<<20
	st.do([]string{"new"})
	st.feedClient(ofClient(ws.OpText, true, []byte("one")))
	st.do([]string{"client", "cut"})
	if st.s.ResumesTooOften(st.now) {
		t.Error("the first resume is too much")
	}
	st.s.CountResume(st.now)
	st.s.CountResume(st.now)
	if !st.s.ResumesTooOften(st.now) {
		t.Error("the third resume is not too much")
	}
	st.s.Attach(st.now, wire.StatusResumed, Position{Next: 2}, false)
	st.settle()
	if !st.out.PauseClient {
		t.Error("another connection gets past the rate")
	}
	st.s.HandOver(st.now, time.Second)
	st.settle()
	if st.out.PauseClient {
		t.Error("a client is not heard whose session moves")
	}
	st.now = st.now.Add(30 * time.Second)
	if st.s.ResumesTooOften(st.now) {
		t.Error("a resume is too much after its time")
	}
}

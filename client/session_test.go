package client

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/wire"
)

func TestNewSession(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		ch := s.dial(s.options())
		p := s.request()
		if o := p.offer; !o.Resilient || o.Adopt || o.Resume != nil || len(o.App) != 1 || o.App[0] != "chat" {
			t.Fatalf("offer %+v", o)
		}
		// WELCOME and data come in one segment with the 101.
		p.upgrade(wire.Subprotocol,
			frameOf(ws.OpBinary, wire.AppendWelcome(nil, welcome(wire.StatusNew, 0, 1))),
			frameOf(ws.OpText, []byte("hello")))
		d := <-ch
		if d.err != nil || d.resp.StatusCode != 101 || d.c.Subprotocol() != "chat" || !d.c.Resilient() || d.c.State() != StateConnected {
			t.Fatalf("%v, %+v", d.err, d.c)
		}
		c := d.c
		wantWrite(t, c, "hi")
		p.want("hi")
		time.Sleep(time.Second)
		wantRead(t, c, "hello")
		start := time.Now()
		p.want("ACK 1")
		if waited := time.Since(start); waited != DefaultAckDelay {
			t.Errorf("acknowledged after %v", waited)
		}
		p.raw(frameOf(ws.OpPing, []byte("you?")))
		p.want("pong you?")
		go c.CloseNow()
		p.want("CLOSE")
		p.want("close 1000")
		p.gone()
	})
}

func TestWriteAcked(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		c, p := s.open(s.options())
		defer c.CloseNow()
		done := make(chan error, 1)
		go func() { done <- c.WriteAcked(t.Context(), MessageText, []byte("a")) }()
		p.want("a")
		synctest.Wait()
		if len(done) != 0 {
			t.Fatal("returned before the acknowledgement")
		}
		p.control(wire.AppendAck(nil, 1))
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if err := c.Write(t.Context(), MessageText, make([]byte, 1<<20+1)); !errors.Is(err, ErrTooBig) {
			t.Fatalf("too big: %v", err)
		}
		p.conn.Close()
	})
}

// A gateway refuses a message: it is set aside, its WriteAcked says so, and the
// one behind it arrives (PROTOCOL §9.1).
func TestRejected(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		c, p := s.open(s.options())
		defer c.CloseNow()
		const escaped = wire.Magic + "\x00" + wire.Magic + "poison"
		done := make(chan error, 1)
		go func() { done <- c.WriteAcked(t.Context(), MessageBinary, []byte(wire.Magic+"poison")) }()
		p.want(escaped)
		p.want("HEARTBEAT") // asks for the acknowledgement
		wantWrite(t, c, "behind")
		p.want("behind")
		p.raw(frameOf(ws.OpClose, closing16(ws.StatusMessageTooBig)))
		p = s.resume("t0-1", 0, 0)
		p.welcome(wire.StatusResumed, 0, 1)
		p.want("ACK 0")
		p.want(escaped)
		p.raw(frameOf(ws.OpClose, closing16(ws.StatusMessageTooBig)))
		p = s.resume("t1-1", 0, 0)
		p.welcome(wire.StatusResumed, 0, 1)
		if err := <-done; !errors.Is(err, ErrRejected) {
			t.Fatalf("WriteAcked: %v", err)
		}
		p.want("ACK 0")
		p.want("SKIPPED")
		p.want("HEARTBEAT")
		p.control(wire.AppendAck(nil, 1))
		p.want("behind")
		p.control(wire.AppendAck(nil, 2))
		for e := range c.Events() {
			if e.Kind == EventRejected {
				if r := e.Rejected; r.Type != MessageBinary || string(r.Data) != wire.Magic+"poison" || r.Code != 1009 {
					t.Errorf("rejected %+v", r)
				}
				break
			}
		}
		p.conn.Close()
	})
}

// Both directions are cut between receipt and acknowledgement.
func TestResume(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		c, p := s.open(s.options())
		defer c.CloseNow()
		p.text("one")
		wantRead(t, c, "one")
		p.text("unread")
		for i := range 3 {
			wantWrite(t, c, fmt.Sprint("m", i+1))
			p.want(fmt.Sprint("m", i+1))
		}
		p.control(wire.AppendAck(nil, 1))
		synctest.Wait()
		p.conn.Close()
		wantEvents(t, c, "state reconnecting")
		wantWrite(t, c, "m4")

		p = s.resume("t0-1", 2, 2)
		p.want("m2") // at once
		wantWrite(t, c, "m5")
		p.welcome(wire.StatusResumed, 3, 3)
		p.want("m3") // the sidecar has it, and counts what comes
		p.want("m4")
		p.want("m5")
		wantEvents(t, c, "state connected", "resumed")
		p.text("three")
		wantRead(t, c, "unread")
		wantRead(t, c, "three")
		p.want("ACK 3")
		p.conn.Close()

		// WELCOME is lost, so the same token and positions are offered again.
		p = s.resume("t1-3", 3, 4)
		p.want("m4")
		p.conn.Close()
		p = s.resume("t1-3", 3, 4)
		p.want("m4")
		p.want("m5")
		wantWrite(t, c, "before WELCOME")
		p.want("before WELCOME")
		p.welcome(wire.StatusResumed, 5, 4)
		wantEvents(t, c, "state reconnecting", "state connected", "resumed")
		p.conn.Close()
	})
}

// A short conversation is cut at every byte, each way, and always arrives.
func TestCutAtEveryByte(t *testing.T) {
	for _, up := range []bool{true, false} {
		for at := 1; at < 140; at++ {
			w := newWorld(t, 0)
			w.s.say("first")
			w.s.say(wire.Magic + "escaped")
			w.speak(1)
			for _, msg := range []string{"a", "bb", wire.Magic + "ccc"} {
				w.write(msg)
			}
			p := w.wires[0]
			if up {
				w.down(p, 1<<20)
				w.up(p, at)
			} else {
				w.down(p, at)
			}
			w.cut(p)
			w.run(nil)
		}
	}
}

func TestReset(t *testing.T) {
	for reason, want := range lostReasons {
		t.Run(reason.String(), func(t *testing.T) {
			play(t, func(t *testing.T, s *stage) {
				c, p := s.open(s.options())
				p.text("last")
				wantWrite(t, c, "gone")
				p.want("gone")
				p.conn.Close()
				p = s.resume("t0-1", 1, 1)
				p.want("gone")
				p.control(wire.AppendReset(nil, reason))
				p.gone()
				wantRead(t, c, "last")
				_, _, err := c.Read(t.Context())
				lost, ok := errors.AsType[*SessionLostError](err)
				if !ok || lost.Reason != want || lost.Unacked != 1 {
					t.Fatalf("read: %v", err)
				}
				if err := c.Write(t.Context(), MessageText, nil); err != error(lost) {
					t.Fatalf("write: %v", err)
				}
				wantEvents(t, c, "state reconnecting", "state closed", "reset "+string(want))
				if err := c.Close(1000, ""); err != error(lost) {
					t.Fatalf("close: %v", err)
				}
			})
		})
	}
}

func TestResetTryAgain(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		c, p := s.open(s.options())
		defer c.CloseNow()
		p.conn.Close()
		wantWrite(t, c, "kept")
		for range 5 {
			p = s.accept(wire.Subprotocol)
			p.want("kept")
			p.control(wire.AppendReset(nil, wire.ResetTryAgain))
			p.gone()
		}
		p = s.resume("t0-1", 0, 1)
		p.want("kept")
		p.welcome(wire.StatusResumed, 0, 1)
		wantEvents(t, c, "state reconnecting", "state connected", "resumed")
		p.conn.Close()
	})
}

func TestExpired(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		c, p := s.open(s.options())
		s.down = true
		start := time.Now()
		p.conn.Close()
		_, _, err := c.Read(t.Context())
		lost, ok := errors.AsType[*SessionLostError](err)
		if !ok || lost.Reason != LostExpired || time.Since(start) != 5*time.Minute {
			t.Fatalf("%v after %v", err, time.Since(start))
		}
	})
}

func TestSuperseded(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		c, p := s.open(s.options())
		p.raw(frameOf(ws.OpClose, closing16(wire.CodeSuperseded)))
		_, _, err := c.Read(t.Context())
		if lost, ok := errors.AsType[*SessionLostError](err); !ok || lost.Reason != LostSuperseded {
			t.Fatal(err)
		}
		p.gone()
		if len(s.dials) > 0 {
			t.Fatal("the client resumed after 4409")
		}
	})
}

func TestWrongPosition(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		c, p := s.open(s.options())
		p.conn.Close()
		p = s.resume("t0-1", 0, 1)
		p.welcome(wire.StatusResumed, 0, 3)
		p.want("close 4400")
		_, _, err := c.Read(t.Context())
		if lost, ok := errors.AsType[*SessionLostError](err); !ok || lost.Reason != LostViolation {
			t.Fatal(err)
		}
	})
}

func withTimeout(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func TestOutboxIsFull(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		o := s.options()
		o.OutboxMessages = 2
		c, p := s.open(o)
		defer c.CloseNow()
		wantWrite(t, c, "a")
		wantWrite(t, c, "b")
		if err := c.Write(withTimeout(t), MessageText, []byte("no")); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- c.Write(t.Context(), MessageText, []byte("c")) }()
		p.want("a")
		p.want("b")
		synctest.Wait()
		if len(done) > 0 {
			t.Fatal("room in a full outbox")
		}
		p.control(wire.AppendAck(nil, 1))
		p.want("c")
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		p.control(wire.AppendAck(nil, 9)) // of what was never sent
		p.want("close 4400")
	})
}

// The sidecar's window stops us, and a message above it may be alone under
// way.
func TestWindow(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		ch := s.dial(s.options())
		p := s.accept(wire.Subprotocol)
		w := welcome(wire.StatusNew, 0, 1)
		w.Window = 100
		p.control(wire.AppendWelcome(nil, w))
		c := (<-ch).c
		defer c.CloseNow()
		big := strings.Repeat("b", 500)
		for _, m := range []string{strings.Repeat("x", 50), "y", big, "z"} {
			wantWrite(t, c, m)
		}
		p.want(strings.Repeat("x", 50))
		p.want("y")
		p.raw(frameOf(ws.OpPing, nil))
		p.want("pong ") // and no data
		p.control(wire.AppendAck(nil, 1))
		p.raw(frameOf(ws.OpPing, nil))
		p.want("pong ")
		p.control(wire.AppendAck(nil, 2))
		p.want(big)
		p.raw(frameOf(ws.OpPing, nil))
		p.want("pong ")
		p.control(wire.AppendAck(nil, 3))
		p.want("z")
		p.conn.Close()
	})
}

func TestEscape(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		c, p := s.open(s.options())
		defer c.CloseNow()
		odd := wire.Magic + "\x02 not an ACK"
		if err := c.Write(t.Context(), MessageBinary, []byte(odd)); err != nil {
			t.Fatal(err)
		}
		p.want(string(wire.AppendEscape(nil)) + odd)
		p.control(append(wire.AppendEscape(nil), odd...))
		wantRead(t, c, odd)
		p.control([]byte(wire.Magic + "\x63"))
		p.want("close 4400")
	})
}

// A message above the limit would come again with each resume.
func TestMessageAboveLimit(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		o := s.options()
		o.MaxMessage = 3000
		c, p := s.open(o)
		h := frame.AppendHeader(nil, ws.Header{Fin: true, OpCode: ws.OpText, Length: 3006})
		p.raw(h)
		if code, _, _ := wire.ParseClose(p.want("CLOSE")); code != ws.StatusMessageTooBig {
			t.Fatal(code)
		}
		if _, _, err := c.Read(t.Context()); CloseStatus(err) != 1009 {
			t.Fatal(err)
		}
	})
}

// Cancelling a Read harms nothing, and nobody has to look at events.
func TestCancelAndEvents(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		c, p := s.open(s.options())
		defer c.CloseNow()
		if _, _, err := c.Read(withTimeout(t)); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		for range 70 {
			w := welcome(wire.StatusAdopted, 0, 1)
			w.Reason = wire.AdoptAppRestarted
			p.control(wire.AppendWelcome(nil, w))
		}
		p.text("still there")
		wantRead(t, c, "still there")
		if n := len(c.Events()); n != eventBuffer {
			t.Fatalf("%d events wait, want %d", n, eventBuffer)
		}
		if e := <-c.Events(); e.Kind != EventAdopted || e.Reason != "app_restarted" {
			t.Fatalf("%+v", e)
		}
		p.conn.Close()
	})
}

// A queue that nobody reads stops the connection, and goes on later.
func TestQueueIsFull(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		o := s.options()
		o.QueueBytes = 2000
		c, p := s.open(o)
		defer c.CloseNow()
		go func() {
			for i := range 100 {
				b := binary.BigEndian.AppendUint16(nil, uint16(i))
				if _, err := p.conn.Write(frameOf(ws.OpBinary, append(b, make([]byte, 1000)...))); err != nil {
					return
				}
			}
		}()
		synctest.Wait()
		if n := c.m.in.bytes; n > 4000 {
			t.Fatalf("%d bytes queued", n)
		}
		go p.gone() // takes the acknowledgements
		for i := range 100 {
			_, b, err := c.Read(t.Context())
			if err != nil || binary.BigEndian.Uint16(b) != uint16(i) {
				t.Fatal(i, err)
			}
		}
		p.conn.Close()
	})
}

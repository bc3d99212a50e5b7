package client

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/wire"
)

func TestCloseByClient(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		c, p := s.open(s.options())
		wantWrite(t, c, "last")
		done := make(chan error, 1)
		go func() { done <- c.Close(4001, "enough") }()
		p.want("last")
		if code, reason, _ := wire.ParseClose(p.want("CLOSE")); code != 4001 || reason != "enough" {
			t.Fatal(code, reason)
		}
		p.conn.Close() // before the answer: it is said again

		p = s.resume("t0-1", 0, 1)
		p.want("last")
		p.welcome(wire.StatusResumed, 1, 1)
		p.want("CLOSE")
		p.text("nobody reads this")
		p.control(wire.AppendClose(nil, 4001, "enough"))
		p.want("close 1000")
		p.gone()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.Read(t.Context()); CloseStatus(err) != 4001 || !errors.Is(err, net.ErrClosed) {
			t.Fatal(err)
		}
	})
}

func TestCloseTimeout(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		c, p := s.open(s.options())
		go p.gone()
		start := time.Now()
		if err := c.Close(1000, ""); !errors.Is(err, ErrCloseTimeout) || time.Since(start) != maxCloseWait {
			t.Fatalf("%v after %v", err, time.Since(start))
		}
	})
}

// The app closes while messages are unread: they come first, and the answer
// only then.
func TestCloseByApp(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		c, p := s.open(s.options())
		p.text("a")
		p.text("b")
		p.control(wire.AppendClose(nil, 3005, "app says"))
		wantRead(t, c, "a")
		wantEvents(t, c, "state closing")
		p.want("ACK 1")
		p.conn.Close() // the session is kept until the answer

		p = s.resume("t0-1", 2, 1)
		p.welcome(wire.StatusResumed, 0, 3)
		p.control(wire.AppendClose(nil, 3005, "app says"))
		wantRead(t, c, "b")
		p.want("ACK 2")
		if code, _, _ := wire.ParseClose(p.want("CLOSE")); code != 3005 {
			t.Fatal(code)
		}
		_, _, err := c.Read(t.Context())
		ce, ok := errors.AsType[*CloseError](err)
		if !ok || ce.Code != 3005 || ce.Reason != "app says" || !ce.Remote || errors.Is(err, net.ErrClosed) {
			t.Fatal(err)
		}
		p.raw(frameOf(ws.OpClose, closing16(3005)))
		p.gone()
		if err := c.Close(1000, ""); err != nil {
			t.Fatal(err)
		}
	})
}

func TestCrossingCloses(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		c, p := s.open(s.options())
		done := make(chan error, 1)
		go func() { done <- c.Close(1000, "") }()
		synctest.Wait() // its CLOSE is under way
		p.control(wire.AppendClose(nil, 1001, ""))
		p.want("CLOSE")
		p.gone()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

// A session that is lost while it is being closed, with what the app has not got,
// is no success; with nothing missing it is one.
func TestLostWhileClosing(t *testing.T) {
	for _, words := range []string{"", "last words"} {
		play(t, func(t *testing.T, s *stage) {
			c, p := s.open(s.options())
			time.Sleep(stableLifetime)
			p.conn.Close()
			p = s.request()
			if words != "" {
				wantWrite(t, c, words)
			}
			closed := make(chan error, 1)
			go func() { closed <- c.Close(1000, "") }()
			synctest.Wait()
			p.upgrade(wire.Subprotocol)
			p.control(wire.AppendReset(nil, wire.ResetUnknown))
			p.gone()
			err := <-closed
			_, _, readErr := c.Read(t.Context())
			lost, ok := errors.AsType[*SessionLostError](err)
			if ok != (words != "") || ok && (lost.Unacked != 1 || readErr != err) || !ok && err != nil {
				t.Errorf("%q: Close: %v, Read: %v", words, err, readErr)
			}
		})
	}
}

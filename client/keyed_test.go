package client

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsresilience/wsresilience/wire"
)

// keyedEnd is what a WriteKeyed returned.
type keyedEnd struct {
	fate Fate
	err  error
	took time.Duration
}

func writeKeyed(t *testing.T, c *Conn, p, key string) <-chan keyedEnd {
	ended := make(chan keyedEnd, 1)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		begun := time.Now()
		fate, err := c.WriteKeyed(ctx, MessageText, []byte(p), key)
		ended <- keyedEnd{fate, err, time.Since(begun)}
	}()
	synctest.Wait()
	return ended
}

// openKeyed plays a new session with a sidecar that takes keys.
func (s *stage) openKeyed(o *Options) (*Conn, *peer) {
	s.t.Helper()
	ch := s.dial(o)
	p := s.accept(wire.Subprotocol)
	p.welcomeKeyed(welcome(wire.StatusNew, 0, 1))
	d := <-ch
	if d.err != nil {
		s.t.Fatal(d.err)
	}
	p.want("ACK 0")
	return d.c, p
}

func (p *peer) welcomeKeyed(w *wire.WelcomeMessage) {
	p.t.Helper()
	w.WithOptions, w.Options = true, wire.OptionKeys
	p.control(wire.AppendWelcome(nil, w))
}

// TestOutcomeLost: a sidecar acknowledges a message with a key and dies before it has
// said what became of it. WriteKeyed does not wait for what nobody says any more;
// what the journal has still comes.
func TestOutcomeLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		o := s.options()
		o.Keys, o.Adopt = true, true
		c, p := s.openKeyed(o)
		defer c.CloseNow()
		lost, kept, later := writeKeyed(t, c, "a", "k1"), writeKeyed(t, c, "b", "k2"), writeKeyed(t, c, "c", "k3")
		for _, what := range []string{"KEY", "a", "KEY", "b", "KEY", "c"} {
			p.want(what)
		}
		p.control(wire.AppendAck(nil, 2))
		p.conn.Close()
		p = s.accept(wire.Subprotocol)
		p.welcomeKeyed(welcome(wire.StatusAdopted, 2, 1))
		p.control(wire.AppendOutcome(nil, wire.FateRepeated, "k2"))
		if e := <-kept; e.err != nil || e.fate != FateRepeated {
			t.Errorf("what the journal has: %+v", e)
		}
		if e := <-lost; !errors.Is(e.err, ErrNoOutcome) || e.took > 5*time.Second {
			t.Errorf("what it lacks: %+v", e)
		}
		time.Sleep(3 * time.Second)
		p.control(wire.AppendOutcome(nil, wire.FateFirst, "k3")) // it was sent to this one
		if e := <-later; e.err != nil || e.fate != FateFirst {
			t.Errorf("what was not acknowledged: %+v", e)
		}
	})
}

// TestOutcomeLostWithSession: another session takes the place of one that is lost,
// and nobody says there what became of what the lost one had acknowledged. What the
// lost one may have delivered counts as sent in the next loss.
func TestOutcomeLostWithSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		o := s.options()
		o.Keys, o.Renew = true, true
		c, p := s.openKeyed(o)
		defer c.CloseNow()
		lost, again, late := writeKeyed(t, c, "a", "k1"), writeKeyed(t, c, "b", "k2"), writeKeyed(t, c, "c", "k3")
		for _, what := range []string{"KEY", "a", "KEY", "b", "KEY", "c"} {
			p.want(what)
		}
		p.control(wire.AppendAck(nil, 1))
		p.conn.Close()
		p = s.accept(wire.Subprotocol)
		p.control(wire.AppendReset(nil, wire.ResetUnknown))
		p = s.accept(wire.Subprotocol)
		if p.offer.Resume != nil {
			t.Fatalf("it resumes: %+v", p.offer)
		}
		w := welcome(wire.StatusNew, 7, 1)
		w.Window = 1 // one at a time
		p.welcomeKeyed(w)
		if e := <-lost; !errors.Is(e.err, ErrNoOutcome) {
			t.Errorf("%+v", e)
		}
		p.want("KEY")
		p.want("b")
		p.control(wire.AppendOutcome(nil, wire.FateRepeated, "k2"))
		p.control(wire.AppendAck(nil, 8))
		if e := <-again; e.err != nil || e.fate != FateRepeated {
			t.Errorf("%+v", e)
		}
		if err := c.Write(t.Context(), MessageText, []byte("without")); err != nil {
			t.Fatal(err)
		}
		p.conn.Close()
		p = s.accept(wire.Subprotocol)
		p.control(wire.AppendReset(nil, wire.ResetUnknown))
		e := <-late
		l, ok := errors.AsType[*SessionLostError](e.err)
		if !ok || len(l.Messages) != 2 || !l.Messages[0].Sent || l.Messages[0].Key != "k3" || l.Messages[1].Sent {
			t.Errorf("%+v, %+v", e, l)
		}
	})
}

// TestOutcomeOfEarlierWrite: a write whose context ended has its outcome, and one that
// follows with its key does not take that for its own.
func TestOutcomeOfEarlierWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		o := s.options()
		o.Keys = true
		c, p := s.openKeyed(o)
		defer c.CloseNow()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		ended := make(chan error, 1)
		go func() {
			_, err := c.WriteKeyed(ctx, MessageText, []byte("a"), "k")
			ended <- err
		}()
		p.want("KEY")
		p.want("a")
		if err := <-ended; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		again := writeKeyed(t, c, "a", "k")
		p.want("KEY")
		p.want("a")
		p.control(wire.AppendOutcome(nil, wire.FateFirst, "k"))
		p.control(wire.AppendOutcome(nil, wire.FateRepeated, "k"))
		if e := <-again; e.err != nil || e.fate != FateRepeated {
			t.Errorf("%+v", e)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if n := len(c.m.outcomes); n != 0 {
			t.Errorf("%d outcomes are waited for", n)
		}
	})
}

// TestRenewAfterRejected: a message that was rejected has no key any more, and is in
// nobody's way.
func TestRenewAfterRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		o := s.options()
		o.Keys, o.Renew = true, true
		c, p := s.openKeyed(o)
		defer c.CloseNow()
		bad, good := writeKeyed(t, c, "bad", "k1"), writeKeyed(t, c, "good", "k2")
		for range 2 {
			p.want("KEY")
			p.want("bad")
			p.raw(frameOf(8, closing16(1007)))
			p.conn.Close()
			p = s.accept(wire.Subprotocol)
			p.welcomeKeyed(welcome(wire.StatusResumed, 0, 1))
		}
		if e := <-bad; !errors.Is(e.err, ErrRejected) {
			t.Errorf("%+v", e)
		}
		p.conn.Close()
		p = s.accept(wire.Subprotocol)
		p.control(wire.AppendReset(nil, wire.ResetUnknown))
		p = s.accept(wire.Subprotocol)
		p.welcomeKeyed(welcome(wire.StatusNew, 0, 1))
		p.want("SKIPPED")
		p.want("KEY")
		p.want("good")
		p.control(wire.AppendOutcome(nil, wire.FateFirst, "k2"))
		if e := <-good; e.err != nil || e.fate != FateFirst {
			t.Errorf("%+v", e)
		}
	})
}

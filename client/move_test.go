package client

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsresilience/wsresilience/wire"
)

// Two connections overlap, and both bring the same messages.
func TestGoAway(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		c, old := s.open(s.options())
		defer c.CloseNow()
		old.text("one")
		wantWrite(t, c, "up")
		old.want("up")
		start := time.Now()
		old.control(wire.AppendGoAway(nil, wire.GoAwayDraining, 2000))
		p := s.resume("t0-1", 1, 0)
		if waited := time.Since(start); waited > 2*time.Second {
			t.Fatalf("moved after %v", waited)
		}
		old.text("two")
		synctest.Wait()
		p.welcome(wire.StatusResumed, 0, 2)
		old.gone()
		p.want("up")
		p.text("two")
		p.text("three")
		for _, want := range []string{"one", "two", "three"} {
			wantRead(t, c, want)
		}
		wantEvents(t, c, "goaway", "resumed")
		p.want("ACK 3")
		p.conn.Close()
	})
}

// While a connection is under way with a position, nothing beyond that is
// acknowledged on the old one: it would be gone when the position is looked at
// (PROTOCOL §4.6).
func TestGoAwayHoldsAcks(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		c, old := s.open(s.options())
		defer c.CloseNow()
		old.text("one")
		wantRead(t, c, "one")
		old.want("ACK 1")
		old.control(wire.AppendGoAway(nil, wire.GoAwayDraining, 1000))
		p := s.resume("t0-1", 1, 0)
		old.text("two")
		wantRead(t, c, "two")
		time.Sleep(time.Second) // virtual, and far longer than an ack waits
		old.control(wire.AppendBeat(nil, wire.Heartbeat, beat(1, 2, 0)))
		if b, _ := wire.ParseBeat(old.want("HEARTBEAT_ACK"), wire.HeartbeatAck); b.Ack != 1 || old.acked != 1 {
			t.Fatalf("acknowledged %d and %d while a resume from 1 is under way", b.Ack, old.acked)
		}
		p.welcome(wire.StatusResumed, 0, 2)
		p.text("two")
		p.want("ACK 2")
		old.conn.Close()
		p.conn.Close()
	})
}

// Who refuses to be the successor does not end what works.
func TestGoAwayRefused(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		c, old := s.open(s.options())
		defer c.CloseNow()
		old.control(wire.AppendGoAway(nil, wire.GoAwayDraining, 0))
		p := s.resume("t0-1", 0, 0)
		p.control(wire.AppendReset(nil, wire.ResetUnknown))
		p.gone()
		old.text("still here")
		wantRead(t, c, "still here")
		p = s.resume("t0-1", 1, 0) // after a while, again
		old.conn.Close()
		synctest.Wait()
		p.control(wire.AppendReset(nil, wire.ResetUnknown))
		if _, _, err := c.Read(t.Context()); err == nil || c.State() != StateClosed {
			t.Fatal(err)
		}
	})
}

// The first attempt is immediate, unless the connection died as it was born.
func TestFirstAttempt(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		c, p := s.open(s.options())
		defer c.CloseNow()
		start := time.Now()
		p.conn.Close()
		p = s.resume("t0-1", 0, 1)
		if d := time.Since(start); d < 100*time.Millisecond || d > 200*time.Millisecond {
			t.Errorf("dialled a server that drops connections after %v", d)
		}
		p.welcome(wire.StatusResumed, 0, 1)
		time.Sleep(stableLifetime)
		start = time.Now()
		p.conn.Close()
		p = s.resume("t1-1", 0, 1)
		if d := time.Since(start); d != 0 {
			t.Errorf("dialled after %v", d)
		}
		p.conn.Close()
	})
}

// A resume claims what is in memory, but not so much that the queue could grow
// by a window with each cut; and it never takes a claim back.
func TestClaim(t *testing.T) {
	var b inbox
	now := time.Unix(1, 0)
	b.init(nil, 0)
	put := func(n int) {
		b.put(now, b.Received()+1, MessageText, make([]byte, n))
	}
	put(1000)
	put(1000)
	if b.claim() != 2 {
		t.Fatalf("claims %d of 2", b.claimed)
	}
	put(maxClaimedQueue)
	b.take(now)
	if b.claim() != 2 {
		t.Fatalf("claims %d, has 2 claimed and too much for more", b.claimed)
	}
	b.take(now)
	b.take(now)
	if b.claim() != 3 {
		t.Fatalf("claims %d of 3", b.claimed)
	}
}

// The owner is gone: the journal lags behind what we know is acknowledged.
func TestAdoptedCountsAnew(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		c, old := s.open(s.options())
		defer c.CloseNow()
		for _, m := range []string{"a", "b", "c"} {
			wantWrite(t, c, m)
			old.want(m)
		}
		old.control(wire.AppendAck(nil, 2))
		old.control(wire.AppendGoAway(nil, wire.GoAwayDraining, 0))
		p := s.resume("t0-1", 0, 0)
		p.welcome(wire.StatusAdopted, 1, 1)
		old.gone()
		p.want("c") // is inbound 2 now
		wantEvents(t, c, "goaway", "adopted owner_lost")
		done := make(chan error, 1)
		go func() { done <- c.WriteAcked(t.Context(), MessageText, []byte("d")) }()
		p.want("d")
		p.want("HEARTBEAT") // asks for the acknowledgement
		p.control(wire.AppendBeat(nil, wire.Heartbeat, beat(1, 0, 2)))
		if b, _ := wire.ParseBeat(p.want("HEARTBEAT_ACK"), wire.HeartbeatAck); b.Sent != 3 {
			t.Fatalf("says that %d were sent, want 3", b.Sent)
		}
		synctest.Wait()
		if len(done) > 0 {
			t.Fatal("acknowledged by nobody")
		}
		p.control(wire.AppendAck(nil, 3))
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		p.conn.Close()
	})
}

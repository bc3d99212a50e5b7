package client

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/wire"
)

func beat(seq uint32, sent, ack uint32) wire.Beat {
	b := wire.Beat{Sent: sent, Ack: ack}
	heartbeat.AppendPayload(b.Payload[:0], heartbeat.Payload{Seq: seq, TimeMillis: 7})
	return b
}

func TestHeartbeats(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		c, p := s.open(s.options())
		defer c.CloseNow()
		p.text("one")
		wantRead(t, c, "one")
		wantWrite(t, c, "up")
		p.want("up")
		b := beat(1, 1, 1)
		p.control(wire.AppendBeat(nil, wire.Heartbeat, b))
		got, err := wire.ParseBeat(p.want("HEARTBEAT_ACK"), wire.HeartbeatAck)
		if err != nil || got != (wire.Beat{Payload: b.Payload, Sent: 1, Ack: 1}) {
			t.Fatalf("%+v, %v", got, err)
		}
		p.control(wire.AppendBeat(nil, wire.Heartbeat, b)) // stale: dropped
		bad := beat(2, 1, 1)
		bad.Payload[12] ^= 1
		p.control(wire.AppendBeat(nil, wire.Heartbeat, bad)) // and so is this
		p.control(wire.AppendBeat(nil, wire.Heartbeat, beat(3, 2, 1)))
		p.want("close 4400") // we never got a second message
		p = s.resume("t0-1", 1, 2)
		p.conn.Close()
	})
}

// An acknowledgement that is nearly due goes with a message, in front of it.
func TestAcksRide(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		c, p := s.open(s.options())
		defer c.CloseNow()
		for range 23 {
			p.text("x")
			wantRead(t, c, "x")
		}
		wantWrite(t, c, "alone")
		p.want("alone")
		if p.acked != 0 {
			t.Fatalf("%d messages are acknowledged before it is nearly due", p.acked)
		}
		p.text("x")
		wantRead(t, c, "x")
		wantWrite(t, c, "with company")
		p.want("ACK 24")
		p.want("with company")
	})
}

func TestSilence(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		c, p := s.open(s.options())
		defer c.CloseNow()
		start := time.Now()
		p.want("HEARTBEAT")
		if d := time.Since(start); d != 15*time.Second {
			t.Fatalf("probed after %v", d)
		}
		p.raw(frameOf(ws.OpPing, nil)) // any byte is a sign of life
		p.want("pong ")
		start = time.Now()
		p.want("HEARTBEAT")
		p.want("close 4408")
		if d := time.Since(start); d != 20*time.Second {
			t.Fatalf("given up after %v", d)
		}
		p = s.resume("t0-1", 0, 1)
		p.conn.Close()
	})
}

// A process that stood still does not give the sidecar up.
func TestStalledProcess(t *testing.T) {
	w := newWorld(t, 0)
	at := w.m.deadline()
	late := time.Hour
	w.m.tick(at.Add(late), late)
	w.m.tick(at.Add(late), late)
	if w.m.current == nil || !w.m.current.probeDue {
		t.Fatal("the connection was given up for our own silence")
	}
	w.m.tick(w.m.deadline(), 0)
	if w.m.current != nil {
		t.Fatal("the probe was not answered, and the connection kept")
	}
}

// A program that tells of its network all the time does not dial all the time.
func TestNetworkChangesOften(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		o := s.options()
		dial := o.NetDial
		var dials atomic.Int32
		o.NetDial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if dials.Add(1) > 1 {
				return nil, errors.New("network is down")
			}
			return dial(ctx, network, addr)
		}
		c, p := s.open(o)
		defer c.CloseNow()
		p.conn.Close()
		for range 5000 {
			time.Sleep(time.Millisecond)
			c.NetworkChanged()
		}
		if n := dials.Load(); n > 100 { // one from a call, and one after a wait, each 100 ms at most
			t.Errorf("%d dials in 5 s", n)
		}
	})
}

// When this computer has slept, the connection is probed: the wall clock is ahead
// of the monotonic one.
func TestComputerHasSlept(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		c, p := s.open(s.options())
		defer c.CloseNow()
		c.mu.Lock()
		c.slept -= maxClockStep + 1
		c.mu.Unlock()
		wantWrite(t, c, "awake")
		p.want("HEARTBEAT")
		p.want("awake")
		start := time.Now()
		p.want("close 4408")
		if d := time.Since(start); d != maxProbeWait {
			t.Errorf("given up after %v", d)
		}
		p = s.resume("t0-1", 0, 1)
		if d := time.Since(start); d > maxProbeWait+300*time.Millisecond {
			t.Errorf("back after %v", d)
		}
		p.conn.Close()
	})
}

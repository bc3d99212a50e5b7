package client

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/internal/backoff"
	"github.com/wsresilience/wsresilience/wire"
)

// late returns by how much a client is back later than an outage of that length
// ends, and how often it tried. The sidecar had n sessions when it said WELCOME.
// Attempts fail at once.
func late(t *testing.T, seed uint64, n int, outage time.Duration) (d time.Duration, attempts int) {
	t.Helper()
	cfg, err := (&Options{}).settings()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Unix(1_800_000_000, 0)
	m := newMachine(cfg, rand.New(rand.NewPCG(seed, 1)))
	conn := m.attach(began, m.firstOffer())
	w := welcome(wire.StatusNew, 0, 1)
	first, most := backoff.Load{Sessions: n}.Asked()
	w.RetryFirstMillis, w.RetryMostMillis = uint32(first.Milliseconds()), uint32(most.Milliseconds())
	m.welcome(began, conn, w)
	cut := began.Add(time.Minute)
	m.broken(cut, conn, io.EOF)
	for {
		at := m.dial.at
		if _, ok := m.wantDial(at); !ok {
			t.Fatalf("no attempt: %v", m.err)
		}
		attempts++
		if at.Sub(cut) >= outage {
			return at.Sub(cut) - outage, attempts
		}
		m.dialFailed(at)
	}
}

// The median client is late by at most a fifth of an outage, and a thousand that
// lost one sidecar do not come back together: neither one alone, of a sidecar
// that had no others, nor those whose sidecar filled one by one.
func TestOutages(t *testing.T) {
	const clients = 1000
	for _, outage := range []time.Duration{0, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second, 2 * time.Minute} {
		for _, alone := range []bool{true, false} {
			t.Run(fmt.Sprintf("%v/alone %v", outage, alone), func(t *testing.T) {
				var all []time.Duration
				tries := 0
				for i := range clients {
					n := 1
					if !alone {
						n = i + 1
					}
					d, attempts := late(t, uint64(i), n, outage)
					all = append(all, d)
					tries += attempts
				}
				slices.Sort(all)
				median, most := all[clients/2], outage/5
				if outage == 0 && alone {
					most = 10 * time.Millisecond
				} else if outage == 0 {
					most = time.Second
				}
				if median > most {
					t.Errorf("the median client is late by %v, want at most %v", median, most)
				}
				if worst := all[clients-1]; worst > 5*time.Second {
					t.Errorf("one is late by %v", worst)
				}
				// Right after a short outage, waits have not grown yet, and those who
				// came too early come again.
				least := min(2*time.Second, outage/2)
				if outage == 0 {
					least = 2 * time.Second
				}
				if spread := all[clients-1] - all[0]; !alone && spread < least {
					t.Errorf("all come within %v", spread)
				}
				if most := 15 + int(outage/time.Second); tries/clients > most {
					t.Errorf("%d attempts each, want at most %d", tries/clients, most)
				}
				t.Logf("median %v, worst %v, %d attempts", median, all[clients-1], tries/clients)
			})
		}
	}
}

// Who lost its connection by itself does not wait for others.
func TestFirstAttemptAlone(t *testing.T) {
	timeout := &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ETIMEDOUT)}
	for name, tc := range map[string]struct {
		lose  func(m *machine, now time.Time, conn *connection)
		alone bool
	}{
		"the other side ended it": {func(m *machine, now time.Time, c *connection) { m.broken(now, c, io.EOF) }, false},
		"the other side reset it": {func(m *machine, now time.Time, c *connection) { m.broken(now, c, syscall.ECONNRESET) }, false},
		"going away": {func(m *machine, now time.Time, c *connection) {
			m.drop(now, c, &wire.CloseError{Code: 1001, Remote: true}, false)
		}, false},
		"restart": {func(m *machine, now time.Time, c *connection) {
			m.drop(now, c, &wire.CloseError{Code: 1012, Remote: true}, false)
		}, false},
		"nothing came": {func(m *machine, now time.Time, c *connection) {
			m.drop(now, c, &wire.CloseError{Code: wire.CodeTimeout}, false)
		}, true},
		"nothing of ours came": {func(m *machine, now time.Time, c *connection) {
			m.drop(now, c, &wire.CloseError{Code: wire.CodeTimeout, Remote: true}, false)
		}, true},
		"no answer of the network": {func(m *machine, now time.Time, c *connection) { m.broken(now, c, timeout) }, true},
		"among the last of a drain": {func(m *machine, now time.Time, c *connection) {
			m.goAway(now, time.Hour)
			m.drop(now, c, &wire.CloseError{Code: 1012, Remote: true}, false)
		}, false},
		"asked to leave before it ended": {func(m *machine, now time.Time, c *connection) { m.goAway(now, time.Hour); m.broken(now, c, io.EOF) }, true},
	} {
		cfg, err := (&Options{}).settings()
		if err != nil {
			t.Fatal(err)
		}
		now := time.Unix(1_800_000_000, 0)
		m := newMachine(cfg, rand.New(half{}))
		conn := m.attach(now, m.firstOffer())
		w := welcome(wire.StatusNew, 0, 1)
		w.RetryFirstMillis = 3000
		m.welcome(now, conn, w)
		now = now.Add(time.Minute)
		tc.lose(m, now, conn)
		want := time.Duration(0)
		if !tc.alone {
			want = 1500 * time.Millisecond
		}
		if got := m.dial.at.Sub(now); got != want {
			t.Errorf("%s: the first attempt comes after %v, want %v", name, got, want)
		}
	}
}

// A black hole takes attempts and answers none; the kernel sends a SYN again
// after one second, then after two and four. The client is back soon after it
// ends all the same.
func TestBlackHoles(t *testing.T) {
	for _, outage := range []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute} {
		var all []time.Duration
		for range 15 {
			play(t, func(t *testing.T, s *stage) {
				o := s.options()
				var up atomic.Int64 // when the network is back
				dial := o.NetDial
				o.NetDial = func(ctx context.Context, network, addr string) (net.Conn, error) {
					for again := time.Second; time.Now().UnixNano() < up.Load(); again *= 2 {
						select {
						case <-time.After(again):
						case <-ctx.Done():
							return nil, ctx.Err()
						}
					}
					return dial(ctx, network, addr)
				}
				c, p := s.open(o)
				defer c.CloseNow()
				time.Sleep(stableLifetime)
				back := time.Now().Add(outage)
				up.Store(back.UnixNano())
				p.conn.Close()
				time.Sleep(outage)
				s.resume("t0-1", 0, 1)
				all = append(all, time.Since(back))
			})
		}
		slices.Sort(all)
		if median := all[len(all)/2]; median > outage/5 {
			t.Errorf("black hole of %v: the median client is late by %v", outage, median)
		}
		t.Logf("%v: %v", outage, all)
	}
}

// Connections that take longer than the first attempts wait for come about all
// the same.
func TestSlowToConnect(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		o := s.options()
		var takes atomic.Int64
		dial := o.NetDial
		o.NetDial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			select {
			case <-time.After(time.Duration(takes.Load())):
				return dial(ctx, network, addr)
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		takes.Store(int64(6 * time.Second))
		c, p := s.open(o)
		defer c.CloseNow()
		for range 2 {
			p.conn.Close()
			p = s.accept(wire.Subprotocol)
			p.welcome(wire.StatusResumed, 0, 1)
			time.Sleep(stableLifetime)
		}
	})
}

// A server that refuses and asks for a longer wait gets it, within limits; a
// close does not wait for it.
func TestRetryAfterIsHeard(t *testing.T) {
	for after, want := range map[string][2]time.Duration{
		"":                              {100 * time.Millisecond, 200 * time.Millisecond},
		"7":                             {7 * time.Second, 7*time.Second + 200*time.Millisecond},
		"Sat, 01 Jan 2000 00:00:13 GMT": {10 * time.Second, 10*time.Second + 200*time.Millisecond},
		"Sat, 01 Jan 2000 00:00:00 GMT": {100 * time.Millisecond, 200 * time.Millisecond},
		"86400":                         {30 * time.Second, 30*time.Second + 200*time.Millisecond},
		"soon":                          {100 * time.Millisecond, 200 * time.Millisecond},
		"-5":                            {100 * time.Millisecond, 200 * time.Millisecond},
	} {
		play(t, func(t *testing.T, s *stage) { // time begins on 2000-01-01
			c, p := s.open(s.options())
			defer c.CloseNow()
			time.Sleep(stableLifetime)
			p.conn.Close()
			s.request().raw([]byte("HTTP/1.1 503 Service Unavailable\r\nRetry-After: " + after + "\r\nContent-Length: 0\r\n\r\n"))
			start := time.Now()
			p = s.request()
			if d := time.Since(start); d < want[0] || d > want[1] {
				t.Errorf("%q: the next attempt came after %v, want %v", after, d, want)
			}
			p.raw([]byte("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 20\r\nContent-Length: 0\r\n\r\n"))
			time.Sleep(time.Second)
			closed := make(chan error, 1)
			go func() { closed <- c.Close(1000, "") }()
			s.request().raw([]byte("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 20\r\nContent-Length: 0\r\n\r\n"))
			p = s.accept(wire.Subprotocol)
			p.welcome(wire.StatusResumed, 0, 1)
			p.want("CLOSE")
			p.control(wire.AppendClose(nil, 1000, ""))
			p.gone()
			if err := <-closed; err != nil {
				t.Error(err)
			}
		})
	}
}

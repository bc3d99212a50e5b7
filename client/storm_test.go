package client

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/internal/backoff"
	"github.com/wsresilience/wsresilience/wire"
)

// storm serves the naive sidecar, whose app echoes, on connections that are
// cut all the time, some before the answer to the handshake.
type storm struct {
	*stage
	mu    sync.Mutex
	s     *sidecar
	r     *rand.Rand
	cuts  int
	tasks sync.WaitGroup
}

func (s *storm) serve(ctx context.Context) {
	for {
		var conn net.Conn
		select {
		case conn = <-s.dials:
		case <-ctx.Done():
			return
		}
		s.dials <- conn
		p := s.request()
		s.mu.Lock()
		attached := s.s.attach(p.offer)
		// The first connection has to succeed; Dial tries once.
		lives := time.Duration(s.r.IntN(300))*time.Millisecond + time.Millisecond
		lost := s.r.IntN(5) == 0 && p.offer.Resume != nil
		s.cuts++
		s.mu.Unlock()
		if lost {
			p.conn.Close()
			continue
		}
		p.upgrade(wire.Subprotocol)
		time.AfterFunc(lives, func() { p.conn.Close() })
		s.tasks.Go(func() { s.listen(p, attached) })
		s.tasks.Go(func() { s.talk(p, attached) })
	}
}

func (s *storm) listen(p *peer, conn *sidecarConn) {
	b := make([]byte, 300)
	for {
		n, err := p.conn.Read(b)
		if err != nil {
			return
		}
		s.mu.Lock()
		conn.feed(b[:n])
		for i := len(s.s.outbound); i < len(s.s.inbound); i++ {
			s.s.say(s.s.inbound[i])
		}
		conn.ack()
		s.mu.Unlock()
	}
}

func (s *storm) talk(p *peer, conn *sidecarConn) {
	for {
		s.mu.Lock()
		b := conn.out
		conn.out = nil
		s.mu.Unlock()
		if _, err := p.conn.Write(b); err != nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// The whole client in a storm: several programs write, one reads, and every
// message comes back once, in the order in which its writer sent it.
func TestStorm(t *testing.T) {
	play(t, func(t *testing.T, stage *stage) {
		const writers, each = 4, 4000
		s := &storm{stage: stage, s: newSidecar(t), r: rand.New(rand.NewPCG(3, 4))}
		ctx, cancel := context.WithCancel(t.Context())
		s.tasks.Go(func() { s.serve(ctx) })
		o := s.options()
		o.OutboxMessages = 50
		o.Backoff.Max = backoff.Shortest // no connection lasts
		c, _, err := Dial(t.Context(), "ws://stage", o)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for i := range each {
					write := c.Write
					if i%10 == 9 {
						write = c.WriteAcked
					}
					if err := write(t.Context(), MessageText, fmt.Appendf(nil, "%d %d", w, i)); err != nil {
						t.Error(err)
						return
					}
					time.Sleep(7 * time.Millisecond)
				}
			})
		}
		var next [writers]int
		for range writers * each {
			_, b, err := c.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var w, i int
			if _, err := fmt.Sscan(string(b), &w, &i); err != nil || i != next[w] {
				t.Fatalf("read %q, want number %d: %v", b, next[w], err)
			}
			next[w]++
		}
		wg.Wait()
		if err := c.Close(1000, ""); err != nil {
			t.Error(err)
		}
		cancel()
		s.tasks.Wait()
		if len(s.s.violations) > 0 || s.cuts < 150 {
			t.Fatalf("%d cuts, violations %q", s.cuts, s.s.violations)
		}
		t.Logf("%d connections", s.cuts)
	})
}

package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"

	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/wire"
)

const (
	// swarmPatience is how long nothing at all may come while an answer is due.
	swarmPatience = 20 * time.Second

	// swarmRead is the most that one read takes.
	swarmRead = 64 << 10

	// leaveLimit is how long the answers to CLOSE are waited for.
	leaveLimit = 20 * time.Second

	// owedTick is how often overdue acknowledgements are looked for.
	owedTick = 5 * time.Millisecond

	// timerKey is no index of the fleet.
	timerKey = -1
)

// A swarm is a fleet that one thread drives. It reads what is ready, hands out
// the data messages, and acknowledges as a client library does, which includes
// what is overdue on connections that went quiet.
type swarm struct {
	fleet fleet
	poll  *poller
	owed  []*peer // have messages to acknowledge, the longest owed first
	take  func(p *peer, payload []byte) error
	tick  func() error // when a timer that is watched too is due
}

// gatherSwarm opens n connections with a round trip behind each.
func gatherSwarm(addr string, n int, offer wire.Offer) (*swarm, error) {
	f, err := dialFleet(addr, n, offer)
	if err != nil {
		return nil, err
	}
	return newSwarm(f)
}

func newSwarm(f fleet) (*swarm, error) {
	s := &swarm{fleet: f}
	var err error
	if s.poll, err = newPoller(); err != nil {
		f.cut()
		return nil, err
	}
	for i, p := range f {
		sock, err := detach(p.conn)
		if err == nil {
			p.conn = sock
			err = s.poll.add(sock.fd, i)
		}
		if err != nil {
			s.cut()
			return nil, err
		}
		if p.received != p.acked {
			s.owed = append(s.owed, p)
		}
	}
	return s, nil
}

// step waits at most for the limit and serves what came. It returns whether
// anything did.
func (s *swarm) step(limit time.Duration) (bool, error) {
	if len(s.owed) > 0 {
		limit = min(limit, owedTick)
	}
	ready, err := s.poll.wait(limit)
	if err != nil {
		return false, err
	}
	for _, e := range ready {
		if e.Fd == timerKey {
			err = s.tick()
		} else {
			err = s.read(s.fleet[e.Fd])
		}
		if err != nil {
			return true, err
		}
	}
	return len(ready) > 0, s.settle(time.Now())
}

// read takes what one read brings.
func (s *swarm) read(p *peer) error {
	n, err := p.conn.Read(p.in[p.end:])
	if err == errAgain {
		return nil
	}
	if err != nil {
		return err
	}
	if p.end += n; p.end == len(p.in) && p.end < swarmRead {
		p.in = append(p.in, make([]byte, p.end)...) // more is there, so the next read takes more
	}
	for {
		m, n, ok, err := p.messages.Next(p.in[p.start:p.end])
		p.start += n
		if err != nil {
			return err
		}
		if !ok {
			p.makeRoom()
			return nil
		}
		if err := s.message(p, &m); err != nil {
			return err
		}
	}
}

func (s *swarm) message(p *peer, m *frame.Message) error {
	data, err := p.sort(m)
	if err != nil || !data {
		return err
	}
	if p.resilient && p.received == p.acked+1 {
		s.owed = append(s.owed, p)
	}
	if s.take == nil {
		return errors.New("bench: data on an idle connection")
	}
	if err := s.take(p, m.Payload()); err != nil {
		return err
	}
	return p.ackIfDue(p.first) // by count; the time is for settle
}

// settle acknowledges what is overdue.
func (s *swarm) settle(now time.Time) error {
	for len(s.owed) > 0 {
		p := s.owed[0]
		if p.received != p.acked && now.Sub(p.first) < ackDelay {
			return nil
		}
		s.owed = s.owed[1:]
		if err := p.ackIfDue(now); err != nil {
			return err
		}
	}
	return nil
}

// until steps until done, and fails when nothing comes any more.
func (s *swarm) until(done func() bool) error {
	began := time.Now()
	last := began
	for !done() {
		came, err := s.step(swarmPatience)
		if err != nil {
			return err
		}
		if came {
			last = time.Now()
		}
		if time.Since(last) > swarmPatience || time.Since(began) > turnLimit {
			return fmt.Errorf("bench: no end after %v, and nothing came for %v", time.Since(began), time.Since(last))
		}
	}
	return nil
}

// rest answers heartbeats for a time.
func (s *swarm) rest(d time.Duration) error {
	for end := time.Now().Add(d); ; {
		left := time.Until(end)
		if left <= 0 {
			return nil
		}
		if _, err := s.step(left); err != nil {
			return err
		}
	}
}

// trips makes a number of round trips, one in flight on each connection.
func (s *swarm) trips(total int, payload []byte) error {
	started, open := 0, 0
	begin := func(p *peer) error {
		if started >= total {
			return nil
		}
		started++
		open++
		return p.say(ws.OpBinary, payload)
	}
	s.take = func(p *peer, got []byte) error {
		if open--; len(got) != len(payload) {
			return fmt.Errorf("bench: echo of %d bytes, sent %d", len(got), len(payload))
		}
		return begin(p)
	}
	defer func() { s.take = nil }()
	for _, p := range s.fleet {
		if err := begin(p); err != nil {
			return err
		}
	}
	return s.until(func() bool { return open == 0 })
}

// order sends the app an order, and waits until n messages came of it.
func (s *swarm) order(n int, to fleet, text string) error {
	left := n
	s.take = func(*peer, []byte) error { left--; return nil }
	defer func() { s.take = nil }()
	for _, p := range to {
		if err := p.say(ws.OpText, []byte(text)); err != nil {
			return err
		}
	}
	return s.until(func() bool { return left <= 0 })
}

// leave ends all sessions, so that nothing of them is in the next turn.
func (s *swarm) leave() error {
	defer s.cut()
	for _, p := range s.fleet {
		message, opcode := []byte{byte(ws.StatusNormalClosure >> 8), byte(ws.StatusNormalClosure & 0xff)}, ws.OpClose
		if p.resilient {
			if err := p.ack(); err != nil {
				return err
			}
			message, opcode = wire.AppendClose(nil, ws.StatusNormalClosure, ""), ws.OpBinary
		}
		if err := p.write(opcode, message); err != nil {
			return err
		}
	}
	gone := make(map[int32]bool)
	for end := time.Now().Add(leaveLimit); len(gone) < len(s.fleet) && time.Now().Before(end); {
		ready, err := s.poll.wait(time.Until(end))
		if err != nil {
			return err
		}
		for _, e := range ready {
			if p := s.fleet[e.Fd]; !gone[e.Fd] && s.read(p) != nil {
				gone[e.Fd] = true // it answered, or hung up
				_ = unix.EpollCtl(s.poll.fd, unix.EPOLL_CTL_DEL, p.conn.(*socket).fd, nil)
			}
		}
	}
	if left := len(s.fleet) - len(gone); left > 0 {
		return fmt.Errorf("bench: %d sessions did not end within %v", left, leaveLimit)
	}
	return nil
}

// cut closes the connections.
func (s *swarm) cut() {
	s.fleet.cut()
	s.poll.close()
}

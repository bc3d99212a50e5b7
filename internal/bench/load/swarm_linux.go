package load

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

	// TimerKey is no index of the fleet.
	TimerKey = -1
)

// A Swarm is a fleet that one thread drives. It reads what is ready, hands out
// the data messages, and acknowledges as a client library does, which includes
// what is overdue on connections that went quiet.
type Swarm struct {
	Fleet Fleet
	Poll  *poller
	owed  []*Peer // have messages to acknowledge, the longest owed first
	Take  func(p *Peer, payload []byte) error
	Tick  func() error // when a timer that is watched too is due
}

// GatherSwarm opens n connections with a round trip behind each.
func GatherSwarm(addr string, n int, offer wire.Offer) (*Swarm, error) {
	f, err := DialFleet(addr, n, offer)
	if err != nil {
		return nil, err
	}
	return NewSwarm(f)
}

func NewSwarm(f Fleet) (*Swarm, error) {
	s := &Swarm{Fleet: f}
	var err error
	if s.Poll, err = newPoller(); err != nil {
		f.Cut()
		return nil, err
	}
	for i, p := range f {
		sock, err := detach(p.conn)
		if err == nil {
			p.conn = sock
			err = s.Poll.Add(sock.fd, i)
		}
		if err != nil {
			s.Cut()
			return nil, err
		}
		if p.Received != p.Acked {
			s.owed = append(s.owed, p)
		}
	}
	return s, nil
}

// step waits at most for the limit and serves what came. It returns whether
// anything did.
func (s *Swarm) step(limit time.Duration) (bool, error) {
	if len(s.owed) > 0 {
		limit = min(limit, owedTick)
	}
	ready, err := s.Poll.wait(limit)
	if err != nil {
		return false, err
	}
	for _, e := range ready {
		if e.Fd == TimerKey {
			err = s.Tick()
		} else {
			err = s.read(s.Fleet[e.Fd])
		}
		if err != nil {
			return true, err
		}
	}
	return len(ready) > 0, s.settle(time.Now())
}

// read takes what one read brings.
func (s *Swarm) read(p *Peer) error {
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

func (s *Swarm) message(p *Peer, m *frame.Message) error {
	data, err := p.sort(m)
	if err != nil || !data {
		return err
	}
	if p.resilient && p.Received == p.Acked+1 {
		s.owed = append(s.owed, p)
	}
	if s.Take == nil {
		return errors.New("load: data on an idle connection")
	}
	if err := s.Take(p, m.Payload()); err != nil {
		return err
	}
	return p.ackIfDue(p.first) // by count; the time is for settle
}

// settle acknowledges what is overdue.
func (s *Swarm) settle(now time.Time) error {
	for len(s.owed) > 0 {
		p := s.owed[0]
		if p.Received != p.Acked && now.Sub(p.first) < AckDelay {
			return nil
		}
		s.owed = s.owed[1:]
		if err := p.ackIfDue(now); err != nil {
			return err
		}
	}
	return nil
}

// Until steps until done, and fails when nothing comes any more.
func (s *Swarm) Until(done func() bool) error {
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
		if time.Since(last) > swarmPatience || time.Since(began) > TurnLimit {
			return fmt.Errorf("load: no end after %v, and nothing came for %v", time.Since(began), time.Since(last))
		}
	}
	return nil
}

// Rest answers heartbeats for a time.
func (s *Swarm) Rest(d time.Duration) error {
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

// Trips makes a number of round trips, one in flight on each connection.
func (s *Swarm) Trips(total int, payload []byte) error {
	started, open := 0, 0
	begin := func(p *Peer) error {
		if started >= total {
			return nil
		}
		started++
		open++
		return p.Say(ws.OpBinary, payload)
	}
	s.Take = func(p *Peer, got []byte) error {
		if open--; len(got) != len(payload) {
			return fmt.Errorf("load: echo of %d bytes, sent %d", len(got), len(payload))
		}
		return begin(p)
	}
	defer func() { s.Take = nil }()
	for _, p := range s.Fleet {
		if err := begin(p); err != nil {
			return err
		}
	}
	return s.Until(func() bool { return open == 0 })
}

// Order sends the app an order, and waits until n messages came of it.
func (s *Swarm) Order(n int, to Fleet, text string) error {
	left := n
	s.Take = func(*Peer, []byte) error { left--; return nil }
	defer func() { s.Take = nil }()
	for _, p := range to {
		if err := p.Say(ws.OpText, []byte(text)); err != nil {
			return err
		}
	}
	return s.Until(func() bool { return left <= 0 })
}

// Leave ends all sessions, so that nothing of them is in the next turn.
func (s *Swarm) Leave() error {
	defer s.Cut()
	for _, p := range s.Fleet {
		message, opcode := []byte{byte(ws.StatusNormalClosure >> 8), byte(ws.StatusNormalClosure & 0xff)}, ws.OpClose
		if p.resilient {
			if err := p.Ack(); err != nil {
				return err
			}
			message, opcode = wire.AppendClose(nil, ws.StatusNormalClosure, ""), ws.OpBinary
		}
		if err := p.Write(opcode, message); err != nil {
			return err
		}
	}
	gone := make(map[int32]bool)
	for end := time.Now().Add(leaveLimit); len(gone) < len(s.Fleet) && time.Now().Before(end); {
		ready, err := s.Poll.wait(time.Until(end))
		if err != nil {
			return err
		}
		for _, e := range ready {
			if p := s.Fleet[e.Fd]; !gone[e.Fd] && s.read(p) != nil {
				gone[e.Fd] = true // it answered, or hung up
				_ = unix.EpollCtl(s.Poll.fd, unix.EPOLL_CTL_DEL, p.conn.(*socket).fd, nil)
			}
		}
	}
	if left := len(s.Fleet) - len(gone); left > 0 {
		return fmt.Errorf("load: %d sessions did not end within %v", left, leaveLimit)
	}
	return nil
}

// Cut closes the connections.
func (s *Swarm) Cut() {
	s.Fleet.Cut()
	s.Poll.close()
}

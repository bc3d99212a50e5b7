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
	// loopPatience is how long nothing at all may come while an answer is due.
	loopPatience = 20 * time.Second

	// loopRead is the most that one read takes.
	loopRead = 64 << 10

	// leaveLimit is how long the answers to CLOSE are waited for.
	leaveLimit = 20 * time.Second

	// owedTick is how often overdue acknowledgements are looked for.
	owedTick = 5 * time.Millisecond

	// TimerKey is no index of a client.
	TimerKey = -1
)

// A Loop is clients that one thread drives. It reads what is ready, hands out
// the data messages, and acknowledges as a client library does, which includes
// what is overdue on connections that went quiet.
type Loop struct {
	Clients Clients
	Poll    *poller
	owed    []*Client // have messages to acknowledge, the longest owed first
	Take    func(p *Client, payload []byte) error
	Tick    func() error // when a timer that is watched too is due
}

// DialLoop opens n connections with a round trip behind each.
func DialLoop(addr string, n int, offer wire.Offer) (*Loop, error) {
	f, err := DialAll(addr, n, offer)
	if err != nil {
		return nil, err
	}
	return NewLoop(f)
}

func NewLoop(f Clients) (*Loop, error) {
	s := &Loop{Clients: f}
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
func (s *Loop) step(limit time.Duration) (bool, error) {
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
			err = s.read(s.Clients[e.Fd])
		}
		if err != nil {
			return true, err
		}
	}
	return len(ready) > 0, s.settle(time.Now())
}

// read takes what one read brings.
func (s *Loop) read(p *Client) error {
	n, err := p.conn.Read(p.in[p.end:])
	if err == errAgain {
		return nil
	}
	if err != nil {
		return err
	}
	if p.end += n; p.end == len(p.in) && p.end < loopRead {
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

func (s *Loop) message(p *Client, m *frame.Message) error {
	data, err := p.handle(m)
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
func (s *Loop) settle(now time.Time) error {
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
func (s *Loop) Until(done func() bool) error {
	began := time.Now()
	last := began
	for !done() {
		came, err := s.step(loopPatience)
		if err != nil {
			return err
		}
		if came {
			last = time.Now()
		}
		if time.Since(last) > loopPatience || time.Since(began) > TurnLimit {
			return fmt.Errorf("load: no end after %v, and nothing came for %v", time.Since(began), time.Since(last))
		}
	}
	return nil
}

// Rest answers heartbeats for a time.
func (s *Loop) Rest(d time.Duration) error {
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
func (s *Loop) Trips(total int, payload []byte) error {
	started, open := 0, 0
	begin := func(p *Client) error {
		if started >= total {
			return nil
		}
		started++
		open++
		return p.Say(ws.OpBinary, payload)
	}
	s.Take = func(p *Client, got []byte) error {
		if open--; len(got) != len(payload) {
			return fmt.Errorf("load: echo of %d bytes, sent %d", len(got), len(payload))
		}
		return begin(p)
	}
	defer func() { s.Take = nil }()
	for _, p := range s.Clients {
		if err := begin(p); err != nil {
			return err
		}
	}
	return s.Until(func() bool { return open == 0 })
}

// Order sends the app an order, and waits until n messages came of it.
func (s *Loop) Order(n int, to Clients, text string) error {
	left := n
	s.Take = func(*Client, []byte) error { left--; return nil }
	defer func() { s.Take = nil }()
	for _, p := range to {
		if err := p.Say(ws.OpText, []byte(text)); err != nil {
			return err
		}
	}
	return s.Until(func() bool { return left <= 0 })
}

// Leave ends all sessions, so that nothing of them is in the next turn.
func (s *Loop) Leave() error {
	defer s.Cut()
	for _, p := range s.Clients {
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
	for end := time.Now().Add(leaveLimit); len(gone) < len(s.Clients) && time.Now().Before(end); {
		ready, err := s.Poll.wait(time.Until(end))
		if err != nil {
			return err
		}
		for _, e := range ready {
			if p := s.Clients[e.Fd]; !gone[e.Fd] && s.read(p) != nil {
				gone[e.Fd] = true // it answered, or hung up
				_ = unix.EpollCtl(s.Poll.fd, unix.EPOLL_CTL_DEL, p.conn.(*socket).fd, nil)
			}
		}
	}
	if left := len(s.Clients) - len(gone); left > 0 {
		return fmt.Errorf("load: %d sessions did not end within %v", left, leaveLimit)
	}
	return nil
}

// Cut closes the connections.
func (s *Loop) Cut() {
	s.Clients.Cut()
	s.Poll.close()
}

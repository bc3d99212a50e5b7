package load

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/wire"
)

// use begins to read from a connection; early is what came with the answer.
func (p *Client) use(conn net.Conn, early []byte) {
	p.conn = conn
	p.messages = frame.Messages{Max: MaxMessage, Buffers: new(frame.Buffers)}
	p.in = make([]byte, max(readBytes, len(early)))
	p.start, p.end = 0, copy(p.in, early)
}

// greet waits for WELCOME. RESET is an error with its reason.
func (p *Client) greet() error {
	m, err := p.message()
	if err != nil {
		return err
	}
	if reason, _, err := wire.ParseReset(m.Payload()); err == nil {
		return fmt.Errorf("load: RESET %d", reason)
	}
	p.Welcome, err = wire.ParseWelcome(m.Payload())
	return err
}

// Resume gives up the connection and resumes the session at addr: it wants
// the status and everything after the last message that it received. The time
// from the request to WELCOME is p.Greeted.
func (p *Client) Resume(addr string, want wire.Status) error {
	p.conn.Close()
	conn, err := net.DialTimeout("tcp", addr, dialLimit)
	if err != nil {
		return err
	}
	if err := p.resumeOn(conn, want); err != nil {
		conn.Close()
		return fmt.Errorf("load: resume at %s: %w", addr, err)
	}
	return nil
}

func (p *Client) resumeOn(conn net.Conn, want wire.Status) error {
	if !p.resilient {
		return errors.New("a plain client has no session")
	}
	session := p.Welcome.Session
	began := time.Now()
	early, err := ask(conn, &wire.Offer{
		Resilient: true, Adopt: p.adopt,
		// All that was sent is done: the echo of it came, or will.
		Resume: &wire.Resume{Token: p.Welcome.Token, Received: p.Received, Next: p.Sent + 1},
	})
	if err != nil {
		return err
	}
	p.use(conn, early)
	if err := p.greet(); err != nil {
		return err
	}
	p.Greeted = time.Since(began)
	p.Acked = p.Received // the request said so
	if w := p.Welcome; w.Status != want || w.Session != session || w.NextOutbound != p.Received+1 {
		return fmt.Errorf("WELCOME %v of session %v, next outbound %d; want %v, %v, %d",
			w.Status, w.Session, w.NextOutbound, want, session, p.Received+1)
	}
	return conn.SetDeadline(time.Time{})
}

package client

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/frame"
)

// rehearsal is a driver without sockets for the machine, and a program that reads
// every message at once. It notes what they do.
type rehearsal struct {
	t     *testing.T
	now   time.Time
	began time.Time // the step
	log   []string

	m      *machine
	conns  []*dialled // those that are not over
	dials  int
	opened bool // the program has its Conn
	over   bool // and heard of its end
}

// dialled is a connection from the dial on.
type dialled struct {
	name   string
	offer  offer
	by     time.Time   // when the handshake takes too long
	conn   *connection // nil until the handshake is answered
	wrote  []byte
	frames frame.Messages
}

func newRehearsal(t *testing.T) *rehearsal {
	return &rehearsal{t: t, now: time.Unix(1_700_000_000, 0)}
}

// half is a source of numbers for which Float64 is 0.5: backoff and the
// moment of a move are then in the middle of what they may be.
type half struct{}

func (half) Uint64() uint64 { return 1 << 52 }

func (r *rehearsal) begin(cfg settings) {
	r.m = newMachine(cfg, rand.New(half{}))
	r.dial(r.m.firstOffer())
}

// play plays one command and returns what the client did.
func (r *rehearsal) play(f []string) []string {
	r.log, r.began = nil, r.now
	r.do(f)
	return r.log
}

// say notes what happens. A line that repeats itself is counted.
func (r *rehearsal) note(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	if after := r.now.Sub(r.began); after > 0 {
		line = fmt.Sprintf("+%dms %s", after.Milliseconds(), line)
	}
	if n := len(r.log); n > 0 {
		times, last := 1, r.log[n-1]
		if _, err := fmt.Sscanf(last, "%d x ", &times); err == nil {
			_, last, _ = strings.Cut(last, " x ")
		}
		if last == line {
			r.log[n-1] = fmt.Sprintf("%d x %s", times+1, line)
			return
		}
	}
	r.log = append(r.log, line)
}

// perform performs what is pending, until nothing more is pending now.
func (r *rehearsal) perform(late time.Duration) {
	for range 1000 {
		r.m.tick(r.now, late)
		late = 0
		r.report()
		r.service()
		if o, ok := r.m.wantDial(r.now); ok {
			r.dial(o)
		}
		if at := r.deadline(); at.IsZero() || at.After(r.now) {
			return
		}
	}
	r.t.Fatal("a deadline stays due")
}

func (r *rehearsal) report() {
	m := r.m
	if conn := m.current; conn != nil && conn.welcomed && !r.opened {
		r.opened = true
		if m.plain {
			r.note("open without a sidecar %q", m.subprotocol)
		} else {
			r.note("open %q", m.subprotocol)
		}
	}
	for _, e := range m.events {
		switch {
		case e.Kind == EventState && e.State != StateClosed:
			r.note("state: %v", e.State)
		case e.Kind == EventResumed:
			r.note("resumed")
		case e.Kind == EventAdopted:
			r.note("adopted: %s", e.Reason)
		case e.Kind == EventRejected:
			r.note("rejected %d: %s", e.Rejected.Code, data(e.Rejected.Type == MessageText, e.Rejected.Data))
		}
	}
	m.events = nil
	for {
		msg, ok := m.in.take(r.now)
		if !ok {
			break
		}
		r.note("program <- %s", data(msg.typ == MessageText, msg.data))
	}
	if m.err != nil && !r.over {
		r.over = true
		r.note("session ends: %s", ending(m))
	}
}

func ending(m *machine) string {
	if lost, ok := errors.AsType[*SessionLostError](m.err); ok {
		if lost.Status != 0 {
			return fmt.Sprintf("lost, %s %d, %d unacknowledged", lost.Reason, lost.Status, lost.Unacked)
		}
		return fmt.Sprintf("lost, %s, %d unacknowledged", lost.Reason, lost.Unacked)
	}
	if m.closing.failed != nil {
		return "1006"
	}
	if e, ok := errors.AsType[*CloseError](m.err); ok {
		return strings.TrimSpace(fmt.Sprintf("%d %s", e.Code, e.Reason))
	}
	return m.err.Error()
}

// tend writes what is to be written, and ends what is over.
func (r *rehearsal) service() {
	for _, c := range slices.Clone(r.conns) {
		switch {
		case c.conn == nil:
			if !r.m.underWay(&c.offer) {
				r.abandon(c)
			} else if !r.now.Before(c.by) {
				r.abandon(c)
				r.m.dialFailed(r.now)
			}
		case c.conn.closed != nil:
			r.wrote(c, c.conn.finalBytes)
			r.note("%s ends %d", c.name, c.conn.closed.Code)
			r.forget(c)
		default:
			for b := r.m.fill(r.now, c.conn, nil); len(b) > 0; b = r.m.fill(r.now, c.conn, nil) {
				r.wrote(c, b)
			}
		}
	}
}

// wrote says what a connection carried.
func (r *rehearsal) wrote(c *dialled, b []byte) {
	c.wrote = append(c.wrote, b...)
	for {
		msg, n, ok, err := c.frames.Next(c.wrote)
		if err != nil {
			r.t.Fatal(err)
		}
		if !ok {
			return
		}
		p := bytes.Clone(msg.Payload())
		frame.Mask(p, msg.Mask, 0)
		c.wrote = c.wrote[n:]
		switch {
		case msg.OpCode != ws.OpClose:
			r.note("%s <- %s", c.name, r.words(msg.OpCode == ws.OpText, p))
		case r.m.plain && r.m.closing.local:
			r.note("%s closes %d %s", c.name, int(p[0])<<8|int(p[1]), p[2:])
		}
	}
}

func (r *rehearsal) dial(o offer) {
	r.dials++
	c := &dialled{name: fmt.Sprintf("c%d", r.dials), offer: o, by: r.now.Add(DefaultHandshakeTimeout)}
	c.frames = frame.Messages{Rules: frame.Rules{Masked: true}, Max: 1 << 20, Buffers: new(frame.Buffers)}
	r.conns = append(r.conns, c)
	r.note("%s dials %s", c.name, strings.Join(o.Protocols(), " "))
}

func (r *rehearsal) abandon(c *dialled) {
	r.note("%s is given up", c.name)
	r.forget(c)
}

func (r *rehearsal) forget(c *dialled) {
	r.conns = slices.DeleteFunc(r.conns, func(d *dialled) bool { return c == d })
}

// deadline is that of the machine, or of a handshake, for which a client has
// a timer of its own.
func (r *rehearsal) deadline() time.Time {
	at := r.m.deadline()
	for _, c := range r.conns {
		if c.conn == nil && (at.IsZero() || c.by.Before(at)) {
			at = c.by
		}
	}
	return at
}

// wait lets time pass from deadline to deadline.
func (r *rehearsal) wait(d time.Duration) {
	end := r.now.Add(d)
	for {
		at := r.deadline()
		if at.IsZero() || at.After(end) {
			r.now = end
			return
		}
		r.now = at
		r.perform(0)
	}
}

// stall lets time pass while the program stands still.
func (r *rehearsal) stall(d time.Duration) {
	at := r.deadline()
	r.now = r.now.Add(d)
	r.began = r.now
	var late time.Duration
	if !at.IsZero() && at.Before(r.now) {
		late = r.now.Sub(at)
	}
	r.perform(late)
}

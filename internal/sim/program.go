package sim

import (
	"errors"
	"math/rand/v2"
	"slices"
	"syscall"
	"time"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/internal/sim/seam"
)

// handshakeWait is how long a client waits for the answer to a handshake, and
// connectWait for a host that is silent.
const (
	handshakeWait = 10 * time.Second
	connectWait   = 2 * time.Second
)

var newMachine = func() func(seam.Settings, *rand.Rand) (seam.Client, error) {
	var s seam.Seam
	client.Simulate(&s)
	return s.New
}()

// A program is a client: its machine, and what it reads and writes.
type program struct {
	f      *fleet
	n      int
	habit  Habit
	random *rand.Rand
	m      seam.Client
	talk   *talk
	links  []*link

	armed    time.Time
	late     time.Duration
	frozen   bool
	thaws    []func() // what happens when it goes on
	offline  time.Time
	unheard  time.Time
	slow     bool // it reads little
	pumping  bool
	again    bool
	began    bool // WELCOME came
	closing  bool
	finished bool
	unread   int
}

// A link is a client's connection, from its dial on.
type link struct {
	c       *program
	offer   seam.Offer
	end     *end
	conn    seam.Conn // nil until the handshake is answered
	pending []byte    // what the socket has not taken
	over    bool
}

// run has the program do something, when it runs.
func (c *program) run(what func()) {
	if c.frozen {
		c.thaws = append(c.thaws, what)
	} else {
		what()
	}
}

// freeze stops the program for d, as a browser does with a page.
func (c *program) freeze(d time.Duration) {
	if c.frozen {
		return
	}
	c.frozen = true
	c.f.after(d, func() {
		c.frozen = false
		list := c.thaws
		c.thaws = nil
		for _, what := range list {
			c.run(what)
		}
	})
}

// starts makes the session's first dial.
func (c *program) starts() {
	m, err := newMachine(seam.Settings{Adopt: true, OutboxMessages: 200, OutboxBytes: 64 << 10, QueueBytes: 16 << 10, MaxMessage: 4 << 10}, c.random)
	if err != nil {
		c.f.fail(err)
		return
	}
	c.m, c.began, c.armed = m, false, time.Time{}
	c.talk = newTalk(c)
	c.dial(m.FirstOffer())
	c.pump()
}

// pump does what the machine wants done, as client.Conn does.
func (c *program) pump() {
	if c.pumping {
		c.again = true
		return
	}
	c.pumping = true
	defer func() { c.pumping = false }()
	for n := 0; ; n++ {
		if n > 1000 {
			c.f.broke(c, "progress", "a client never rests")
			return
		}
		c.again = false
		c.m.Tick(c.f.now, c.late)
		c.late = 0
		for _, e := range c.m.Events() {
			c.f.note("client %d: %s %s", c.n, e.Kind, e.Reason)
			c.talk.event(e)
		}
		if c.reads() {
			c.again = true
		}
		if c.serve() {
			c.again = true
		}
		if o, ok := c.m.WantDial(c.f.now); ok {
			c.dial(o)
		}
		c.talk.look()
		if at := c.m.Deadline(); !c.again {
			if !at.IsZero() && !at.After(c.f.now) {
				continue
			}
			c.arm(at)
			break
		}
	}
	if v := c.m.View(); v.Over && !c.finished {
		c.ends(v)
	}
}

func (c *program) arm(at time.Time) {
	if at.Equal(c.armed) {
		return
	}
	if c.armed = at; at.IsZero() {
		return
	}
	c.f.at(at, func() {
		if !c.armed.Equal(at) {
			return
		}
		c.run(func() {
			if c.armed.Equal(at) {
				c.armed = time.Time{}
				c.late = c.f.now.Sub(at)
				c.pump()
			}
		})
	})
}

// reads is what the program reads, and reports whether it did.
func (c *program) reads() (any bool) {
	for !c.slow || c.unread > 0 {
		text, p, ok := c.m.Read(c.f.now)
		if !ok {
			break
		}
		c.unread--
		any = true
		c.talk.received(text, p)
	}
	if any {
		for _, l := range c.links {
			if l.conn != nil {
				l.end.again()
			}
		}
	}
	return any
}

// serve writes what is to be written, and ends what is over.
func (c *program) serve() (any bool) {
	for _, l := range slices.Clone(c.links) {
		if l.over {
			continue
		}
		if l.conn == nil {
			if !c.m.UnderWay(l.offer) {
				l.drop()
			}
			continue
		}
		if _, final, over := l.conn.Closed(); over {
			l.end.write([][]byte{l.pending})
			l.end.write([][]byte{final})
			l.drop()
			any = true
			continue
		}
		any = l.flush() || any
	}
	c.links = slices.DeleteFunc(c.links, func(l *link) bool { return l.over })
	return any
}

// flush writes until the socket takes no more.
func (l *link) flush() (any bool) {
	for {
		if len(l.pending) == 0 {
			if l.pending = l.conn.Fill(l.c.f.now); len(l.pending) == 0 {
				return any
			}
			any = true
		}
		n := l.end.write([][]byte{l.pending})
		if l.pending = l.pending[n:]; len(l.pending) > 0 {
			return any
		}
	}
}

// drop ends a connection.
func (l *link) drop() {
	l.over = true
	l.end.close()
}

// dial makes an attempt.
func (c *program) dial(o seam.Offer) {
	l := &link{c: c, offer: o}
	c.links = append(c.links, l)
	ours, theirs := c.f.newSocket(time.Duration(1+c.random.IntN(20)) * time.Millisecond)
	l.end = ours
	ours.sink, ours.host = l, c.run
	if c.unheard.After(c.f.now) && o.Wire().Resume != nil {
		c.f.reach("client: the answer to a handshake is lost")
	}
	c.f.after(handshakeWait, func() { c.run(func() { l.fails(0) }) })
	p := c.f.balance(c)
	if p != nil {
		if r := o.Wire().Resume; r != nil {
			c.f.note("client %d dials %s: received %d, next %d, attempt %d", c.n, p.name, r.Received, r.Next, r.Attempt)
		} else {
			c.f.note("client %d dials %s", c.n, p.name)
		}
	}
	switch {
	case c.f.now.Before(c.offline), p == nil, !p.alive && p.silent:
		c.f.after(connectWait, func() { c.run(func() { l.fails(0) }) })
		return
	case !p.alive:
		c.f.after(ours.latency, func() { c.run(func() { l.fails(0) }) })
		return
	}
	theirs.host = p.run
	c.f.step("the client dials", c, p)
	ours.deaf = c.f.now.Before(c.unheard)
	h := &handshake{of: c, talk: c.talk, offer: o.Wire(), link: l, end: theirs}
	ours.send(func(*end) { p.handshake(h) })
}

// fails notes that the attempt came to nothing.
func (l *link) fails(retry time.Duration) {
	c := l.c
	if l.conn != nil || l.over {
		return
	}
	underWay := c.m.UnderWay(l.offer)
	l.drop()
	if !underWay {
		return
	}
	if l.offer.Wire().Resume == nil { // the call of Dial has failed
		c.links = nil
		c.f.after(200*time.Millisecond+retry/8, func() { c.run(c.starts) })
		return
	}
	c.m.DialFailed(c.f.now)
	c.m.RetryAfter(retry)
	c.pump()
}

// accepted is the answer 101.
func (l *link) accepted() {
	c := l.c
	if l.over || l.conn != nil {
		return
	}
	if !c.m.UnderWay(l.offer) {
		l.end.abort()
		l.over = true
		return
	}
	if l.conn = c.m.Attach(c.f.now, l.offer); l.conn == nil {
		l.drop()
	}
	c.pump()
}

func (l *link) refused(retry time.Duration) { l.fails(retry) }

func (l *link) bytes(p []byte) int {
	if l.conn == nil {
		return 0
	}
	n := l.conn.Received(l.c.f.now, p)
	l.c.pump()
	return n
}

func (l *link) writable() {
	if l.conn != nil && !l.over {
		l.c.pump()
	}
}

var errBroken = errors.New("connection lost")

func (l *link) gone(broken bool) {
	switch {
	case l.over:
	case l.conn == nil:
		l.fails(0)
	default:
		why := errBroken
		if broken && l.c.random.IntN(2) == 0 {
			why = syscall.ENETUNREACH
		}
		l.conn.Broken(l.c.f.now, why)
		l.c.pump()
	}
}

// ends is after the session has ended.
func (c *program) ends(v seam.View) {
	for _, l := range c.links {
		l.drop()
	}
	c.links = nil
	if !c.began {
		c.f.after(200*time.Millisecond, func() { c.run(c.starts) })
		return
	}
	c.finished = true
	c.talk.over(v)
}

// writes has the program write its next messages.
func (c *program) writes(n int) {
	for range n {
		if c.finished || c.closing || !c.began {
			return
		}
		k := c.talk.wrote + 1
		if err := c.m.Write(k%5 == 0, message('c', c.n, k)); err != nil {
			break
		}
		c.talk.wrote = k
		c.f.step("the client says a message", c, nil)
	}
	c.pump()
}

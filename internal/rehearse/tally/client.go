// Package tally counts what a rehearsal's clients send, hear and go through,
// and judges it. It has no clock: instants are times since the run began.
package tally

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Side is one of the two kinds of clients that run beside each other.
type Side int

const (
	Plain     Side = iota // ordinary WebSockets that connect again
	Resilient             // clients with a session
	Sides                 // how many there are
)

func (s Side) String() string { return [...]string{"plain", "resilient"}[s] }

// Live is what a side's clients have come to so far, for whoever watches.
type Live struct {
	Up, Due, Answered, Losses atomic.Int64
}

// A Return says by what a client was connected again.
type Return int

const (
	First     Return = iota // it had not been connected before
	Resumed                 // the session goes on
	Adopted                 // the session goes on, with another app socket
	Reconnect               // a new connection that knows nothing of the old one
)

func (r Return) String() string {
	return [...]string{"first", "resumed", "adopted", "reconnect"}[r]
}

// A Spell is a time of being connected.
type Spell struct {
	From, To time.Duration // To is 0 while it lasts
	By       Return
	Why      string // the reason of an adoption
}

// An Absence is a time without a connection, between two spells.
type Absence struct {
	From, For time.Duration
	By        Return // how it ended
}

// Cut is how a connection ended that nobody closed.
const Cut = "cut"

// An End is that of what an app knew of a client.
type End struct {
	At  time.Duration
	How string // the close code or the reason of a RESET; Cut; "": not known
}

// A Message is one that a client was to send.
type Message struct {
	Due, Took time.Duration // Took: from Due to the first answer, if Got
	Got       uint16        // answers
	Sent      bool
	Judged    bool // an answer is expected
}

// A Client is one client's account. It is safe for concurrent use.
type Client struct {
	Number int // unique among all sides
	Side   Side

	Unordered bool // its app may answer out of order; set before anything is noted
	live      *Live

	mu        sync.Mutex
	first     int // the number of the first message here
	messages  []Message
	highest   int // the highest number that was answered
	reordered int
	foreign   int // answers to nothing that was asked
	errors    int // answers that are the app's errors
	dials     int
	dialled   int
	ends      []End // of sessions
	spells    []Spell
	absences  []Absence
	heard     []time.Duration // when messages came
	pushes    map[string]*stream
	ended     Count // of streams that are over
}

// NewClient opens an account.
func NewClient(number int, side Side, live *Live) *Client {
	return &Client{Number: number, Side: side, live: live, highest: -1}
}

// Due notes that a message is due at an instant, and returns its number.
func (c *Client) Due(at time.Duration, judged bool) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.messages = append(c.messages, Message{Due: at, Judged: judged})
	c.live.Due.Add(1)
	return c.first + len(c.messages) - 1
}

// Sent notes that the client's library took a message.
func (c *Client) Sent(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n >= c.first {
		c.messages[n-c.first].Sent = true
	}
}

// Answered notes an answer to message n.
func (c *Client) Answered(now time.Duration, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n < c.first || n >= c.first+len(c.messages) {
		c.foreign++
		return
	}
	m := &c.messages[n-c.first]
	if m.Got++; m.Got > 1 {
		return
	}
	m.Took = now - m.Due
	c.live.Answered.Add(1)
	if n < c.highest && !c.Unordered {
		c.reordered++
	}
	c.highest = max(c.highest, n)
}

// Failed notes that the app answered with an error.
func (c *Client) Failed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.errors++
}

// Pushed notes number n of one of the app's own numbered streams. The first that
// is heard begins it.
func (c *Client) Pushed(name string, n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.pushes[name]
	if s == nil {
		if c.pushes == nil {
			c.pushes = map[string]*stream{}
		}
		s = new(stream)
		c.pushes[name] = s
	}
	s.hear(n)
}

// Renumbered notes that the app's streams begin anew, as where it numbers for each
// socket.
func (c *Client) Renumbered() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.pushes {
		c.ended.Add(s.count())
	}
	c.pushes = nil
}

// Dialled notes an attempt to connect.
func (c *Client) Dialled() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dials++
}

// Up notes that the client is connected. away is how long it was not, or 0 if
// that is to be taken from what was noted.
func (c *Client) Up(now time.Duration, by Return, away time.Duration) { c.up(now, by, "", away) }

// Adopted is Up for a session that goes on with another app socket.
func (c *Client) Adopted(now time.Duration, why string, away time.Duration) {
	c.up(now, Adopted, why, away)
}

func (c *Client) up(now time.Duration, by Return, why string, away time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dialled++
	last := len(c.spells) - 1
	if last < 0 {
		by = First
	} else {
		c.downLocked(now - away)
		from := c.spells[last].To
		if by == Reconnect || away > 0 {
			c.absences = append(c.absences, Absence{From: from, For: now - from, By: by})
		}
	}
	c.spells = append(c.spells, Spell{From: now, By: by, Why: why})
	c.live.Up.Add(1)
}

// Back is Up for a client whose loss was noted, whatever it came back by.
func (c *Client) Back(now time.Duration, by Return) {
	c.mu.Lock()
	away := time.Duration(0)
	if last := len(c.spells) - 1; last >= 0 && c.spells[last].To != 0 {
		away = now - c.spells[last].To
	}
	c.mu.Unlock()
	c.Up(now, by, away)
}

// Down notes that the connection is lost.
func (c *Client) Down(now time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.downLocked(now)
}

// downLocked ends the spell. The caller holds mu.
func (c *Client) downLocked(now time.Duration) {
	if last := len(c.spells) - 1; last >= 0 && c.spells[last].To == 0 {
		c.spells[last].To = max(now, c.spells[last].From)
		c.live.Up.Add(-1)
	}
}

// Lost notes that what the app knew of the client ended with the connection: the
// session of a resilient client, the connection of a plain one.
func (c *Client) Lost(now time.Duration, how string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.downLocked(now)
	c.ends = append(c.ends, End{now, how})
	c.live.Losses.Add(1)
}

// Waiting reports whether an answer is missing, or the connection is.
func (c *Client) Waiting() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.spells); n == 0 || c.spells[n-1].To != 0 {
		return true
	}
	for i := len(c.messages) - 1; i >= 0; i-- {
		if m := &c.messages[i]; m.Judged && m.Got == 0 {
			return true
		}
	}
	return false
}

// Ends returns those of what the app knew of the client.
func (c *Client) Ends() []End {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.ends)
}

// Restart forgets everything but whether the client is connected, so that what comes
// is judged by itself. Answers to what was asked before are foreign from now on.
func (c *Client) Restart(now time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.first += len(c.messages)
	c.messages, c.highest = nil, c.first-1
	c.reordered, c.foreign, c.errors, c.dials, c.dialled = 0, 0, 0, 0, 0
	c.ends, c.absences, c.heard, c.pushes, c.ended = nil, nil, nil, nil, Count{}
	if last := len(c.spells) - 1; last >= 0 {
		s := c.spells[last]
		s.From, s.By, s.Why = now, First, ""
		if s.To != 0 {
			s.To = now
		}
		c.spells = []Spell{s}
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/internal/lab"
	"github.com/wsresilience/wsresilience/internal/lab/ledger"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
	"github.com/wsresilience/wsresilience/internal/rehearse/load"
	"github.com/wsresilience/wsresilience/internal/rehearse/tally"
)

// A session is one client and what becomes of it.
type session struct {
	all   *sessions
	key   uint32
	kind  kind
	every time.Duration // between messages of each side, or the client's if the app answers
	fast  bool
	*load.Session

	mu      sync.Mutex
	book    ledger.Book
	account *tally.Client // its message n is the book's n+1
	ended   error         // before its time
}

// open dials and follows what happens.
func (c *session) open(ctx context.Context, b *lab.Balancer) (err error) {
	var d net.Dialer
	url := lab.StreamURL(b.Addr(int(c.key)), c.key, c.every)
	if c.kind.answers {
		url = lab.AnswerURL(b.Addr(int(c.key)), c.key, c.kind.after)
	}
	c.Session, err = load.Open(ctx, url, &client.Options{Adopt: true, NetDial: d.DialContext},
		load.On{Message: c.heard, Event: c.event, Over: c.over})
	if err == nil {
		c.account.Up(c.all.at(time.Now()), tally.First, 0)
	}
	return err
}

func (c *session) heard(now time.Time, b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.account.Heard(c.all.at(now))
	if t, asked, ok := ledger.ParseAnswer(b); ok {
		c.book.Heard(t)
		if c.kind.answers {
			c.account.Answered(c.all.at(now), int(asked)-1)
		}
	} else {
		c.book.Foreign++
	}
	c.all.came.Store(now.UnixNano())
}

func (c *session) over(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !errors.Is(err, net.ErrClosed) {
		c.ended = err
		c.all.over(c.key, err)
	}
}

func (c *session) event(now time.Time, e client.Event) {
	switch at := c.all.at(now); e.Kind {
	case client.EventState:
		if e.State == client.StateReconnecting {
			c.account.Down(at)
		}
	case client.EventResumed:
		c.account.Up(at, tally.Resumed, e.Away)
	case client.EventAdopted:
		c.account.Adopted(at, e.Reason, e.Away)
	}
}

// say sends the next message. Only one goroutine at a time may.
func (c *session) say(ctx context.Context, write func(context.Context, client.MessageType, []byte) error) error {
	c.mu.Lock()
	n := c.book.Next()
	number := c.account.Due(c.all.at(time.Now()), c.kind.answers)
	c.mu.Unlock()
	if err := write(ctx, client.MessageText, ledger.Tag{Stream: c.key, N: n}.Append(nil)); err != nil {
		return err
	}
	c.mu.Lock()
	c.book.Accept(n)
	c.account.Sent(number)
	c.mu.Unlock()
	return nil
}

// A kind is what an app does for a session: it streams, or answers.
type kind struct {
	answers bool
	after   time.Duration
}

var stream = kind{}

func answer(after time.Duration) kind { return kind{true, after} }

func (k kind) String() string {
	if !k.answers {
		return "stream"
	}
	return fmt.Sprintf("answer in %v", k.after)
}

// maxSoon is the longest time to an answer of an app whose gaps are judged.
const maxSoon = 50 * time.Millisecond

// measured reports whether gaps are measured on this kind, of so many that a
// scenario has: where there is a choice, on those that answer soon, since an
// app that streams cannot be seen to owe nothing.
func (k kind) measured(kinds int) bool { return kinds == 1 || k.answers && k.after <= maxSoon }

// A size is how many sessions a scenario has, and how much they say.
type size struct {
	kinds    []kind // in turn
	sessions int
	rate     float64
	fast     int
	fastRate float64
}

// sessions are all of a testbed.
type sessions struct {
	list  []*session
	began time.Time
	live  tally.Live
	say   func(string, ...any)
	ended atomic.Int32 // sessions, before their time
	came  atomic.Int64 // when the last message came to any of them, Unix ns

	mu     sync.Mutex
	faults []time.Duration // when each began
}

// at is an instant in the accounts.
func (ss *sessions) at(now time.Time) time.Duration { return now.Sub(ss.began) }

// atOnce is how many sessions are opened or closed at once.
const atOnce = 32

func (ss *sessions) each(f func(*session)) {
	lab.Each(len(ss.list), atOnce, func(i int) { f(ss.list[i]) })
}

func interval(rate float64) time.Duration { return time.Duration(float64(time.Second) / rate) }

// openAttempts is how often a first connection is tried: no promise
// covers it, and what is looked at comes later.
const openAttempts = 5

// open opens all sessions, and then lets them talk.
func (s *testbed) open(ctx context.Context, sz size) (*sessions, error) {
	ss, fast := &sessions{say: s.say, began: time.Now()}, sz.fast
	for i := range sz.sessions {
		c := &session{
			all: ss, key: uint32(i), kind: sz.kinds[i%len(sz.kinds)], every: interval(sz.rate),
			account: tally.NewClient(i, tally.Resilient, &ss.live),
		}
		if fast > 0 && c.kind.measured(len(sz.kinds)) {
			fast--
			c.fast, c.every = true, interval(sz.fastRate)
		}
		ss.list = append(ss.list, c)
	}
	errs := make([]error, len(ss.list))
	ss.each(func(c *session) {
		for range openAttempts {
			if errs[c.key] = c.open(ctx, s.balancer); errs[c.key] == nil || proc.Sleep(ctx, time.Second) != nil {
				return
			}
		}
	})
	for i, err := range errs {
		if err != nil {
			return ss, fmt.Errorf("chaos: session %d: %w", i, err)
		}
	}
	for _, c := range ss.list {
		every := interval(sz.rate)
		if c.kind.answers {
			every = c.every
		}
		c.SendEvery(every, func() error { return c.say(context.Background(), c.Write) })
	}
	return ss, nil
}

// maxTold is how many sessions that end are told of when they do.
const maxTold = 5

func (ss *sessions) over(key uint32, err error) {
	if ss.ended.Add(1) <= maxTold {
		ss.say("session %d is over: %v", key, err)
	}
}

// fault begins the account of a new fault.
func (ss *sessions) fault() {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.faults = append(ss.faults, ss.at(time.Now()))
}

// felt is what a session felt of the faults.
func (c *session) felt() []tally.Felt {
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	return c.account.Felt(c.all.faults)
}

// connected counts the sessions that have a connection, and those that are
// over.
func (ss *sessions) connected() (up, over int) {
	for _, c := range ss.list {
		switch c.State() {
		case client.StateConnected:
			up++
		case client.StateClosed:
			over++
		}
	}
	return up, over
}

// settleLimit bounds the wait for the last session to resume. The client
// backs off for at most half a minute.
const settleLimit = 90 * time.Second

// settled waits until every living session has a connection.
func (s *testbed) settled(ctx context.Context) error {
	err := s.until(ctx, settleLimit, "all sessions have resumed", func() bool {
		up, over := s.sessions.connected()
		return up+over == len(s.sessions.list)
	})
	if err != nil {
		up, over := s.sessions.connected()
		return fmt.Errorf("%w: %d are connected and %d over, of %d", err, up, over, len(s.sessions.list))
	}
	return nil
}

// lastLimit bounds how long the last message of a session may take.
const lastLimit = 30 * time.Second

// stop ends the writing with a message that the app must have got.
func (ss *sessions) stop(ctx context.Context) {
	for _, c := range ss.list {
		c.StopSending()
	}
	ss.each(func(c *session) {
		ctx, cancel := context.WithTimeout(ctx, lastLimit)
		defer cancel()
		if err := c.say(ctx, c.WriteAcked); err != nil && c.State() != client.StateClosed {
			fmt.Fprintf(os.Stderr, "chaos: session %d: the last message: %v\n", c.key, err)
		}
	})
}

// silent reports whether nothing came to any session for a while.
func (ss *sessions) silent() bool {
	return time.Since(time.Unix(0, ss.came.Load())) > quiet
}

// close ends all sessions in good order.
func (ss *sessions) close() {
	ss.each(func(c *session) { _ = c.Close(1000, "") })
}

// abandon ends what is left and waits until nothing runs.
func (ss *sessions) abandon() {
	ss.each(func(c *session) {
		if c.Session != nil {
			c.Abandon()
		}
	})
}

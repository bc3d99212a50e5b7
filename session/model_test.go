package session

import (
	"bytes"
	contexts "context"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/snapshot"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

// What a sim is like, besides what happens to it.
const (
	simRules  = 1 << iota // a rule keeps what begins with "sub"
	simNoApp              // no fresh app socket, but for what the rule covers
	simWaits              // the client sends nothing before WELCOME
	simScarce             // a record of the journal holds few frames
)

// sim is a session between a well-behaved client, a well-behaved app, sockets
// that take what they like, a network that is cut, a journal that fails and
// owners that leave, crash or are suspended. Messages have numbers of their own, by
// which whoever receives one knows whether it is the next.
type sim struct {
	t     *testing.T
	mode  byte
	guide *snapshot.Policy
	cfg   *Config
	now   time.Time

	lent   Output   // for the next step
	asked  Output   // the last, when there was nothing left to do
	s      *Session // nil: it was handed over, or its owner is dead
	over   bool     // the conversation has ended
	rec    *store.Record
	chain  chain
	before *store.Record // in flight when the last ownership check began
	leaky  bool          // an append failed: acknowledgements were not withheld
	blind  bool          // and an owner crashed, so that a part of the context may be lost

	client simClient
	app    simApp

	out       []uint32   // the app's messages that a session took, by seq less 1
	appHeard  uint32     // the last inbound message that an app's socket took
	confirmed tokenOrder // the newest token that the client has shown
	handed    time.Time
	taken     int // bytes that the owner found in the journal
}

// simClient is the client's end.
type simClient struct {
	to, unread  []byte // on the way to the sidecar; read there and not used
	got         []byte // has arrived and is no whole message yet
	in          frame.Messages
	room        int
	said, acked uint32 // numbers of messages
	shift       uint32 // from the seq of an inbound message to its number
	sent        uint32 // the last on this connection
	heard       uint32
	welcomed    bool
	shows       bool       // it has sent what proves its token
	token       tokenOrder // the newest
	firstToken  tokenOrder // the first of this connection
	attempts    uint32
	tried       tokenOrder   // the newest that it has sent proof of
	tokens      []tokenOrder // all
	closed      bool         // it heard CLOSE
}

// simApp is the app's end, of which there may be several in a row.
type simApp struct {
	open       bool // there is a socket
	from       []byte
	unread     []byte
	pending    []uint32 // whole messages in from and unread
	got        []byte
	in         frame.Messages
	room       int
	context    [][]byte // what it has to hear first
	anyContext bool
	asked      bool // the sidecar said close
	closing    bool // the app did
	left       bool // and the sidecar knows
	redial     bool
	cause      bool // why it has gone is to be found out
	said       uint32
}

func newSim(t *testing.T, guide *snapshot.Policy, mode byte) *sim {
	m := &sim{t: t, mode: mode, guide: guide, now: time.Unix(1_700_000_000, 0), confirmed: tokenOrder{epoch: 1}}
	m.cfg = m.config()
	m.s = New(m.cfg, m.now, m.start())
	m.freshApp()
	m.freshClient()
	m.s.Attach(m.now, wire.StatusNew, m.position(), false)
	m.settle()
	return m
}

func simGuide(t testing.TB) *snapshot.Policy {
	g, err := snapshot.New([]byte(`{"rules":[{"path":"*","select":{"regexp":"^sub (\\S+)"},"drop":{"regexp":"^unsub (\\S+)"}}]}`), "", time.Hour, nil)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// simRoom is what a scarce record holds of frames.
const simRoom = 300

// simConfig has small limits, so that they are met.
func simConfig() *Config {
	return &Config{
		WindowMessages: 6, WindowBytes: 300, MaxMessage: 200, TTL: time.Hour, TTLGoingAway: time.Hour,
		PersistAfter: 50 * time.Millisecond, HandOverQuiet: 100 * time.Millisecond, Journal: true, JournalLimits: store.Limits{Part: 1 << 20, Record: 1 << 23},
		Heartbeat: &heartbeat.Config{Base: 500 * time.Millisecond, Min: 500 * time.Millisecond}, Pool: seqwindow.NewPool(0), Buffers: new(frame.Buffers), AppBuffers: new(frame.Buffers),
		Random: func() uint32 { return 0x01020304 },
		Token:  func(t wire.Token) string { return fmt.Sprintf("%d-%d", t.Epoch, t.Generation) },
	}
}

func (m *sim) config() *Config {
	cfg := simConfig()
	if m.mode&simScarce != 0 {
		cfg.JournalLimits.Record = recordCost + simRoom
	}
	return cfg
}

func (m *sim) start() Start {
	st := Start{AppReplaceable: m.mode&simNoApp == 0}
	if m.mode&simRules != 0 {
		st.Tracker, st.AppReplaceableIfRestored = m.guide.Tracker("/"), true
	}
	return st
}

// body is message n of a direction; sizes vary and cross the limits of small
// frame headers.
func body(n uint32) []byte {
	return append(binary.BigEndian.AppendUint32(nil, n), bytes.Repeat([]byte{byte(n)}, int(n*37%160))...)
}

// inbound is what the client says as number n: subscriptions among others.
func inbound(n uint32) (opcode ws.OpCode, p []byte) {
	switch {
	case n%7 == 0:
		return ws.OpText, fmt.Appendf(nil, "unsub k%d %d", n/7%7, n)
	case n%3 == 0:
		return ws.OpText, fmt.Appendf(nil, "sub k%d %d %0*d", n/3%7, n, 120+n%4, 0) // the journal has some of it in patches
	}
	return ws.OpBinary, body(n)
}

// contextOf is what an app must have heard once it has the first n messages.
func contextOf(n uint32) (context [][]byte) {
	place := map[string]int{}
	for i := range n {
		_, p := inbound(i + 1)
		word, rest, _ := bytes.Cut(p, []byte(" "))
		key, _, _ := bytes.Cut(rest, []byte(" "))
		at, kept := place[string(key)]
		switch {
		case string(word) == "sub" && kept:
			context[at] = p
		case string(word) == "sub":
			place[string(key)] = len(context)
			context = append(context, p)
		case string(word) == "unsub" && kept:
			delete(place, string(key))
			context[at] = nil
		}
	}
	var held [][]byte
	for _, p := range context {
		if p != nil {
			held = append(held, p)
		}
	}
	return held
}

// position is what the client says when it connects.
func (m *sim) position() Position {
	m.client.attempts++
	at := Position{Received: seqwindow.Serial(m.client.heard), Epoch: m.client.token.epoch, Generation: m.client.token.generation, Attempt: m.client.attempts}
	if m.mode&simWaits == 0 {
		at.Next = seqwindow.Serial(m.client.acked + 1 - m.client.shift)
	}
	return at
}

// freshClient is the client's new connection: everything on the old one is
// gone.
func (m *sim) freshClient() {
	c := &m.client
	c.to, c.unread, c.got = nil, nil, nil
	c.in = frame.Messages{Max: 1 << 20, Buffers: new(frame.Buffers)}
	c.welcomed, c.shows, c.sent = false, false, c.acked
}

// freshApp is a new app socket.
func (m *sim) freshApp() {
	m.app = simApp{open: true, room: m.app.room, said: m.app.said}
	m.app.in = frame.Messages{Rules: frame.Rules{Masked: true}, Max: 1 << 20, Buffers: new(frame.Buffers)}
}

// chain is a store of one session that never fails by itself. It keeps as
// much as a ring must.
type chain struct {
	all     []store.Stored
	newest  store.Revision
	limits  store.Limits
	endless bool
	head    uint32 // of the newest record that the owner knows to be safe
}

func (c *chain) Append(_ contexts.Context, _ store.ID, after store.Revision, rec *store.Record) (store.Revision, error) {
	if after != c.newest {
		return 0, store.ErrFenced
	}
	r := *rec
	r.First = len(c.all) == 0
	c.newest++
	c.all = append(c.all, store.Stored{Revision: c.newest, Record: &r, Parts: 1})
	if len(c.all) > store.Ring && !c.endless {
		c.all = c.all[1:]
	}
	return c.newest, nil
}

func (c *chain) Load(contexts.Context, store.ID) (*store.State, error) { return store.Fold(c.all) }
func (c *chain) Limits() store.Limits                                  { return c.limits }
func (c *chain) Ready(contexts.Context) error                          { return nil }
func (c *chain) Close() error                                          { return nil }

// Package session is the machine behind every WebSocket that passes the
// sidecar: bytes and events go in, an Output comes out. It does no I/O,
// starts no goroutine and reads no clock, so that the proxy, the tests and a
// simulator drive the same code.
//
// Session is a resilient session (docs/PROTOCOL.md): it outlives its
// connections, counts, keeps and replays messages. Plain is the pass-through
// for clients that never heard of us. Both are driven alike: feed one input,
// then act on Output until it is empty. Neither is safe for concurrent use;
// one owner at a time calls it.
package session

import (
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/internal/idempotency"
	"github.com/wsresilience/wsresilience/internal/monotime"
	"github.com/wsresilience/wsresilience/internal/replytime"
	"github.com/wsresilience/wsresilience/internal/sharing"
	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/snapshot"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

// Implementation limits.
const (
	// maxWrite bounds what one write is offered: what a read of 64 KiB brings, with
	// our headers, and little enough that one session does not hold the thread.
	maxWrite = 72 << 10

	// maxParts bounds the slices of one write; Linux takes 1,024.
	maxParts = 64

	// scarceWindow is what a session may keep when memory runs short: what
	// fits the one chunk that it holds anyway.
	scarceWindow = 2 << 10

	// scarceWait is when a session that waits for memory looks again.
	scarceWait = 250 * time.Millisecond

	// maxControlQueue is how many bytes of control frames wait for a slow peer. Ours
	// are made when they can be written, so only pongs gather here; beyond it
	// a ping goes unanswered, as RFC 6455 §5.5.3 allows.
	maxControlQueue = 1024

	// CloseWait is how long the other end may take to answer a CLOSE or a
	// close frame (PROTOCOL §11).
	CloseWait = 5 * time.Second
)

// Config is what sessions of a sidecar share. It is not changed while sessions use
// it: Configure gives them another.
type Config struct {
	WindowMessages int           // per direction
	WindowBytes    int           // per direction
	MaxMessage     int           // bytes of payload
	TTL            time.Duration // of a detached session
	TTLGoingAway   time.Duration // of one whose client closed with 1001
	PersistAfter   time.Duration // age at which an unacknowledged frame is journaled
	PersistAway    time.Duration // the most that it is while the client is away (AwayBusy); zero: at once
	HandOverQuiet  time.Duration // least time between a message to the app and the hand-over
	CloseTimeout   time.Duration // of one side of a plain connection when the other has ended and nothing moves; zero: 1m
	Journal        bool          // whether there is a journal at all
	Common         bool          // of sessions that members share
	JournalLimits  store.Limits  // of its records
	Owner          string        // this sidecar's name in records
	Heartbeat      *heartbeat.Config
	PlainHeartbeat PlainHeartbeat
	Rates          Rates     // of each client
	Slowed         *Slowings // counts clients that were slowed; nil: nobody does

	Pool       *seqwindow.Pool
	Buffers    *frame.Buffers // of clients' messages
	AppBuffers *frame.Buffers // of apps' messages

	// Busy reports whether a record that can wait should, since the journal has
	// much to do or such records have become many. If not, that record counts as
	// written. nil means never.
	Busy func() bool

	// AwayBusy is Busy for what is said while no client is there: that gathers then,
	// for PersistAway. nil means always.
	AwayBusy func() bool

	// Retry returns how clients are asked to come back, for WELCOME; nil leaves
	// it to them.
	Retry func() (first, most time.Duration)

	// Crowded reports whether the records in flight to the journal hold so many
	// bytes that no other with messages may be made; nil means never.
	Crowded func() bool

	// Share returns how many bytes of records the journal has room for from one
	// session, less the fuller it is; nil means that there is no limit.
	Share func() int64

	// RecordVersion returns the version of records that all sidecars read; nil
	// means the newest that this one knows.
	RecordVersion func() uint8

	// Random returns mask keys and jitter; it need not be secret.
	Random func() uint32
	// Token adds what the sidecar knows to the token of a WELCOME and seals it.
	Token func(t wire.Token) string

	// Delivered is told of every DeliveredEvery-th message, when the client has
	// acknowledged it, or the app's socket has taken it; nil: of none. It must not wait
	// and must not call back.
	Delivered      func(id wire.SessionID, d Delivery)
	DeliveredEvery uint32

	pace *pace // of the one session that has this copy; nil: it has no Rates
}

// Scarce reports whether the memory for all windows is nearly used up. The rest
// is kept for sessions whose client reads.
func (c *Config) Scarce() bool {
	return c.Pool.Memory().Scarce()
}

// keepsNoMore reports whether a direction that holds so many bytes waits since
// memory runs short: a living session is slowed and never ended because of
// others (I6). One that holds nothing still passes a message, also when the
// budget is used up: otherwise nobody would get anywhere.
func (c *Config) keepsNoMore(held int) bool {
	return held > 0 && c.Scarce() && (held >= scarceWindow || c.Pool.Memory().UsedUp())
}

// Counters are what a driver reports to its metrics. They only grow.
type Counters struct {
	InMessages, InBytes   uint64 // from the client, fresh data
	OutMessages, OutBytes uint64 // from the app
	Duplicates            uint64 // inbound messages that had come before
	Replayed              uint64 // outbound messages sent again
	ReplayedBytes         uint64
	AcksSent, AcksHeard   uint64
	BeatsSent, BeatsHeard uint64 // heartbeats, and answers to them
	BeatsDropped          uint64 // bad CRC, stale or unknown
	WindowFull            uint64 // times the app was paused for a full window
	Records, Frames       uint64 // journal records and frames in them
}

// Session is one resilient session. Make it with New or Adopt.
type Session struct {
	cfg            *Config
	id             wire.SessionID
	started        monotime.Time // stamps in the window count from here
	epoch          uint32
	generation     uint32     // of the newest token
	confirmedToken tokenOrder // the newest that the client is known to have
	adopted        wire.AdoptReason
	attempted      bool             // an attempt came with confirmedToken
	cause          CloseCause       // why client and app are over with each other, or will be
	announcedAt    tokenOrder       // the token of the first WELCOME that tells of adopted
	attempt        uint32           // the highest with confirmedToken, or of all before one came with it
	base           seqwindow.Serial // the last outbound message before this epoch
	firstBase      seqwindow.Serial // and before the one after confirmedToken's
	subprotocol    string           // that the app chose
	extensions     string           // as the client was answered
	binding        [16]byte
	counters       Counters

	client clientLeg
	app    appLeg

	window seqwindow.Sender   // outbound: unacknowledged and not yet sent
	inbox  seqwindow.Receiver // inbound: counts, and says when to acknowledge
	queue  seqwindow.Sender   // inbound messages that the app's socket has not taken

	journal   journal
	closing   closing
	handover  handover
	restart   restart
	ownership ownershipCheck
	context   appContext
	replies   *replytime.Probe
	extra     *extra // nil: it is like most
}

// tokenOrder orders the tokens of a session: by epoch, then by generation.
type tokenOrder struct{ epoch, generation uint32 }

func (p tokenOrder) before(q tokenOrder) bool {
	return p.epoch < q.epoch || p.epoch == q.epoch && p.generation < q.generation
}

// clientLeg is the attached connection.
type clientLeg struct {
	attached          bool
	blocked           bool // it takes no more until ClientWritable
	awaitsWelcome     bool // the client sends nothing before WELCOME
	welcome           wire.Status
	welcomeDue        bool
	rewelcome         bool  // the WELCOME that is due is not the connection's first
	failures          uint8 // connections in a row that ended at message failedAt
	refused           bool  // the client cannot take what the window begins with: nothing is replayed
	deflate           bool  // the client reads compressed messages
	beatDue           bool
	replyDue          bool
	borrowed          bool   // control is an Output's memory until ClientWrote
	welcomeGeneration uint32 // of the token in the first WELCOME on this connection
	offered           uint32 // bytes in the last Output

	last      seqwindow.Serial // of the newest data message on this connection
	replayEnd seqwindow.Serial // sends up to here are replays
	failedAt  seqwindow.Serial // see noteFailure
	expires   monotime.Time    // when a detached session ends
	since     monotime.Time    // when it was attached, or detached
	in        frame.Messages
	control   []byte // frames that wait, or are half written
	drop      *wire.CloseError

	beat   heartbeat.Monitor
	newest heartbeat.Newest
	reply  [wire.HeartbeatPayload]byte // payload of the HEARTBEAT_ACK that is due

	badBeat BeatFault // of one that was dropped, until an Output has it
	skipped uint8     // messages that the client gave up, until an Output has them; the largest: or more
}

// appLeg is the app's socket.
type appLeg struct {
	open        bool
	blocked     bool
	writeClosed bool      // the app reads no more, or a frame to it will never be whole
	deflate     bool      // permessage-deflate was negotiated with the app
	offered     uint32    // bytes in the last Output
	directN     int32     // messages in direct
	directBytes uint32    // and their size
	direct      [][]byte  // ranges of the client's bytes, whole messages, to be written now
	directOne   [1][]byte // memory for the usual ones
	in          frame.Messages
	control     []byte // pongs and the close frame
}

// closing is how the session ends (PROTOCOL §7).
type closing struct {
	byApp, byClient bool
	sent            bool // our CLOSE was written on this connection
	toApp           bool // a close frame went to the app
	reported        bool
	ended           Ending // why; 0 while it lives
	code            ws.StatusCode
	reason          string
	deadline        monotime.Time
}

// Start is what is known when a session begins.
type Start struct {
	ID          wire.SessionID
	Subprotocol string   // the app's choice
	Extensions  string   // what the client was answered
	Deflate     bool     // permessage-deflate was negotiated with the app
	Binding     [16]byte // what the tokens are bound to

	Echo   bool // the client does not know wsr.v1: AttachEcho
	Shared bool // its clients are members: AttachMembers
	Member bool // it is a member: its app is a common session

	Epoch uint32 // of the ownership in which it begins; 0: 1

	Keys *idempotency.Gate // of messages that act once; nil: there are none

	State *sharing.State // that members share; nil: it is not kept
	Judge *sharing.Judge // of what members say; nil: nothing is refused

	Replies *replytime.Path // what is known of the app's answers on the session's path; nil: nothing

	AppReplaceable           bool              // it may have another app socket
	Tracker                  *snapshot.Tracker // what another one must hear first; nil: nothing is known
	AppReplaceableIfRestored bool              // it may if the tracker knows all of it
}

// New returns a session whose app socket has just been opened. Attach comes
// next.
func New(cfg *Config, now time.Time, st Start) *Session {
	s := newSession(cfg, now, st)
	s.epoch = max(st.Epoch, 1)
	s.confirmedToken = tokenOrder{epoch: s.epoch}
	s.app.open = true
	s.start(0, 0)
	s.journal.claim()
	return s
}

func newSession(cfg *Config, now time.Time, st Start) *Session {
	s := &Session{cfg: cfg.paced(), id: st.ID, started: monotime.At(now), subprotocol: st.Subprotocol, extensions: st.Extensions, binding: st.Binding, replies: st.Replies.Probe()}
	s.client.in = frame.Messages{Rules: frame.Rules{Masked: true}, Max: cfg.MaxMessage, Extra: uint8(wire.EscapeLen), Buffers: cfg.Buffers}
	s.app.in = frame.Messages{Max: cfg.MaxMessage, Buffers: cfg.AppBuffers}
	s.extra = st.newExtra()
	s.restart.allowed, s.restart.ifRestored, s.context.tracker = st.AppReplaceable, st.AppReplaceableIfRestored, st.Tracker
	s.app.deflate = st.Deflate
	if st.Deflate {
		s.app.in.Rules.Rsv = frame.RSV1
	}
	s.client.beat.Init(cfg.Heartbeat, now)
	s.client.expires = monotime.At(now.Add(cfg.TTL))
	s.journal.cadence.Limits = cfg.JournalLimits
	s.app.direct = s.app.directOne[:0]
	return s
}

// start sets the counters. The windows take one message beyond what the
// settings say, because a message is counted when it has come (I6).
func (s *Session) start(outbound, inbound seqwindow.Serial) {
	s.window.Init(s.cfg.Pool, seqwindow.Limits{Messages: s.cfg.WindowMessages + 1, Bytes: s.windowLimit()}, outbound)
	s.startInbound(inbound)
}

// startInbound is the part of start for what the client says.
func (s *Session) startInbound(inbound seqwindow.Serial) {
	s.inbox.Init(inbound)
	s.context.lastWhole = inbound
	// A client is bound by bytes alone (PROTOCOL §5.3), of which each message
	// costs it at least messageCost.
	s.queue.Init(s.cfg.Pool, seqwindow.Limits{Messages: s.cfg.WindowBytes/messageCost + 1, Bytes: s.windowLimit()}, inbound)
}

// windowLimit is what a window holds at most: that and one message (I6).
func (s *Session) windowLimit() int {
	return s.cfg.WindowBytes + s.cfg.MaxMessage + ws.MaxHeaderSize + wire.EscapeLen
}

// ID returns the session's id.
func (s *Session) ID() wire.SessionID { return s.id }

// Epoch returns the number of the ownership.
func (s *Session) Epoch() uint32 { return s.epoch }

// Generation returns the number of the newest token of this epoch.
func (s *Session) Generation() uint32 { return s.generation }

// Adopted returns why the session has an app socket that is not its first, or
// 0 if it has its first.
func (s *Session) Adopted() wire.AdoptReason { return s.adopted }

// Attached reports whether a connection is attached.
func (s *Session) Attached() bool { return s.client.attached }

// Echoes reports whether the client does not know wsr.v1, so that nothing can be
// said to it.
func (s *Session) Echoes() bool { return s.echo() != nil }

// Counters returns what happened so far.
func (s *Session) Counters() *Counters { return &s.counters }

// Held returns the bytes in the windows, both directions.
func (s *Session) Held() int { return s.window.Bytes() + s.queue.Bytes() }

// Link returns the state of the path to the client, by its heartbeats.
func (s *Session) Link() *heartbeat.Monitor { return &s.client.beat }

// stamp is now in the window's terms: milliseconds since the session began.
// It wraps after 49 days, which only differences see.
func (s *Session) stamp(now time.Time) uint32 {
	return uint32(monotime.At(now).Sub(s.started) / time.Millisecond)
}

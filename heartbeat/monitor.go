package heartbeat

import (
	"errors"
	"time"

	"github.com/wsresilience/wsresilience/internal/monotime"
)

// Implementation limits of a monitor.
const (
	// StallSlack is how late a Tick may come before the lateness itself means
	// that this process was stalled (suspended, starved, stopped in a
	// debugger), while answers piled up unread. It is half the shortest
	// default interval; a driver's timers must be finer than this.
	StallSlack = 500 * time.Millisecond

	// maxOutstanding is how many beats are remembered for their answers. An
	// answer that is older than four intervals says nothing about the link
	// today. It divides 2^32, so slots stay in step when the counter wraps.
	maxOutstanding = 4
)

// ErrUnknown means that an answer belongs to no beat that is waiting for one:
// it was never sent, is already answered or older than an answered one, was
// sent on an earlier connection, or came back with another timestamp. It is
// dropped and audited, and is no reason to close the link (PROTOCOL §4.5).
var ErrUnknown = errors.New("heartbeat: answer: matches no outstanding beat")

// Monitor watches one link. It lives in every session, so it is a small value
// and allocates nothing. Init makes it usable; the owner then arms one timer
// to Deadline, calls Tick when it fires, and acts on the Verdict:
//
//	VerdictSend  Next(now, …), send the payload, arm the timer again
//	VerdictDead  close the connection, Disconnected()
//
// A beat is missed when the next one becomes due without its answer and
// nothing at all was heard from the peer since it was sent. The instants that
// are handed in must carry a monotonic reading.
type Monitor struct {
	cfg *Config
	due monotime.Time // end of the handshake, or the next beat

	// Beats after answered and up to seq wait for their answers, in the slot
	// of their number modulo maxOutstanding.
	beats    [maxOutstanding]beat
	seq      uint32
	answered uint32

	rtt    RTT
	loss   Loss
	acked  uint32 // what the peer's TCP had acknowledged when it was asked last; 0: never
	misses uint8  // missed in a row, not yet counted by loss
	state  State
	open   bool // the latest beat has no outcome yet
	heard  bool // something came from the peer since the latest beat
}

// beat is what has to be known about a sent beat to recognise its answer.
type beat struct {
	sent monotime.Time
	wall uint64
}

// Init starts the watch over a link whose handshake begins at now. It keeps
// cfg, which may be nil for the defaults.
func (m *Monitor) Init(cfg *Config, now time.Time) {
	*m = Monitor{cfg: cfg, state: StateHandshaking}
	m.due = monotime.At(now.Add(cfg.settled().HandshakeTimeout))
}

// CountFrom makes the first beat the one after seq, before any was sent: who
// shares a path with another sender of beats tells answers apart by it.
func (m *Monitor) CountFrom(seq uint32) { m.seq, m.answered = seq, seq }

// Configure changes the settings of a running link. A beat that would be due
// later than they say comes then; one that is due sooner stays, and they count
// from it on.
func (m *Monitor) Configure(now time.Time, cfg *Config) {
	m.cfg = cfg
	if next := monotime.At(now.Add(m.Interval())); m.state.live() && next < m.due {
		m.due = next
	}
}

// Connected notes that the handshake is done, or that a session was resumed
// on a new connection. Beats of an earlier connection are forgotten without a
// verdict on them; the round-trip time and the loss are kept, since a client
// mostly comes back over the path it had.
func (m *Monitor) Connected(now time.Time) {
	m.forget()
	m.state = StateConnected
	m.due = monotime.At(now.Add(m.Interval()))
}

// Disconnected notes that there is no connection: nothing is due any more.
func (m *Monitor) Disconnected() {
	m.forget()
	m.state = StateDisconnected
}

// Deadline returns when Tick wants to be called next. The zero time means
// never.
func (m *Monitor) Deadline() time.Time {
	if !m.state.watched() {
		return time.Time{}
	}
	return m.due.Time()
}

// Tick returns what is due at now. Before the Deadline that is nothing. From the
// Deadline on, VerdictSend is repeated until Next is called, while a beat is
// judged only once.
func (m *Monitor) Tick(now time.Time) Verdict {
	switch {
	case !m.state.watched() || now.Before(m.due.Time()):
		return VerdictNone
	case m.stalled(now):
		return m.afterStall(now)
	case m.state == StateHandshaking:
		m.Disconnected()
		return VerdictDead
	}
	m.judge()
	if int(m.misses) >= m.allowed() {
		m.forget()
		m.state = StateDisconnecting
		return VerdictDead
	}
	return VerdictSend
}

// Next numbers the beat to be sent at now and starts its interval; wallMillis
// is the sender's wall clock in Unix milliseconds. Called without a
// VerdictSend it is a probe, for a client that has just woken up: the beat
// before it then gets no outcome. A beat that is made while there is no
// connected link is numbered but not waited for.
func (m *Monitor) Next(now time.Time, wallMillis uint64) Payload {
	m.seq++
	p := Payload{Seq: m.seq, TimeMillis: wallMillis}
	if !m.state.live() {
		m.answered = m.seq
		return p
	}
	if m.seq-m.answered > maxOutstanding {
		m.answered++
	}
	m.beats[m.seq%maxOutstanding] = beat{sent: monotime.At(now), wall: wallMillis}
	m.open, m.heard = true, false
	m.due = monotime.At(now.Add(m.Interval()))
	return p
}

// Latest is the payload of the latest beat that a connected link was sent.
func (m *Monitor) Latest() Payload {
	return Payload{Seq: m.seq, TimeMillis: m.beats[m.seq%maxOutstanding].wall}
}

// Answer takes an echo that arrived at now. It returns ErrUnknown, and
// changes nothing, for one that matches no outstanding beat.
func (m *Monitor) Answer(now time.Time, p Payload) error {
	// In RFC 1982 arithmetic: answered < p.Seq <= seq. The subtraction cannot
	// be fooled by the wrap, as at most maxOutstanding beats are waiting.
	if p.Seq-m.answered-1 >= m.seq-m.answered {
		return ErrUnknown
	}
	b := m.beats[p.Seq%maxOutstanding]
	if b.wall != p.TimeMillis {
		return ErrUnknown
	}
	m.Heard()
	m.answered = p.Seq
	if m.open && p.Seq == m.seq {
		m.open = false
		m.loss.Record(false)
	}
	if m.stalled(now) {
		return nil // The time it lay unread is ours, not the link's.
	}
	took := now.Sub(b.sent.Time())
	m.state = StateConnected
	if m.rtt.Late(took) {
		m.state = StateDegraded
	}
	m.rtt.Add(took)
	return nil
}

// Heard notes that the peer is alive: a byte came from it, or its TCP made room
// in a send buffer that was full. A beat that is queued behind slow data is
// therefore never missed. No instant is needed, so the data path reads no
// clock for it.
func (m *Monitor) Heard() {
	m.heard = true
	// The silence is over, so what was missed during it is lost. While it
	// lasts it is not counted as loss: that would stretch the interval just
	// when a dead link should be found soon.
	for ; m.misses > 0; m.misses-- {
		m.loss.Record(true)
	}
}

// Unread notes that the peer is not being read: its answers may have come, so
// that the latest beat gets no outcome, and none is missed.
func (m *Monitor) Unread() { m.misses, m.open = 0, false }

// Unanswered reports whether a Tick at now would find the latest beat missed. An
// owner whose transport can tell then says how far that is: Sent.
func (m *Monitor) Unanswered(now time.Time) bool {
	return m.state.live() && m.open && !m.heard && !now.Before(m.due.Time())
}

// Sent tells what the peer's TCP says at now: how many bytes it has acknowledged
// since the connection began, how long ago the last acknowledgement came, and
// whether it lacks some. While bytes are on their way and move, the latest beat
// is among them or behind them, and has no outcome: a link that is slow is not a
// dead one. Nor does a late answer say anything while bytes wait, so that the
// peer has all its beats to make room.
func (m *Monitor) Sent(now time.Time, acked uint64, quiet time.Duration, lacking bool) {
	moves := m.acked != uint32(acked)
	if m.acked == 0 {
		moves = quiet < now.Sub(m.beats[m.seq%maxOutstanding].sent.Time())
	}
	m.acked = uint32(acked)
	if !lacking {
		return
	}
	m.state = StateConnected
	if moves {
		m.misses, m.open = 0, false
	}
}

// Skip puts the beat that is due off by an interval, and says nothing about the
// link.
func (m *Monitor) Skip(now time.Time) {
	m.open = false
	m.due = monotime.At(now.Add(m.Interval()))
}

// State returns the condition of the link.
func (m *Monitor) State() State { return m.state }

// RTT returns the smoothed mean of the round-trip time and the standard
// deviation of its latest samples; both are 0 before the first answer.
func (m *Monitor) RTT() (mean, deviation time.Duration) {
	return m.rtt.Mean(), m.rtt.Deviation()
}

// Last returns the latest round-trip time that was measured.
func (m *Monitor) Last() time.Duration { return m.rtt.Last() }

// Suspicious reports whether the round-trip time varies so much that something on
// the path is likely to buffer or inspect what passes.
func (m *Monitor) Suspicious() bool { return m.rtt.Deviation() > SuspiciousDeviation }

// Loss returns the share of beats, 0 to 1, that were not answered in time.
func (m *Monitor) Loss() float64 { return m.loss.Ratio() }

// Interval returns the time between a beat that is sent now and the next.
func (m *Monitor) Interval() time.Duration {
	return m.cfg.Interval(m.rtt.Mean(), m.loss.Ratio())
}

// stalled reports whether what is due should have been done so long ago that
// this process must have been stalled.
func (m *Monitor) stalled(now time.Time) bool { return now.Sub(m.due.Time()) > StallSlack }

// afterStall starts afresh after a stall, when nothing can be concluded about
// the peer: what it sent may lie unread in the socket. A handshake gets its
// whole time again, a live link is asked at once.
func (m *Monitor) afterStall(now time.Time) Verdict {
	if m.state == StateHandshaking {
		m.due = monotime.At(now.Add(m.cfg.settled().HandshakeTimeout))
		return VerdictNone
	}
	m.Unread()
	return VerdictSend
}

// judge decides the outcome of the latest beat now that the next one is due.
func (m *Monitor) judge() {
	if !m.open {
		return
	}
	m.open = false
	if m.heard {
		m.loss.Record(true)
		return
	}
	m.misses++
}

// allowed returns how many missed beats in a row make the link dead.
func (m *Monitor) allowed() int {
	if m.state == StateDegraded {
		return 1
	}
	return m.cfg.settled().Misses
}

// forget drops everything that is waiting, without a verdict on it.
func (m *Monitor) forget() {
	m.answered = m.seq
	m.misses, m.acked = 0, 0
	m.open, m.heard = false, false
}

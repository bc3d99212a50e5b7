package client

import (
	"fmt"
	"time"

	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/wire"
)

// durable is what the machine knows of the Store of its session. Nothing is
// told to the sidecar that would have to be known after the end of this process
// and is not in the Store yet: a token is not confirmed, and no message is
// acknowledged.
type durable struct {
	on       bool
	waiting  bool // for a token to be saved: nothing is sent or dialled meanwhile
	unknown  bool // nothing is heard yet of a session that another process has left
	due      bool // something is to be saved
	received seqwindow.Serial
	told     seqwindow.Serial   // the last outcome that was told, which may come again
	rejected []seqwindow.Serial // positions that are to be told to the Store
}

// maxStoredOverhead is above what a frame adds to a message, its escape included.
const maxStoredOverhead = 32

// resumeStored continues a session that another process has left, with the
// messages that it did not get acknowledged.
func (m *machine) resumeStored(now time.Time, s *SavedSession, left []StoredMessage) error {
	m.durable = durable{on: true, unknown: true, received: seqwindow.Serial(s.Received), told: seqwindow.Serial(s.Received)}
	m.token, m.epoch, m.session, m.subprotocol = s.Token, s.Epoch, s.Session, s.Subprotocol
	m.ttl, m.maxMessage = s.TTL, announced(s.MaxMessage)
	m.attempts = s.Attempts + unsavedAttempts
	m.in.init(&m.cfg.ack, seqwindow.Serial(s.Received))
	limits := m.cfg.outbox
	for i := range left {
		limits.Messages = max(limits.Messages, i+1)
		limits.Bytes += len(left[i].Data) + maxStoredOverhead // the limits of this process are for what it writes itself
	}
	m.out.init(limits, seqwindow.Serial(s.Acked), announced(s.Window))
	m.out.shift = seqwindow.Serial(s.Shift)
	for i := range left {
		l := &left[i]
		if want := uint32(m.out.window.Head() + 1); l.Position != want {
			return fmt.Errorf("client: store: message %d in the place of %d", l.Position, want)
		}
		at, err := m.writeStored(l)
		if err != nil {
			return fmt.Errorf("client: store: message %d: %w", l.Position, err)
		}
		if l.MaySend {
			// The sidecar may have acknowledged it since the state was saved.
			m.out.highest = at
			m.out.window.Advance(m.out.size(at))
		}
	}
	m.lostAt, m.expires, m.dial.at = now, now.Add(m.ttl), now
	m.state = StateReconnecting
	return nil
}

// writeStored is write for a message out of a Store.
func (m *machine) writeStored(l *StoredMessage) (seqwindow.Serial, error) {
	if l.Skipped {
		return m.out.add(m.appendControl(nil, wire.AppendSkipped(nil)))
	}
	key := l.Key
	if !m.cfg.keys {
		key = "" // this program has no keys any more
	}
	at, err := m.out.add(m.encodeKeyed(l.Type, l.Data, key))
	if err == nil && key != "" {
		m.awaitOutcome(key, at).alone = true
	}
	return at, err
}

// snapshot returns what another process needs to continue the session.
func (m *machine) snapshot() *SavedSession {
	m.durable.due = false
	return &SavedSession{
		Token: m.token, Session: m.session, Epoch: m.epoch, Subprotocol: m.subprotocol,
		Received: uint32(m.handled()), Acked: uint32(m.out.acked), Shift: uint32(m.out.shift),
		Attempts: m.attempts, Window: uint32(m.out.limit), MaxMessage: uint32(m.maxMessage), TTL: m.ttl,
	}
}

// handled returns the last message that the program has read, or that was not for
// it. Read saves what it is about to return first; what is not for the program is
// saved after it came, and acknowledged after that.
func (m *machine) handled() seqwindow.Serial {
	if n := m.in.handled(); seqwindow.Less(m.durable.received, n) {
		return n
	}
	return m.durable.received
}

// saved notes that a snapshot is in the Store.
func (m *machine) saved(s *SavedSession) {
	if s.Session == m.session && seqwindow.Less(m.durable.received, seqwindow.Serial(s.Received)) {
		m.durable.received = seqwindow.Serial(s.Received)
	}
}

// savedToken notes that a token is in the Store, and that all messages may be sent.
func (m *machine) savedToken(token string) {
	if token == m.token {
		m.durable.waiting, m.durable.unknown = false, false
	}
}

// saveSoon notes that the state has changed, of a session that is kept.
func (m *machine) saveSoon() { m.durable.due = m.durable.on }

// sends reports whether what is written now may be sent without anything else
// being saved first.
func (m *machine) sends() bool {
	conn := m.current
	return conn != nil && !m.durable.waiting && (conn.welcomed || conn.offer.early())
}

// mayRead reports whether Read may return message seq, whose position has to be
// in the Store first.
func (m *machine) mayRead(seq seqwindow.Serial) bool {
	return !m.durable.on || m.err != nil || m.in.former() || seqwindow.LessEq(seq, m.durable.received)
}

// claim returns the position to offer in a resume. What is not read yet and would
// be lost with this process is asked for again.
func (m *machine) claim() seqwindow.Serial {
	if !m.durable.on {
		return m.in.claim()
	}
	if m.current == nil {
		m.in.rewind(m.durable.received)
	}
	m.in.claimed = m.durable.received
	return m.durable.received
}

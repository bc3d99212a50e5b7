package session

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/wire"
)

// rare bounds the arguments with which a step ends an app, or an owner: most of
// the time a session is to get on.
const rare = 32

// step lets one thing happen.
func (m *sim) step(op, arg byte) {
	if m.over {
		return
	}
	n := int(arg)
	switch op % 24 {
	case 0, 1:
		m.clientWrites()
	case 2:
		m.clientAcks()
	case 3, 4:
		m.appWrites()
	case 5, 12:
		m.clientArrives(n)
	case 6, 13:
		m.appArrives(n)
	case 7, 14:
		m.clientRoom(2 * n)
	case 8, 15:
		m.appRoom(2 * n)
	case 9:
		m.cut(n)
	case 10, 16:
		if m.s == nil || !m.s.Attached() || n < rare {
			m.attach()
		}
	case 11, 17, 18:
		m.tick(n)
	case 19:
		m.appBack()
	case 20:
		m.appEnds(n)
	case 21, 22, 23:
		m.ownerSteps(int(op%24), n)
	}
}

func (m *sim) cut(n int) {
	if m.s != nil && n < 4*rare {
		m.s.ClientGone(m.now, true)
		m.settle()
	}
}

func (m *sim) clientRoom(n int) {
	if m.client.room = n; m.s != nil && m.s.Attached() {
		m.s.ClientWritable()
		m.settle()
	}
}

func (m *sim) appRoom(n int) {
	if m.app.room = n; m.s != nil && m.app.open {
		m.s.AppWritable()
		m.settle()
	}
}

// tick lets time pass and the journal answer.
func (m *sim) tick(n int) {
	m.now = m.now.Add(time.Duration(n) * time.Millisecond)
	m.persisted(n)
	if m.s != nil {
		m.s.Tick(m.now)
		m.settle()
	}
	if at := m.asked.Deadline; m.s != nil && !at.IsZero() && !at.After(m.now) {
		m.t.Fatalf("%v is due for ever: %+v", at.Sub(m.now), m.s.View(m.now))
	}
}

// appEnds lets the app answer a close, leave, break or stay away.
func (m *sim) appEnds(n int) {
	if m.s == nil {
		return
	}
	switch {
	case m.app.asked:
		for range n % 3 {
			m.appWrites()
		}
		m.appCloses(ws.StatusNormalClosure)
	case n >= rare:
	case m.app.open && n == 0:
		m.appCloses(ws.StatusNormalClosure)
	case m.app.open && n%4 < 2:
		m.appCloses([]ws.StatusCode{wire.CodeRestart, ws.StatusGoingAway}[n%2])
	case m.app.open:
		a := &m.app // its socket may still take bytes, but nobody reads them
		a.open, a.left, a.room, a.from, a.unread, a.pending = false, true, 1<<20, nil, nil, nil
		m.s.AppGone(m.now, true)
		m.settle()
	case n == 1 && (m.app.redial || m.app.cause):
		m.app.redial, m.app.cause = false, false
		m.s.AppGivenUp(m.now)
		m.settle()
	}
}

// ownerSteps change the owner: the session moves, its owner dies, or does not know
// whether it still owns the session.
func (m *sim) ownerSteps(op, n int) {
	switch {
	case m.s == nil || n >= rare:
	case op == 21 && n%4 > 0:
		m.handOver()
	case op == 21:
		m.s.Drain(true)
	case op == 22:
		m.crash(n%2 == 0)
	default:
		m.s.SuspectOwnership()
		m.before = m.rec
		m.settle()
	}
}

func (m *sim) handOver() {
	if !m.s.HandingOver() {
		m.handed = m.now
	}
	m.s.HandOver(m.now, time.Second)
	m.settle()
}

// heal lets everything through and wants every message to have arrived.
func (m *sim) heal() {
	for range 2000 {
		if m.over {
			return
		}
		if m.s == nil || !m.s.Attached() {
			m.attach()
		}
		m.appRoom(1 << 30)
		m.clientRoom(1 << 30)
		m.appBack()
		if m.app.asked {
			m.appCloses(ws.StatusNormalClosure)
		}
		if m.client.sent < m.client.said {
			m.clientWrites()
		}
		m.clientAcks()
		m.pass(20 * time.Millisecond)
		if m.healed() {
			return
		}
	}
	c := &m.client
	m.t.Fatalf("after healing: app has %d of %d, %d acknowledged; client %d of %d, and %d unread; closed %v; session %+v",
		m.appHeard, c.said, c.acked, c.heard, len(m.out), len(m.app.pending), c.closed, m.s)
}

// pass is a driver that does what the session asks for and no more.
func (m *sim) pass(d time.Duration) {
	if !m.asked.PauseClient {
		m.clientArrives(1 << 20)
	}
	if !m.asked.PauseApp {
		m.appArrives(1 << 20)
	}
	m.now = m.now.Add(d)
	m.persisted(0)
	if at := m.asked.Deadline; m.s != nil && !at.IsZero() && !m.now.Before(at) {
		m.s.Tick(m.now)
		m.settle()
	}
}

func (m *sim) healed() bool {
	c := &m.client
	return m.s != nil && !m.s.HandingOver() && !m.s.OwnershipSuspect() && !m.s.closing.byApp && m.app.open && !m.app.closing && m.s.Held() == 0 &&
		m.appHeard == c.said && c.acked == c.said && int(c.heard) == len(m.out) && len(m.app.pending) == 0 && len(m.app.context) == 0
}

// Whatever the network, the sockets, the journal, the app and the owners do,
// each message arrives once and in order, either way, but for what a crash may
// cost (I1, I2, I3, I5, I6).
func FuzzSessionMachine(f *testing.F) {
	f.Add(byte(0), []byte("\x00\x00\x05\xff\x08\xff\x03\x00\x06\xff\x07\xff\x09\x00\x0a\x00"))
	f.Add(byte(0), []byte("\x03\x00\x03\x00\x06\x07\x07\x05\x09\x00\x06\xff\x0a\x00\x07\x20\x0b\x40"))
	f.Add(byte(simRules|simNoApp), []byte("\x00\x00\x01\x00\x08\x03\x05\x40\x05\xff\x09\x00\x0a\x00\x00\x00\x05\xff\x08\xff\x0b\xff"))
	f.Add(byte(simScarce), []byte("\x07\xff\x0b\x40\x03\x00\x03\x00\x06\xff\x15\x00\x14\x00\x06\xff\x0b\x40\x0b\x40\x0a\x00"))
	f.Add(byte(simRules|simWaits), []byte("\x07\xff\x08\xff\x00\x00\x00\x00\x00\x00\x05\xff\x0b\x40\x0b\x40\x16\x00\x0a\x00\x08\xff"))
	guide := simGuide(f)
	f.Fuzz(func(t *testing.T, mode byte, ops []byte) {
		if len(ops) > 2000 {
			return
		}
		m := newSim(t, guide, mode)
		for ; len(ops) >= 2; ops = ops[2:] {
			m.step(ops[0], ops[1])
		}
		m.heal()
	})
}

// The same with long random histories, which a fuzzer is slow to reach. A
// failure names its seed.
func TestRandomHistories(t *testing.T) {
	guide := simGuide(t)
	seed := uint64(0)
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	for ; seed < 2000; seed++ {
		random := rand.New(rand.NewPCG(seed, 1))
		m := newSim(t, guide, byte(seed))
		for range 300 + random.IntN(700) {
			m.step(byte(random.Uint32()), byte(random.Uint32()))
		}
		m.heal()
	}
}

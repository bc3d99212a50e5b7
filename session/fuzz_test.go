package session

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

// sim is a session between a well-behaved client, a well-behaved app, sockets
// that take what they like, a network that is cut and a journal that fails.
// Messages are numbered; whoever receives one checks that it is the next.
type sim struct {
	t   *testing.T
	cfg *Config
	now time.Time
	s   *Session
	rec *store.Record // in flight

	toSidecar, fromApp []byte // in the sockets, on their way in
	unread, unreadApp  []byte // read by the driver and not used
	clientRoom         int    // what the client's socket takes
	appRoom            int
	clientGot, appGot  []byte // bytes that arrived and are no whole message yet
	fromSidecar, toApp frame.Messages

	said, acked uint32 // inbound: messages made by the client, acknowledged to it
	sent        uint32 // of them written to this connection
	heard       uint32 // outbound messages that the client has
	appSaid     uint32
	appHeard    uint32
}

// limits of the simulated session, small so that they are met.
func simConfig() *Config {
	return &Config{
		WindowMessages: 6, WindowBytes: 300, MaxMessage: 200, TTL: time.Hour, LingerAway: time.Hour,
		PersistAfter: 50 * time.Millisecond, Journal: true, JournalLimits: store.Limits{Part: 1 << 20, Record: 1 << 23},
		Heartbeat: &heartbeat.Config{Base: 500 * time.Millisecond, Min: 500 * time.Millisecond}, Pool: seqwindow.NewPool(0), Buffers: new(frame.Buffers),
		Random: func() uint32 { return 0x01020304 }, Token: func(wire.Token) string { return "t" },
	}
}

func newSim(t *testing.T) *sim {
	m := &sim{t: t, cfg: simConfig(), now: time.Unix(1_700_000_000, 0)}
	m.toApp = frame.Messages{Rules: frame.Rules{Masked: true}, Max: 1 << 20, Buffers: new(frame.Buffers)}
	m.s = New(m.cfg, m.now, Start{})
	m.attach(wire.StatusNew)
	return m
}

// attach is the client's new connection: everything on the old one is gone.
func (m *sim) attach(status wire.Status) {
	m.toSidecar, m.unread, m.clientGot = nil, nil, nil
	m.fromSidecar = frame.Messages{Max: 1 << 20, Buffers: new(frame.Buffers)}
	at := Position{Received: seqwindow.Serial(m.heard), Next: seqwindow.Serial(m.acked + 1)}
	if status != wire.StatusNew {
		if r := m.s.Check(at); r != 0 {
			m.t.Fatalf("resume with %+v is refused: %v", at, r)
		}
		if m.s.Attached() {
			m.s.Supersede(m.now)
			m.settle()
		}
	}
	m.sent = m.acked
	m.s.Attach(m.now, status, at, false)
	m.settle()
}

func (m *sim) settle() {
	for range 1000 {
		o := m.s.Output(m.now)
		if len(o.ToApp) > 0 {
			n := accept(&m.appRoom, o.ToApp, &m.appGot)
			m.s.AppWrote(m.now, n)
			m.appReads()
		}
		if len(o.ToClient) > 0 {
			n := accept(&m.clientRoom, o.ToClient, &m.clientGot)
			m.s.ClientWrote(n)
			m.clientReads()
		}
		if o.Persist != nil {
			m.rec = o.Persist
		}
		if o.Ended != "" {
			m.t.Fatalf("session ended: %s", o.Ended)
		}
		if o.CloseClient != nil && o.CloseClient.Code != wire.CodeSuperseded && o.CloseClient.Code != wire.CodeTimeout {
			m.t.Fatalf("connection ended: %v", o.CloseClient)
		}
		if held, most := m.s.Held(), 2*(m.cfg.WindowBytes+m.cfg.MaxMessage+32); held > most {
			m.t.Fatalf("%d bytes held, at most %d allowed (I6)", held, most)
		}
		if o.Idle() {
			return
		}
	}
	m.t.Fatal("the session never settles")
}

func accept(room *int, parts [][]byte, got *[]byte) (n int) {
	for _, p := range parts {
		k := min(len(p), *room)
		*got = append(*got, p[:k]...)
		*room -= k
		if n += k; k < len(p) {
			break
		}
	}
	return n
}

// body is message n of a direction; sizes vary and cross the limits of small
// frame headers.
func body(n uint32) []byte {
	return append(binary.BigEndian.AppendUint32(nil, n), bytes.Repeat([]byte{byte(n)}, int(n*37%160))...)
}

func (m *sim) appReads() {
	for {
		msg, n, _, ok, err := m.toApp.Next(m.appGot)
		if err != nil {
			m.t.Fatal("the app receives broken frames:", err)
		}
		if ok {
			p := bytes.Clone(msg.Payload())
			frame.Mask(p, msg.Mask, 0)
			m.appHeard++
			if !bytes.Equal(p, body(m.appHeard)) {
				m.t.Fatalf("the app received % x, want message %d (I2)", p[:min(8, len(p))], m.appHeard)
			}
		}
		if m.appGot = m.appGot[n:]; !ok {
			return
		}
	}
}

func (m *sim) clientReads() {
	for {
		msg, n, _, ok, err := m.fromSidecar.Next(m.clientGot)
		if err != nil {
			m.t.Fatal("the client receives broken frames:", err)
		}
		if ok {
			m.clientTakes(msg.Payload())
		}
		if m.clientGot = m.clientGot[n:]; !ok {
			return
		}
	}
}

func (m *sim) clientTakes(p []byte) {
	t, ours := wire.TypeOf(p)
	if !ours {
		m.heard++
		if !bytes.Equal(p, body(m.heard)) {
			m.t.Fatalf("the client received % x, want message %d (I1)", p[:min(8, len(p))], m.heard)
		}
		return
	}
	ack := m.acked
	switch t {
	case wire.Ack:
		ack, _ = wire.ParseAck(p)
	case wire.Heartbeat:
		b, _ := wire.ParseBeat(p, t)
		if ack = b.Ack; b.Sent != m.heard {
			m.t.Fatalf("HEARTBEAT says %d sent, the client has %d", b.Sent, m.heard)
		}
		m.clientSays(wire.AppendBeat(nil, wire.HeartbeatAck, wire.Beat{Payload: b.Payload, Sent: m.sent, Ack: m.heard}))
	case wire.Welcome:
		w, err := wire.ParseWelcome(p)
		if err != nil || w.NextOutbound != m.heard+1 {
			m.t.Fatalf("WELCOME %+v, %v to a client that has %d", w, err, m.heard)
		}
		ack = w.InboundAck
	}
	if ack > m.appHeard {
		m.t.Fatalf("%d acknowledged, the app has %d (I3)", ack, m.appHeard)
	}
	m.acked = max(m.acked, ack)
}

// clientWrites puts the next message on the connection, in one to three
// fragments.
func (m *sim) clientWrites() {
	if m.said-m.acked < 8 {
		m.said++
	}
	if m.sent == m.said {
		return
	}
	m.sent++
	p := body(m.sent)
	h := frame.Header{Opcode: frame.Binary, Masked: true, Mask: [4]byte{1, byte(m.sent), 3, 4}}
	for i := range m.sent % 3 {
		cut := len(p) / int(2+i)
		m.toSidecar = frame.Append(m.toSidecar, h, p[:cut])
		p, h.Opcode = p[cut:], frame.Continuation
	}
	h.Fin = true
	m.toSidecar = frame.Append(m.toSidecar, h, p)
}

func (m *sim) clientAcks() {
	m.clientSays(wire.AppendAck(nil, m.heard))
}

func (m *sim) clientSays(msg []byte) {
	h := frame.Header{Fin: true, Opcode: frame.Binary, Masked: true, Mask: [4]byte{9, 9, 9, 9}}
	m.toSidecar = frame.Append(m.toSidecar, h, msg)
}

func (m *sim) appWrites() {
	m.appSaid++
	p := body(m.appSaid)
	if m.appSaid%4 == 0 {
		m.fromApp = frame.Append(m.fromApp, frame.Header{Opcode: frame.Binary}, p[:2])
		m.fromApp = frame.Append(m.fromApp, frame.Header{Fin: true}, p[2:])
		return
	}
	m.fromApp = frame.Append(m.fromApp, frame.Header{Fin: true, Opcode: frame.Binary}, p)
}

// arrive moves n bytes from a socket to the session.
func (m *sim) arrive(n int, from, unread *[]byte, feed func(time.Time, []byte) int) {
	n = min(n, len(*from))
	*unread = append(*unread, (*from)[:n]...)
	*from = (*from)[n:]
	for len(*unread) > 0 {
		used := feed(m.now, *unread)
		m.settle()
		*unread = (*unread)[used:]
		if used == 0 {
			return
		}
	}
}

func (m *sim) step(op, arg byte) {
	n := int(arg)
	switch op % 12 {
	case 0, 1:
		m.clientWrites()
	case 2:
		m.clientAcks()
	case 3, 4:
		m.appWrites()
	case 5:
		if m.s.Attached() {
			m.arrive(n, &m.toSidecar, &m.unread, m.s.FromClient)
		}
	case 6:
		m.arrive(n, &m.fromApp, &m.unreadApp, m.s.FromApp)
	case 7:
		m.clientRoom = n
		m.s.ClientWritable()
		m.settle()
	case 8:
		m.appRoom = n
		m.s.AppWritable()
		m.settle()
	case 9:
		m.s.ClientGone(m.now, true)
		m.settle()
	case 10:
		m.attach(wire.StatusResumed)
	case 11:
		m.now = m.now.Add(time.Duration(n) * time.Millisecond)
		if m.rec != nil {
			m.rec = nil
			m.s.Persisted(m.now, []PersistResult{Persisted, Persisted, PersistFailed, PersistLost}[n%4])
		}
		m.s.Tick(m.now)
		m.settle()
	}
}

// heal lets everything through and wants every message to have arrived.
func (m *sim) heal() {
	m.clientRoom, m.appRoom = 1<<30, 1<<30
	m.s.AppWritable()
	m.attach(wire.StatusResumed)
	for range 2000 {
		if m.sent < m.said {
			m.clientWrites()
		}
		m.clientAcks()
		m.arrive(1<<20, &m.toSidecar, &m.unread, m.s.FromClient)
		m.arrive(1<<20, &m.fromApp, &m.unreadApp, m.s.FromApp)
		m.now = m.now.Add(20 * time.Millisecond)
		if m.rec != nil {
			m.rec = nil
			m.s.Persisted(m.now, Persisted)
		}
		m.s.Tick(m.now)
		m.settle()
		if m.appHeard == m.said && m.heard == m.appSaid && m.acked == m.said && m.s.Held() == 0 {
			return
		}
	}
	m.t.Fatalf("after healing: app has %d of %d, client %d of %d, %d acknowledged, %d bytes held",
		m.appHeard, m.said, m.heard, m.appSaid, m.acked, m.s.Held())
}

// Whatever the network, the sockets and the journal do, each message arrives
// once and in order, either way (I1, I2, I3, I6).
func FuzzSessionMachine(f *testing.F) {
	f.Add([]byte("\x00\x00\x05\xff\x08\xff\x03\x00\x06\xff\x07\xff\x09\x00\x0a\x00"))
	f.Add([]byte("\x03\x00\x03\x00\x06\x07\x07\x05\x09\x00\x06\xff\x0a\x00\x07\x20\x0b\x40"))
	f.Add([]byte("\x00\x00\x01\x00\x08\x03\x05\x40\x05\xff\x09\x00\x0a\x00\x00\x00\x05\xff\x08\xff\x0b\xff"))
	f.Fuzz(func(t *testing.T, ops []byte) {
		if len(ops) > 2000 {
			return
		}
		m := newSim(t)
		for ; len(ops) >= 2; ops = ops[2:] {
			m.step(ops[0], ops[1])
		}
		m.heal()
	})
}

// Bytes of hostile peers: nothing panics, nothing grows.
func FuzzSessionBytes(f *testing.F) {
	f.Add([]byte("\x82\x89\x00\x00\x00\x00\xffWSR\x02\x00\x00\x00\x01"), []byte("\x81\x02hi"), uint8(3))
	f.Add([]byte("\xc1\x83\x00\x00\x00\x00abc"), []byte("\xc2\x03abc"), uint8(1))
	f.Fuzz(func(t *testing.T, client, app []byte, step uint8) {
		cfg := simConfig()
		now := time.Unix(1_700_000_000, 0)
		s := New(cfg, now, Start{Deflate: true})
		s.Attach(now, wire.StatusNew, Position{Next: 1}, true)
		feed := func(p []byte, fn func(time.Time, []byte) int) {
			var unread []byte
			for len(p) > 0 {
				k := min(int(step)+1, len(p))
				unread = append(unread, p[:k]...)
				p = p[k:]
				for len(unread) > 0 {
					n := fn(now, unread)
					drain(s, now)
					if unread = unread[n:]; n == 0 {
						break
					}
				}
			}
		}
		feed(client, s.FromClient)
		feed(app, s.FromApp)
		for range 50 {
			now = now.Add(10 * time.Second)
			s.Tick(now)
			drain(s, now)
		}
		s.End(now, "over", wire.CodeInternal)
		drain(s, now)
		if n := cfg.Pool.InUse(); n != 0 {
			t.Fatalf("an ended session holds %d bytes", n)
		}
	})
}

// drain is a driver whose sockets take everything.
func drain(s *Session, now time.Time) {
	for {
		o := s.Output(now)
		if len(o.ToApp) > 0 {
			s.AppWrote(now, size(o.ToApp))
		}
		if len(o.ToClient) > 0 {
			s.ClientWrote(size(o.ToClient))
		}
		if o.Persist != nil {
			s.Persisted(now, Persisted)
		}
		if o.Idle() {
			return
		}
	}
}

// What passes a plain connection is what came, less the answers to our pings,
// however the bytes are cut and however slowly they are taken.
func FuzzPlainMachine(f *testing.F) {
	f.Add([]byte("\x81\x82\x00\x00\x00\x00hi\x8a\x80\x00\x00\x00\x00"), uint8(2), uint8(3))
	f.Add([]byte("\x01\x80\x00\x00\x00\x00\x80\x81\x01\x02\x03\x04a\x88\x80\x01\x02\x03\x04"), uint8(1), uint8(1))
	f.Fuzz(func(t *testing.T, in []byte, step, room uint8) {
		now := time.Unix(1_700_000_000, 0)
		p := NewPlain(simConfig(), now, true)
		var got, unread []byte
		ended := false
		settle := func(room int) {
			for {
				o := p.Output(now)
				if len(o.ToApp) > 0 {
					p.AppWrote(now, accept(&room, o.ToApp, &got))
				}
				if ended = ended || o.Ended != ""; o.Idle() {
					return
				}
			}
		}
		rest := in
		for (len(rest) > 0 || len(unread) > 0) && !ended {
			k := min(int(step)+1, len(rest))
			unread = append(unread, rest[:k]...)
			rest = rest[k:]
			n := p.FromClient(now, unread)
			settle(int(room))
			unread = unread[n:]
			if p.AppWritable(); len(rest) == 0 && n == 0 {
				settle(1 << 20)
				if p.FromClient(now, unread) == 0 {
					break
				}
			}
			settle(1 << 20)
		}
		if !bytes.HasPrefix(in, got) {
			t.Fatalf("% x came out of % x", got, in)
		}
		if !ended && len(got)+len(unread) != len(in) {
			t.Fatalf("%d bytes came out and %d wait, of %d", len(got), len(unread), len(in))
		}
	})
}

// The same with long random histories, which a fuzzer is slow to reach. A
// failure names its seed.
func TestRandomHistories(t *testing.T) {
	for seed := range uint64(2000) {
		random := rand.New(rand.NewPCG(seed, 1))
		m := newSim(t)
		for range 300 + random.IntN(700) {
			m.step(byte(random.Uint32()), byte(random.Uint32()))
		}
		m.heal()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

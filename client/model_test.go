package client

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/wire"
)

// world is the real machine, the naive sidecar, and a network between them
// that a fuzzer breaks.
type world struct {
	t   testing.TB
	now time.Time
	m   *machine
	s   *sidecar

	wires   []*pair
	slow    []*pair  // of attempts whose answer is under way
	offers  []offer  // and what they offered
	written []string // by the program
	read    []string
}

// pair is one connection: c and s are its ends, up what is under way from c.
type pair struct {
	c  *connection
	s  *sidecarConn
	up []byte
}

func newWorld(t testing.TB, base uint32) *world {
	cfg, err := (&Options{OutboxMessages: 40, OutboxBytes: 200_000}).settings()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, now: time.Unix(1000, 0), s: newSidecar(t)}
	w.s.outBase, w.s.inBase = seqwindow.Serial(base), seqwindow.Serial(base)
	w.s.window, w.s.ttl = 3000, 36_000_000 // longer than any run
	w.m = newMachine(cfg, rand.New(rand.NewPCG(1, 2)))
	w.connect(w.m.firstOffer())
	w.flow()
	if w.m.err != nil || w.m.token == "" {
		t.Fatalf("no session: %v", w.m.err)
	}
	return w
}

func (w *world) connect(o offer) *pair {
	conn := w.m.attach(w.now, o)
	if conn == nil {
		return nil
	}
	parsed, err := wire.ParseOffer(o.Protocols())
	if err != nil {
		w.t.Fatal(err)
	}
	p := &pair{c: conn, s: w.s.attach(parsed)}
	w.wires = append(w.wires, p)
	return p
}

// How an attempt goes: the answer does not arrive, or later, after the sidecar has
// attached.
const (
	answerComes = iota
	answerIsLost
	answerIsLate
)

// dial makes the attempt that the machine wants, if any.
func (w *world) dial(answer int) {
	o, ok := w.m.wantDial(w.now)
	if !ok {
		return
	}
	if answer == answerComes {
		w.connect(o)
		return
	}
	parsed, err := wire.ParseOffer(o.Protocols())
	if err != nil {
		w.t.Fatal(err)
	}
	conn := w.s.attach(parsed)
	if answer == answerIsLost {
		w.m.dialFailed(w.now)
		return
	}
	w.slow, w.offers = append(w.slow, &pair{s: conn}), append(w.offers, o)
}

// answer lets the late answers arrive. The attempt may have been given up.
func (w *world) answer() {
	for i, p := range w.slow {
		if p.c = w.m.attach(w.now, w.offers[i]); p.c != nil {
			w.wires = append(w.wires, p)
		}
	}
	w.slow, w.offers = nil, nil
}

// down moves up to n bytes to the client, write up to n to the sidecar.
func (w *world) down(p *pair, n int) {
	n = min(n, len(p.s.out))
	if p.c.closed != nil || n == 0 {
		return
	}
	n = copy(p.c.input.space(), p.s.out[:n])
	p.s.out = p.s.out[n:]
	w.m.received(w.now, p.c, n)
}

func (w *world) up(p *pair, n int) {
	if p.c.closed != nil {
		p.up = append(p.up, p.c.finalBytes...)
		p.c.finalBytes = nil
	} else if len(p.up) == 0 {
		p.up = w.m.fill(w.now, p.c, p.up)
	}
	n = min(n, len(p.up))
	p.s.feed(p.up[:n])
	p.up = p.up[n:]
}

func (w *world) cut(p *pair) {
	if p.c.closed == nil {
		w.m.broken(w.now, p.c, io.EOF)
	}
	p.s.ended = true
	w.wires = slices.DeleteFunc(w.wires, func(q *pair) bool { return q == p })
}

func (w *world) write(msg string) {
	if _, err := w.m.write(MessageBinary, []byte(msg)); err == nil {
		w.written = append(w.written, msg)
	}
}

func (w *world) readOne() {
	if msg, ok := w.m.in.take(w.now); ok {
		w.read = append(w.read, string(msg.data))
	}
}

func (w *world) advance(d time.Duration) {
	w.now = w.now.Add(d)
	w.m.tick(w.now, 0)
	w.m.events = w.m.events[:0]
}

// flow lets everything through until nothing moves.
func (w *world) flow() {
	for range 400 {
		moved := false
		for _, p := range slices.Clone(w.wires) {
			for range 50 {
				before, sent := len(p.up), len(p.s.out)
				w.down(p, 1<<20)
				w.up(p, 1<<20)
				if before == len(p.up) && sent == len(p.s.out) && !w.m.pending(p.c) {
					break
				}
				moved = true
			}
			if p.s.ended && len(p.s.out) == 0 {
				w.cut(p)
				moved = true
			}
			p.s.ack()
		}
		w.answer()
		w.dial(answerComes)
		if !moved && w.m.current != nil && w.m.current.welcomed && w.m.out.unacked() == 0 {
			return
		}
		w.advance(100 * time.Millisecond)
	}
}

// check demands that what was said is a prefix of what is heard so far, or
// all of it at the end (I1, I2).
func (w *world) check(all bool) {
	w.t.Helper()
	if len(w.s.violations) > 0 {
		w.t.Fatalf("the client violated: %v", w.s.violations)
	}
	for _, d := range []struct {
		name        string
		said, heard []string
	}{{"inbound", w.written, w.s.inbound}, {"outbound", w.s.outbound, w.read}} {
		if len(d.heard) > len(d.said) || !slices.Equal(d.heard, d.said[:len(d.heard)]) {
			w.t.Fatalf("%s: heard %d %.60q, said %d %.60q", d.name, len(d.heard), d.heard, len(d.said), d.said)
		}
		if all && len(d.heard) != len(d.said) {
			w.t.Fatalf("%s: heard %d of %d", d.name, len(d.heard), len(d.said))
		}
	}
	if b := w.m.out.inFlight; b < 0 || b > 3000 && w.m.out.admitted-w.m.out.acked > 1 {
		w.t.Fatalf("%d bytes under way, the window has 3000", b)
	}
}

func (w *world) step(op, arg byte) {
	var p *pair
	if len(w.wires) > 0 {
		p = w.wires[int(arg)%len(w.wires)]
	}
	switch op % 14 {
	case 0:
		msg := fmt.Sprintf("in %d %s", len(w.written), strings.Repeat("x", int(arg)*8))
		if arg%5 == 0 {
			msg = wire.Magic + msg
		}
		w.write(msg)
	case 1:
		msg := fmt.Sprintf("out %d %s", len(w.s.outbound), strings.Repeat("y", int(arg)*3))
		if arg%5 == 0 {
			msg = wire.Magic + msg
		}
		w.s.say(msg)
	case 2, 3:
		if p != nil {
			w.up(p, int(arg)*4+1)
		}
	case 4, 5:
		if p != nil {
			w.down(p, int(arg)*4+1)
		}
	case 6:
		if p != nil {
			w.cut(p)
		}
	case 7:
		w.dial(int(arg) % 4 % 3)
	case 8:
		w.readOne()
	case 9:
		w.advance(time.Duration(arg) * 20 * time.Millisecond)
	case 10:
		if w.s.conn != nil {
			w.s.conn.ack()
		}
	case 11:
		w.speak(arg)
	case 12:
		w.m.networkChanged(w.now)
		w.m.tick(w.now, 0)
	case 13:
		w.answer()
	}
}

// speak lets the sidecar send a heartbeat or GOAWAY.
func (w *world) speak(arg byte) {
	conn := w.s.conn
	if conn == nil {
		return
	}
	if arg%2 == 0 {
		conn.control(wire.AppendGoAway(nil, wire.GoAwayDraining, uint32(arg)))
		return
	}
	conn.beats++
	b := wire.Beat{Sent: uint32(w.s.outBase) + uint32(conn.sent), Ack: conn.inboundAck()}
	heartbeat.AppendPayload(b.Payload[:0], heartbeat.Payload{Seq: conn.beats})
	conn.control(wire.AppendBeat(nil, wire.Heartbeat, b))
}

func (w *world) run(ops []byte) {
	for i := 0; i+1 < len(ops); i += 2 {
		w.step(ops[i], ops[i+1])
		if w.m.err != nil {
			w.t.Fatalf("step %d: the session ended: %v", i/2, w.m.err)
		}
		w.check(false)
	}
	w.flow()
	for !w.m.in.empty() {
		w.readOne()
	}
	w.flow()
	w.check(true)
}

// Whatever the network does, nothing is lost, doubled or reordered.
func FuzzCuts(f *testing.F) {
	f.Add(uint32(0), []byte{0, 5, 1, 10, 2, 255, 4, 3, 6, 0, 9, 100, 7, 1, 0, 1, 4, 200, 8, 0})
	f.Add(^uint32(0)-2, []byte{0, 1, 0, 200, 0, 7, 2, 9, 6, 0, 7, 4, 9, 50, 7, 1, 2, 200, 10, 0})
	f.Add(uint32(7), []byte{11, 0, 1, 3, 9, 5, 7, 1, 1, 4, 4, 255, 5, 255, 4, 1, 2, 3, 8, 0, 11, 1})
	f.Fuzz(func(t *testing.T, base uint32, ops []byte) {
		if len(ops) > 600 {
			return
		}
		newWorld(t, base).run(ops)
	})
}

// The same with long random runs, so that go test alone proves something.
func TestManyCuts(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		ops := make([]byte, 600)
		for i := range ops {
			ops[i] = byte(r.Uint32())
		}
		newWorld(t, ^uint32(0)-uint32(seed%40)).run(ops)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// Whatever a server sends, the machine keeps its head and its bounds.
func FuzzServerBytes(f *testing.F) {
	s := newSidecar(f)
	conn := s.attach(wire.Offer{})
	s.say("hello")
	conn.control(wire.AppendGoAway(nil, wire.GoAwayDraining, 10))
	conn.ack()
	conn.control(wire.AppendClose(nil, 1000, "bye"))
	f.Add(conn.out, uint8(9))
	f.Add([]byte{0x81, 2, 'h', 'i', 0x88, 0}, uint8(1))
	f.Add([]byte{0x89, 0, 0x02, 1, 'a', 0x80, 1, 'b', 0x82, 127, 0, 0, 0, 0, 1, 0, 0, 0}, uint8(3))
	f.Fuzz(func(t *testing.T, in []byte, step uint8) {
		cfg, _ := (&Options{QueueBytes: 1000, MaxMessage: 500}).settings()
		m := newMachine(cfg, rand.New(rand.NewPCG(1, 2)))
		now := time.Unix(1000, 0)
		conn := m.attach(now, m.firstOffer())
		for len(in) > 0 && conn.closed == nil && !m.full() {
			n := copy(conn.input.space(), in[:min(len(in), int(step)+1)])
			in = in[n:]
			m.received(now, conn, n)
			if m.err == nil && (conn.welcomed || m.plain) {
				_, _ = m.write(MessageText, []byte("x"))
			}
			m.fill(now, conn, nil)
			now = now.Add(time.Millisecond)
			m.tick(now, 0)
		}
		if m.in.bytes > max(1000, plainQueue)+500+wire.MaxControl+messageOverhead || len(conn.input.b) > 64<<10 {
			t.Fatalf("holds %d bytes of messages, %d of input", m.in.bytes, len(conn.input.b))
		}
	})
}

package session

import (
	"bytes"
	"fmt"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/wire"
)

// settle is the driver's loop.
func (m *sim) settle() {
	for range 1000 {
		if m.s == nil {
			return
		}
		o := anothers(&m.lent)
		m.s.Output(m.now, o)
		if m.s.OwnershipSuspect() && (len(o.ToApp) > 0 || len(o.ToClient) > 0 || o.CloseClient != nil || o.CloseApp || o.RedialApp) {
			m.t.Fatalf("during an ownership check, the session acts: %+v (I5)", o)
		}
		if len(o.ToApp) > 0 {
			n := accept(&m.app.room, o.ToApp, &m.app.got)
			m.s.AppWrote(m.now, n)
			m.appReads()
		}
		if len(o.ToClient) > 0 {
			n := accept(&m.client.room, o.ToClient, &m.client.got)
			m.s.ClientWrote(n)
			m.clientReads()
		}
		if o.Idle() {
			m.asked = *o
			return
		}
		m.perform(o)
	}
	m.t.Fatal("the session never settles")
}

// perform does the rest of an Output.
func (m *sim) perform(o *Output) {
	if o.CloseClient != nil {
		switch o.CloseClient.Code {
		case wire.CodeSuperseded, wire.CodeTimeout, wire.CodeRestart:
		default:
			if !m.client.closed {
				m.t.Fatalf("connection ended: %v", o.CloseClient)
			}
		}
	}
	if o.Persist != nil {
		m.checkRecord(o.Persist)
		m.rec = o.Persist
	}
	if o.CloseApp {
		m.appFinished()
	}
	m.app.redial = m.app.redial || o.RedialApp
	m.app.cause = m.app.cause || o.FindCause
	if held, most := m.s.Held(), 2*(m.cfg.WindowBytes+m.cfg.MaxMessage+32); held > max(most, m.taken+most/2) && !m.s.HandingOver() {
		m.t.Fatalf("%d bytes held, at most %d allowed, and %d were taken over (I6)", held, most, m.taken)
	}
	if o.Ended != 0 {
		m.ended(o.Ended)
	}
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

// read takes whole messages out of what has arrived.
func (m *sim) read(in *frame.Messages, got *[]byte, take func(*frame.Message, []byte)) {
	for {
		msg, n, ok, err := in.Next(*got)
		if err != nil {
			m.t.Fatal("broken frames arrive:", err)
		}
		var p []byte
		if ok {
			p = bytes.Clone(msg.Payload())
			frame.Mask(p, msg.Mask, 0)
		}
		if *got = (*got)[n:]; !ok {
			return
		}
		take(&msg, p)
	}
}

func (m *sim) appReads() {
	if m.app.left && m.s.closing.byApp {
		m.app.got = nil // it reads no more, and nothing counts
		return
	}
	m.read(&m.app.in, &m.app.got, m.appTakes)
}

func (m *sim) appTakes(msg *frame.Message, p []byte) {
	a := &m.app
	switch {
	case msg.OpCode == ws.OpClose:
		a.asked = true
		return
	case msg.OpCode.IsControl():
		return
	case len(a.context) > 0:
		if !bytes.Equal(p, a.context[0]) {
			m.t.Fatalf("a fresh app socket hears %.20q, want %q of its context", p, a.context[0])
		}
		a.context = a.context[1:]
		return
	case a.anyContext && bytes.HasPrefix(p, []byte("sub ")) && !m.next(msg, p):
		return
	}
	if a.anyContext = false; !m.next(msg, p) {
		m.t.Fatalf("the app received %.20q, want message %d (I2)", p, m.appHeard+1)
	}
	if a.left {
		m.t.Fatalf("message %d is handed to an app that has left", m.appHeard+1)
	}
	m.appHeard++
}

// next reports whether that is the next message for an app.
func (m *sim) next(msg *frame.Message, p []byte) bool {
	opcode, want := inbound(m.appHeard + 1)
	return msg.OpCode == opcode && bytes.Equal(p, want)
}

// appFinished follows the end of the app's socket by our side. What it said
// and was not read is lost, which a hand-over must not let happen.
func (m *sim) appFinished() {
	a := &m.app
	if m.s.HandingOver() && a.open && len(a.pending) > 0 && m.now.Sub(m.handed) < handoverWait {
		m.t.Fatalf("%d messages of the app are left unread by a hand-over", len(a.pending))
	}
	a.open, a.from, a.unread, a.pending = false, nil, nil, nil
}

func (m *sim) clientReads() {
	m.read(&m.client.in, &m.client.got, func(msg *frame.Message, p []byte) {
		if msg.OpCode.IsControl() {
			return
		}
		m.clientTakes(p)
	})
}

func (m *sim) clientTakes(p []byte) {
	c := &m.client
	t, ours := wire.TypeOf(p)
	if !ours {
		if int(c.heard) >= len(m.out) || !bytes.Equal(p, body(m.out[c.heard])) {
			m.t.Fatalf("the client received % x as its message %d of %d (I1)", p[:min(8, len(p))], c.heard+1, len(m.out))
		}
		c.heard++
		return
	}
	switch t {
	case wire.Ack:
		ack, _ := wire.ParseAck(p)
		m.clientHeardAck(ack)
	case wire.Heartbeat:
		b, _ := wire.ParseBeat(p, t)
		if b.Sent != c.heard {
			m.t.Fatalf("HEARTBEAT says %d sent, the client has %d", b.Sent, c.heard)
		}
		m.clientHeardAck(b.Ack)
		m.clientSays(wire.AppendBeat(nil, wire.HeartbeatAck, wire.Beat{Payload: b.Payload, Sent: c.sent - c.shift, Ack: c.heard}))
	case wire.Welcome:
		m.welcome(p)
	case wire.Close:
		if int(c.heard) != len(m.out) {
			m.t.Fatalf("CLOSE after %d of %d messages (I1)", c.heard, len(m.out))
		}
		c.closed = true
		m.clientSays(wire.AppendClose(nil, ws.StatusNormalClosure, ""))
	}
}

func (m *sim) clientHeardAck(seq uint32) {
	c := &m.client
	if seq+c.shift > m.appHeard {
		m.t.Fatalf("%d acknowledged, the app has %d (I3)", seq+c.shift, m.appHeard)
	}
	c.acked = max(c.acked, seq+c.shift)
}

func (m *sim) welcome(p []byte) {
	c := &m.client
	w, err := wire.ParseWelcome(p)
	if err != nil || w.NextOutbound != c.heard+1 {
		m.t.Fatalf("WELCOME %+v, %v to a client that has %d", w, err, c.heard)
	}
	m.clientHeardAck(w.InboundAck)
	if _, err := fmt.Sscanf(w.Token, "%d-%d", &c.token.epoch, &c.token.generation); err != nil {
		m.t.Fatal(err)
	}
	c.tokens = append(c.tokens, c.token)
	if c.welcomed {
		return
	}
	c.welcomed, c.firstToken = true, c.token
	if m.mode&simWaits != 0 { // it counts anew (PROTOCOL §2.1)
		c.shift, c.sent = c.acked-w.InboundAck, c.acked
	}
}

// clientWrites puts the next message on the connection, in one to three
// fragments.
func (m *sim) clientWrites() {
	c := &m.client
	if c.said-c.acked < 8 {
		c.said++
	}
	if c.sent >= c.said || c.closed || m.mode&simWaits != 0 && !c.welcomed {
		return
	}
	c.sent++
	if m.mode&simWaits != 0 {
		m.shows()
	}
	opcode, p := inbound(c.sent)
	h := ws.Header{OpCode: opcode, Masked: true, Mask: [4]byte{1, byte(c.sent), 3, 4}}
	for i := range c.sent % 3 {
		cut := len(p) / int(2+i)
		c.to = frame.Append(c.to, h, p[:cut])
		p, h.OpCode = p[cut:], ws.OpContinuation
	}
	h.Fin = true
	c.to = frame.Append(c.to, h, p)
}

func (m *sim) clientAcks() {
	if m.client.welcomed {
		m.clientSays(wire.AppendAck(nil, m.client.heard))
	}
}

func (m *sim) clientSays(msg []byte) {
	h := ws.Header{Fin: true, OpCode: ws.OpBinary, Masked: true, Mask: [4]byte{9, 9, 9, 9}}
	m.client.to = frame.Append(m.client.to, h, msg)
	m.shows()
}

// shows notes that the client lets the sidecar know its token.
func (m *sim) shows() {
	c := &m.client
	if c.shows = true; c.tried.before(c.firstToken) {
		c.tried = c.firstToken
	}
}

func (m *sim) appWrites() {
	a := &m.app
	if !a.open || a.closing {
		return
	}
	a.said++
	a.pending = append(a.pending, a.said)
	p := body(a.said)
	if a.said%4 == 0 {
		a.from = frame.Append(a.from, ws.Header{OpCode: ws.OpBinary}, p[:2])
		a.from = frame.Append(a.from, ws.Header{Fin: true}, p[2:])
		return
	}
	a.from = frame.Append(a.from, ws.Header{Fin: true, OpCode: ws.OpBinary}, p)
}

// appCloses is the app's close frame, by itself or as its answer.
func (m *sim) appCloses(code ws.StatusCode) {
	if m.app.open && !m.app.closing {
		m.app.closing = true
		m.app.from = appendClose(m.app.from, ws.Header{Fin: true, OpCode: ws.OpClose}, code, "")
	}
}

// arrive moves n bytes from a socket to the session. What the session takes
// of the app's messages counts from then on.
func (m *sim) arrive(n int, from, unread *[]byte, feed func(time.Time, []byte) int) {
	n = min(n, len(*from))
	*unread = append(*unread, (*from)[:n]...)
	*from = (*from)[n:]
	for s := m.s; s != nil && len(*unread) > 0; {
		before := s.counters.OutMessages
		used := feed(m.now, *unread)
		for range s.counters.OutMessages - before {
			m.out = append(m.out, m.app.pending[0])
			m.app.pending = m.app.pending[1:]
		}
		*unread = (*unread)[used:]
		m.app.left = m.app.left || m.app.closing && len(m.app.from)+len(m.app.unread) == 0
		if m.client.shows && m.s.Attached() && len(m.client.to)+len(m.client.unread) == 0 {
			m.confirmed = m.client.firstToken
		}
		m.settle()
		if used == 0 || m.s != s {
			return
		}
	}
}

func (m *sim) clientArrives(n int) {
	if m.s != nil && m.s.Attached() {
		m.arrive(n, &m.client.to, &m.client.unread, m.s.FromClient)
	}
}

func (m *sim) appArrives(n int) {
	if m.s != nil && m.app.open {
		m.arrive(n, &m.app.from, &m.app.unread, m.s.FromApp)
	}
}

package sim

import (
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/wire"
)

// A Habit is what an app does with a client's messages.
type Habit uint8

const (
	Echoes  Habit = iota // it answers each at once
	Thinks               // it answers each after a while
	Ticks                // it says something now and then, and answers nothing
	Answers              // it answers each third one, with two messages
	Listens              // it says nothing
	habits
)

// An app is the process beside a sidecar. Its clients' conversations are not in it: an
// app that starts anew knows nothing.
type app struct {
	p       *pod
	up      bool
	slow    bool // it reads nothing
	sockets map[*appSocket]bool
}

func newApp(p *pod) *app { return &app{p: p, up: true, sockets: map[*appSocket]bool{}} }

// An appSocket is the app's end of a session's socket.
type appSocket struct {
	app   *app
	of    *program
	talk  *talk
	end   *end // the app's
	owner *driver
	n     int // among the client's

	taken   frame.Messages // what the socket took, whether the app has read it or not
	gotten  []byte
	in      frame.Messages
	backlog []byte // what it says and its socket has not taken
	said    []pending
	asked   bool // a close frame came
	closing bool // it has said one
	slow    bool
}

// pending is a message whose bytes the sidecar has not read.
type pending struct {
	n    uint32
	left int // bytes up to its end
}

// probe reports whether the app takes connections.
func (a *app) probe(t *task) bool {
	began := a.p.now()
	t.sleep(200 * time.Microsecond)
	a.p.sockets.Tried(began, a.p.now(), a.up)
	return a.up
}

// dial makes a handshake with the app. nil: it takes no connection.
func (a *app) dial(t *task, talk *talk) *appSocket {
	of := talk.c
	a.p.sockets.Dialling(a.p.now())
	a.p.f.step("the app is dialled", of, a.p)
	defer a.p.sockets.Dialled()
	if !a.probe(t) {
		return nil
	}
	t.sleep(time.Duration(a.p.f.random.Int64N(int64(5 * time.Millisecond))))
	if !a.up {
		return nil
	}
	theirs, _ := a.p.f.newSocket(30 * time.Microsecond)
	s := &appSocket{app: a, of: of, talk: talk, end: theirs}
	theirs.sink, theirs.host = s, a.p.run
	s.taken = frame.Messages{Rules: frame.Rules{Masked: true}, Max: 1 << 20, Buffers: a.p.cfg.AppBuffers}
	s.in = s.taken
	a.sockets[s] = true
	a.p.f.step("the app has answered", of, a.p)
	if of.habit == Ticks {
		s.tick()
	}
	return s
}

// refusedBySidecar ends a socket that no session wants.
func (s *appSocket) refusedBySidecar() {
	s.end.peer.abort()
}

// writeApp writes to the app's socket, and notes which messages that took whole.
func (l *leg) writeApp(parts [][]byte) int {
	n := l.end.write(parts)
	left := n
	for _, p := range parts {
		k := min(len(p), left)
		l.app.gotten = append(l.app.gotten, p[:k]...)
		if left -= k; left == 0 {
			break
		}
	}
	l.app.take(&l.app.taken, &l.app.gotten, func(m *frame.Message, p []byte) {
		if !m.OpCode.IsControl() {
			l.app.talk.handedMessage(l.app, m.OpCode, p)
		}
	})
	return n
}

func (s *appSocket) take(in *frame.Messages, got *[]byte, f func(*frame.Message, []byte)) {
	for {
		m, n, ok, err := in.Next(*got)
		if err != nil {
			s.app.p.f.broke(s.of, "I7", "broken frames reach the app: "+err.Error())
			return
		}
		var p []byte
		if ok {
			p = append(p, m.Payload()...)
			frame.Mask(p, m.Mask, 0)
		}
		if *got = (*got)[n:]; !ok {
			return
		}
		f(&m, p)
	}
}

// bytes implements sink: the app reads.
func (s *appSocket) bytes(p []byte) int {
	if s.app.slow {
		return 0
	}
	rest := append([]byte(nil), p...)
	s.take(&s.in, &rest, func(m *frame.Message, p []byte) {
		switch {
		case m.OpCode == ws.OpClose:
			s.asked = true
			s.closes(p)
		case !m.OpCode.IsControl():
			s.hears(p)
		}
	})
	return len(p) - len(rest)
}

// hears is what an app does about a message.
func (s *appSocket) hears(p []byte) {
	a, of := s.app, s.of
	n, ok := number(p, 'c')
	if !ok {
		return // it restores something
	}
	think := time.Duration(0)
	switch of.habit {
	case Echoes:
	case Thinks:
		think = time.Duration(20+a.p.f.random.IntN(300)) * time.Millisecond
	case Answers:
		if n%3 != 0 {
			return
		}
		a.p.after(3*time.Millisecond, s.says)
	default:
		return
	}
	if think == 0 {
		s.says()
		return
	}
	a.p.after(think, s.says)
}

func (s *appSocket) tick() {
	s.app.p.after(time.Duration(30+s.app.p.f.random.IntN(400))*time.Millisecond, func() {
		if s.app.sockets[s] && s.talk.mayTick() {
			s.says()
			s.tick()
		}
	})
}

// says says the next message.
func (s *appSocket) says() {
	if !s.app.sockets[s] || s.closing || s.owner == nil {
		return
	}
	n := s.talk.says(s)
	s.app.p.f.step("the app says a message", s.of, s.app.p)
	p := message('a', s.of.n, n)
	op := ws.OpBinary
	if n%5 == 0 {
		op = ws.OpText
	}
	var b []byte
	if n%4 == 0 {
		b = frame.Append(nil, ws.Header{OpCode: op}, p[:2])
		b = frame.Append(b, ws.Header{Fin: true}, p[2:])
	} else {
		b = frame.Append(nil, ws.Header{Fin: true, OpCode: op}, p)
	}
	s.said = append(s.said, pending{n, len(b)})
	s.push(b)
}

// push gives the socket what it takes, and the rest when it takes more.
func (s *appSocket) push(b []byte) {
	s.backlog = append(s.backlog, b...)
	n := s.end.write([][]byte{s.backlog})
	s.backlog = s.backlog[n:]
}

func (s *appSocket) writable() {
	s.push(nil)
	s.finish()
}

// heard notes that the session took n bytes of what the app said.
func (s *appSocket) heard(n int) {
	for n > 0 && len(s.said) > 0 {
		first := &s.said[0]
		k := min(n, first.left)
		first.left -= k
		if n -= k; first.left > 0 {
			return
		}
		s.talk.heard(s, first.n)
		s.said = s.said[1:]
	}
}

// closes says close, with what it was told or by itself.
func (s *appSocket) closes(payload []byte) {
	if s.closing || !s.app.sockets[s] {
		return
	}
	s.closing = true
	s.backlog = frame.Append(s.backlog, ws.Header{Fin: true, OpCode: ws.OpClose}, payload)
	s.push(nil)
	s.finish()
}

func (s *appSocket) closesWith(code ws.StatusCode) {
	s.closes(wire.AppendClosePayload(nil, code, ""))
}

// finish ends the socket when all has been said.
func (s *appSocket) finish() {
	if s.closing && len(s.backlog) == 0 && s.app.sockets[s] {
		delete(s.app.sockets, s)
		s.end.close()
	}
}

// gone implements sink.
func (s *appSocket) gone(bool) {
	delete(s.app.sockets, s)
	s.end.close()
}

// restarts ends the process, and begins another one after d. cleanly: it closes its
// sockets as programs do that are asked to stop.
func (a *app) restarts(cleanly bool, d time.Duration) {
	if !a.up {
		return
	}
	a.up = false
	for _, s := range a.all() {
		if cleanly {
			s.closesWith(wire.CodeRestart)
			continue
		}
		s.talk.appDies(s)
		delete(a.sockets, s)
		s.end.abort()
	}
	a.p.after(d, func() { a.up = true })
}

// reads ends a time in which the app has read nothing.
func (a *app) reads() {
	a.slow = false
	for _, s := range a.all() {
		s.end.again()
	}
}

// dies ends the process with its pod.
func (a *app) dies(silently bool) {
	a.up = false
	for _, s := range a.all() {
		s.talk.appDies(s)
		delete(a.sockets, s)
		s.end.deaf, s.end.over = true, true
	}
}

// all returns the sockets in the order of their clients.
func (a *app) all() (list []*appSocket) {
	for _, c := range a.p.f.clients {
		if c.talk == nil {
			continue
		}
		for _, s := range c.talk.sockets {
			if a.sockets[s] {
				list = append(list, s)
			}
		}
	}
	return list
}

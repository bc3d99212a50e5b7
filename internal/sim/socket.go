package sim

import "time"

// socketRoom is what a socket takes before the other end has read: as little as makes
// full ones usual.
const socketRoom = 4 << 10

// A sink is told of what happens to its end of a socket.
type sink interface {
	bytes(p []byte) (used int)
	writable()
	gone(broken bool)
}

// An end is one end of a socket between a client and a sidecar. It takes bytes
// without ever making the caller wait.
type end struct {
	f    *fleet
	peer *end
	sink sink
	host func(func()) // runs it when the process is there to see it; nil: at once
	via  []*pod       // what passes the bytes on

	latency time.Duration
	lastAt  time.Time // when what was written last arrives
	room    int
	short   bool // a write did not fit
	buffer  []byte
	paused  bool
	reading bool
	refused time.Time // when the sink last used nothing
	over    bool      // this end is closed, or knows that the other is
	deaf    bool      // nothing that is sent to this end arrives any more
}

// newSocket makes both ends of a socket.
func (f *fleet) newSocket(latency time.Duration) (a, b *end) {
	a, b = &end{f: f, latency: latency, room: socketRoom}, &end{f: f, latency: latency, room: socketRoom}
	a.peer, b.peer = b, a
	return a, b
}

// write takes what fits, and returns how much that was.
func (e *end) write(parts [][]byte) (n int) {
	if e.over {
		return 0
	}
	var p []byte
	for _, part := range parts {
		k := min(len(part), e.room)
		p = append(p, part[:k]...)
		e.room -= k
		n += k
		if k < len(part) {
			e.short = true
			break
		}
	}
	if n > 0 {
		e.send(func(to *end) { to.arrive(p) })
	}
	return n
}

// send lets something happen at the other end, behind what was sent before.
func (e *end) send(what func(to *end)) {
	at := e.f.now.Add(e.latency + time.Duration(e.f.random.Int64N(int64(e.latency)+1)))
	if at.Before(e.lastAt) {
		at = e.lastAt
	}
	e.lastAt = at
	to := e.peer
	e.f.at(at, func() { e.pass(to, what, 0) })
}

// pass takes what was sent past the processes between the ends.
func (e *end) pass(to *end, what func(*end), hop int) {
	if hop < len(e.via) {
		p := e.via[hop]
		switch {
		case !p.alive:
			return
		case p.paused:
			p.defers(func() { e.pass(to, what, hop+1) })
			return
		}
		e.pass(to, what, hop+1)
		return
	}
	if to.deaf || to.over {
		return
	}
	to.atHost(func() {
		if !to.deaf && !to.over {
			what(to)
		}
	})
}

func (e *end) atHost(run func()) {
	if e.host == nil {
		run()
	} else {
		e.host(run)
	}
}

func (e *end) arrive(p []byte) {
	e.buffer = append(e.buffer, p...)
	e.read()
}

// read gives the sink what has come, as far as it takes it.
func (e *end) read() {
	if e.reading || e.sink == nil {
		return
	}
	e.reading = true
	defer func() { e.reading = false }()
	for !e.over && !e.paused && len(e.buffer) > 0 {
		n := e.sink.bytes(e.buffer)
		if n == 0 {
			e.refused = e.f.now
			return
		}
		if n >= len(e.buffer) {
			e.buffer = nil
		} else {
			e.buffer = e.buffer[n:]
		}
		e.peer.room += n
		if from := e.peer; from.short && !from.over {
			from.short = false
			e.f.after(e.latency, func() {
				from.atHost(func() {
					if !from.over && from.sink != nil {
						from.sink.writable()
					}
				})
			})
		}
	}
}

// pause stops or resumes reading.
func (e *end) pause(on bool) {
	if e.paused == on {
		return
	}
	if e.paused = on; !on {
		e.again()
	}
}

// again offers the sink soon what it has not used; a while later if it has just refused
// that, since a step of one leg offers what waits on the other, and both may be waiting
// for the rest of a message.
func (e *end) again() {
	if len(e.buffer) == 0 || e.reading {
		return
	}
	wait := time.Duration(0)
	if e.refused.Equal(e.f.now) {
		wait = time.Millisecond
	}
	e.f.after(wait, func() { e.atHost(e.read) })
}

// close ends this end with a FIN behind what was written.
func (e *end) close() {
	if !e.over {
		e.over = true
		e.send(func(to *end) { to.lose(false) })
	}
}

// abort ends it with a reset.
func (e *end) abort() {
	if !e.over {
		e.over = true
		e.send(func(to *end) { to.lose(true) })
	}
}

// lose is how an end learns that the other has ended, or that the network says so.
func (e *end) lose(broken bool) {
	if e.over {
		return
	}
	if !broken && e.paused && len(e.buffer) > 0 { // what was said before comes first
		e.f.after(10*time.Millisecond, func() { e.atHost(func() { e.lose(broken) }) })
		return
	}
	e.over = true
	if e.sink != nil {
		e.sink.gone(broken)
	}
}

// breaks ends both ends: each learns it a little later.
func (e *end) breaks(broken bool) {
	for _, x := range []*end{e, e.peer} {
		x.f.after(x.latency, func() { x.atHost(func() { x.lose(broken) }) })
	}
}

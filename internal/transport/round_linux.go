package transport

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Implementation limits of a round.
const (
	// roundConns are read at once, and as many writes wait at most: some 300 µs of
	// the kernel's work in each of the two calls.
	roundConns = 64

	// roundRead is offered to one read of a round. Who has more to say is read by
	// itself.
	roundRead = scarceRead

	// roundRest is how much of a message that has not come as a whole may stand in
	// front of what is read.
	roundRest = 512

	// roundSlot is room for both. Slots do not lie at the same place of their pages,
	// since caches tell memory apart by that.
	roundSlot = roundRest + roundRead + 3*64

	// roundParts are slices of all writes together.
	roundParts = 4 * roundConns

	// roundWrite is the most that one write has. The kernel copies what is larger
	// for longer than a system call takes.
	roundWrite = 8 << 10

	// roundLeast sockets make a round: of fewer each had better be answered as soon
	// as it is read. As many writes are worth a submission.
	roundLeast = 4
)

// A Round is what a loop does with many sockets that are ready, in three phases:
// it reads all of them in one system call; their sinks take what came; and the
// first write of each, which waits until then, is in another system call. What is
// short, refused, or comes to a session that waits already takes its own.
//
// A sink gets the round with the bytes. It is good until that call returns, and
// belongs to the loop's goroutine.
type Round struct {
	home  *loop
	aio   *aio
	least int // sockets, and writes, for which a submission is worth it

	ready []*epollConn // to be read
	later []offer      // of those that were read, when nobody waits any more

	reads   [roundConns]iocb
	results [roundConns]int
	slots   []byte
	writes  []roundWriter
	writing [roundConns]iocb
	parts   [roundParts]unix.Iovec
	used    int // of parts
}

// refused stands for the result of an operation that was not performed.
const refused = -int(^uint32(0) >> 1)

// roundWriter is a write that waits.
type roundWriter struct {
	t     *epollConn
	then  Waiter
	parts []unix.Iovec
	size  int
}

// offer is what was read of a socket.
type offer struct {
	t     *epollConn
	slot  int
	n     int // the result of reading
	taken int // by its sink, if more than 0
}

func newRound(home *loop, a *aio, least int) *Round {
	return &Round{home: home, aio: a, least: least, slots: make([]byte, roundConns*roundSlot), writes: make([]roundWriter, 0, roundConns)}
}

// Write takes a write of c, and reports whether it did: otherwise c.Write has to be
// called as ever. Only a sink that was given the round calls it, once, for a socket
// of its own. The parts have to stay as they are until then hears what came of it,
// on the same goroutine: the lock under which the write was made is kept until that.
func (r *Round) Write(c Conn, parts [][]byte, then Waiter) bool {
	if r == nil || len(parts) > fewParts || len(r.writes) == cap(r.writes) || r.used+len(parts) > len(r.parts) {
		return false
	}
	t, ok := c.(*epollConn)
	if !ok || t.home.Load() != r.home || t.hung || size(parts) > roundWrite {
		return false
	}
	i := len(r.writes)
	vec := r.parts[r.used : r.used+len(parts) : r.used+len(parts)]
	r.used += len(parts)
	for j, p := range parts {
		vec[j].Base = unsafe.SliceData(p)
		vec[j].SetLen(len(p))
	}
	op := &r.writing[i]
	*op = iocb{data: uint64(i), flags: r.aio.flags, opcode: aioWritev, fd: uint32(t.fd), buf: uint64(uintptr(unsafe.Pointer(&vec[0]))), n: uint64(len(vec))}
	if len(parts) == 1 {
		op.opcode, op.buf, op.n = aioWrite, addressOf(parts[0]), uint64(len(parts[0]))
	}
	r.writes = append(r.writes, roundWriter{t, then, vec, size(parts)})
	return true
}

// run reads the sockets that are ready, and does all that follows.
func (r *Round) run() {
	for rest := r.ready; len(rest) > 0; {
		some := rest[:min(len(rest), roundConns)]
		rest = rest[len(some):]
		r.read(some)
		for i, t := range some {
			r.offer(t, i)
		}
		r.write()
		for i := range r.later {
			r.offerLate(&r.later[i])
		}
		clear(r.later)
		r.later = r.later[:0]
		if len(rest) > 0 {
			r.home.breathe()
		}
	}
	clear(r.ready)
	r.ready = r.ready[:0]
}

// oneByOne reads the sockets that are ready as if there were no rounds.
func (r *Round) oneByOne() {
	for _, t := range r.ready {
		t.readInTurn()
	}
	clear(r.ready)
	r.ready = r.ready[:0]
}

// read reads each socket once.
func (r *Round) read(some []*epollConn) {
	r.aio.list = r.aio.list[:0]
	for i, t := range some {
		p := r.slot(i)
		p = p[copy(p, t.in.rest()):]
		r.reads[i] = iocb{data: uint64(i), opcode: aioRead, fd: uint32(t.fd), buf: addressOf(p), n: roundRead}
		r.aio.list = append(r.aio.list, &r.reads[i])
	}
	r.submit()
}

// slot is the memory of one socket.
func (r *Round) slot(i int) []byte {
	return r.slots[i*roundSlot:][: roundRest+roundRead : roundRest+roundRead]
}

// submit performs what is in the list, and marks what was refused.
func (r *Round) submit() {
	n := len(r.aio.list)
	done := r.aio.submit(r.results[:n])
	for i := done; i < n; i++ {
		r.results[i] = refused
	}
}

// offer gives a sink what was read for it. What does not go on at once, with the
// lock that is free, waits until nobody waits for a write: a loop that keeps
// sessions locked must not wait for the lock of another.
func (r *Round) offer(t *epollConn, i int) {
	n := r.results[i]
	if -n == int(unix.EAGAIN) {
		t.ready = false
		return
	}
	sink, ok := t.sink.(RoundSink)
	if n <= 0 || !ok || !t.open() {
		r.later = append(r.later, offer{t: t, slot: i, n: n})
		return
	}
	p := r.slot(i)[:len(t.in.rest())+n]
	before := len(r.writes)
	used, ok := sink.BytesInRound(p, r)
	switch {
	case !ok:
		r.later = append(r.later, offer{t: t, slot: i, n: n})
	case used < len(p) && len(r.writes) > before:
		r.later = append(r.later, offer{t: t, slot: i, n: n, taken: used})
	default:
		t.in.replace(p[used:])
		t.more(n)
	}
}

// offerLate is offer when no session is kept locked.
func (r *Round) offerLate(o *offer) {
	t := o.t
	switch {
	case o.n == refused:
		t.read()
		return
	case o.n <= 0:
		t.ready = false
		t.gone(o.n < 0)
		return
	}
	p := r.slot(o.slot)[o.taken : len(t.in.rest())+o.n]
	switch {
	case t.state.Load() == readDiscards:
	case t.open():
		t.in.replace(p[t.sink.Bytes(p):])
	default: // for the end of the pause, or for readLast
		t.in.replace(p)
		t.refeed.Store(true)
	}
	t.more(o.n)
}

// more notes whether there may be more to read, after a read of a round that
// brought n bytes.
func (t *epollConn) more(n int) {
	t.reads = readsLittle
	if n < roundRead && !t.hung {
		t.ready = false
		return
	}
	t.reads = readsMuch
	t.waitTurn()
}

// write writes all that waits, and lets the sessions go on.
func (r *Round) write() {
	n := len(r.writes)
	if n == 0 {
		return
	}
	r.aio.list = r.aio.list[:0]
	if n >= r.least {
		for i := range r.writes {
			r.aio.list = append(r.aio.list, &r.writing[i])
		}
		r.submit()
	} else {
		for i := range r.writes {
			r.results[i] = refused
		}
	}
	for i := range r.writes {
		w := &r.writes[i]
		took := r.results[i]
		if took == refused {
			took = -int(unix.EAGAIN)
			if n, errno := writeVector(w.t.fd, w.parts); errno == 0 {
				took = n
			} else {
				took = -int(errno)
			}
		}
		w.then.Wrote(w.t.took(took, w.size))
	}
	clear(r.writes)
	r.writes = r.writes[:0]
	clear(r.parts[:r.used])
	r.used = 0
}

// took acts on the result of a write of size bytes, and returns how many were
// taken. That there is room again the loop will hear: it has not asked since.
func (t *epollConn) took(n, size int) int {
	switch {
	case n == size:
	case n >= 0:
		t.short.Store(true)
	case -n == int(unix.EAGAIN):
		t.short.Store(true)
		n = 0
	default:
		t.fail()
		n = 0
	}
	return n
}

package transport

import (
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// epollConn is the transport of a TCP or Unix socket on an event loop. It costs an
// idle connection this struct and nothing else: no goroutine, no timer, no
// buffer. The descriptor is its own, so that the runtime does not poll it too,
// and only the loop closes it.
type epollConn struct {
	// Immutable.
	fd int
	at *Affinity // another loop than home's: the socket is to move

	sink Sink // the loop's, from Start on

	home   atomic.Pointer[loop] // whose goroutine this socket belongs to
	state  atomic.Int32         // readOpen and so on; the owner's
	began  atomic.Bool          // Start was called
	shut   atomic.Bool          // FIN is wanted
	paused atomic.Bool          // the owner's
	refeed atomic.Bool          // reading begins or was resumed: what is left is offered
	short  atomic.Bool          // Writable is owed
	room   atomic.Uint32        // counts edges of room: one may come while Write writes
	posted atomic.Bool          // in loop.posted

	// Owned by the loop's goroutine; early is Start's before.
	early   []byte
	in      inbox
	ready   bool // there may be something to read
	hung    bool // the kernel said that the end is there: there is no edge to wait for
	again   bool // in loop.again
	reads   amount
	watched bool
	ended   bool // no more bytes come, which the sink has heard
	finned  bool // FIN was sent
	closed  bool
}

// amount is what the last read of a socket brought.
type amount uint8

const (
	readsLittle  amount = iota // it may be read with others, in a Round
	readsMuch                  // it is read by itself
	readsHeavily               // and waits for its turn behind the others
)

// lingering takes the sink's place when a socket is being finished: it wants no
// bytes, and an idle socket need not have room for it.
type lingering struct {
	Discard
	linger
	look atomic.Bool // it is time
}

// lastWords takes the sink's place when a write has failed in a pause: what the
// peer had said waits for its owner, but not for ever.
type lastWords struct {
	Sink
	took bool        // the owner did, since the last look
	look atomic.Bool // it is time
}

// Bytes implements Sink.
func (l *lastWords) Bytes(p []byte) int {
	used := l.Sink.Bytes(p)
	l.took = l.took || used > 0
	return used
}

// Memory is room for one transport, so that whoever owns it has it in the same
// object. The zero value is ready; it is used once.
type Memory struct{ conn epollConn }

func openEpoll(conn net.Conn, sink Sink, s *Sockets, at *Affinity, own *Memory) Conn {
	if at == nil {
		at = new(Affinity)
	}
	if own == nil {
		own = new(Memory)
	}
	return newEpollConn(conn, sink, &s.buffers, &s.loops, at, &own.conn)
}

// newEpollConn moves a connection to the loop, as t, which is zero. It returns nil
// and leaves the connection alone if that has no descriptor, or there are no
// more to be had.
func newEpollConn(conn net.Conn, s Sink, b *bufferPool, among *loops, at *Affinity, t *epollConn) Conn {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	home := at.find(among)
	if home == nil {
		return nil
	}
	own := -1
	err = raw.Control(func(fd uintptr) { own, _ = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
	if err != nil || own < 0 {
		return nil
	}
	conn.Close()
	t.fd, t.sink, t.at = own, s, at
	t.home.Store(home)
	t.in.pool = b
	return t
}

// post makes the loop look at the socket soon. It does not wait.
func (t *epollConn) post() { t.home.Load().post(t) }

// Start implements Conn.
func (t *epollConn) Start(early []byte) {
	t.early = early
	t.refeed.Store(true)
	t.began.Store(true)
	t.post()
}

// Write implements Conn.
func (t *epollConn) Write(parts [][]byte) (wrote int) {
	edges := t.room.Load()
	for rest := parts; len(rest) > 0; {
		batch := rest[:min(maxBatch, len(rest))]
		rest = rest[len(batch):]
		n, errno := writeSocket(t.fd, batch)
		wrote += n
		if errno != 0 && errno != unix.EAGAIN {
			t.fail()
			return wrote
		}
		if n < size(batch) {
			t.short.Store(true)
			if t.room.Load() != edges {
				t.post() // an edge passed before the loop knew that it is awaited
			}
			return wrote
		}
	}
	return wrote
}

// Pause implements Conn. The order of the two stores lets the loop see
// refeed whenever it has seen the end of a pause.
func (t *epollConn) Pause(on bool) {
	if t.paused.Load() == on {
		return
	}
	if !on {
		t.refeed.Store(true)
	}
	t.paused.Store(on)
	if !on {
		t.post()
	}
}

// Shut implements Conn.
func (t *epollConn) Shut() {
	t.shut.Store(true)
	t.post()
}

// Finish implements Conn.
func (t *epollConn) Finish() {
	t.shut.Store(true)
	t.state.Store(readDiscards)
	t.post()
}

// Abort implements Conn.
func (t *epollConn) Abort() {
	t.state.Store(readClosed)
	t.post()
}

// Progress implements Conn.
func (t *epollConn) Progress() (Progress, bool) { return tcpProgress(t.fd) }

// Broken implements Conn.
func (t *epollConn) Broken() bool { return t.state.Load() == readFailed }

// fail makes the loop report Gone: a write has failed.
func (t *epollConn) fail() {
	if t.state.CompareAndSwap(readOpen, readFailed) {
		t.post()
	}
}

// look acts on what the owner wants.
func (t *epollConn) look() {
	if t.closed {
		return
	}
	state := t.state.Load()
	if state == readClosed {
		t.reset()
		return
	}
	if t.moves() || !t.watched && !t.watch(state) || t.closed {
		return
	}
	if t.shut.Load() && !t.finned {
		t.finned = true
		_ = unix.Shutdown(t.fd, unix.SHUT_WR) // a broken socket is told by reading
	}
	switch state {
	case readOpen:
		t.writable()
		if t.offers() {
			t.readInTurn()
		}
	case readFailed:
		t.readLast()
	case readDiscards:
		t.discard()
	}
}

// watch begins to hear of the socket, once the owner has begun.
func (t *epollConn) watch(state int32) bool {
	if !t.began.Load() && state != readDiscards {
		return false
	}
	t.watched = true
	t.in.keep(t.early)
	t.early = nil
	if err := t.home.Load().watch(t); err != nil {
		t.gone(true) // out of the kernel's memory, or of its limit on watches
	}
	return true
}

// moves follows the session to another loop, if it is to be on one, and reports
// whether it did. The kernel tells the new loop anew what there is to read and
// whether there is room.
func (t *epollConn) moves() bool {
	home, to := t.home.Load(), t.at.loop.Load()
	if home == to {
		return false
	}
	if t.watched {
		t.watched, t.again = false, false
		home.forget(t)
		_ = unix.EpollCtl(home.poll, unix.EPOLL_CTL_DEL, t.fd, nil) // it was there
	}
	t.home.Store(to)
	to.post(t)
	return true
}

// event acts on what the kernel says of the socket, and reports whether it is to
// be read.
func (t *epollConn) event(events uint32) (readable bool) {
	if t.moves() {
		return false
	}
	if events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		t.hung = true
	}
	if events&unix.EPOLLOUT != 0 {
		t.room.Add(1)
		t.writable()
	}
	if events&^unix.EPOLLOUT == 0 {
		return false
	}
	t.ready = true
	return true
}

// inRound reports whether the socket may be read together with others.
func (t *epollConn) inRound() bool {
	return t.reads == readsLittle && !t.again && !t.ended && !t.closed &&
		t.open() && !t.refeed.Load() && len(t.in.rest()) <= roundRest
}

// readInTurn is read for a socket that may have to wait for its turn.
func (t *epollConn) readInTurn() {
	switch {
	case t.reads != readsHeavily:
		t.read()
	case t.ready && !t.again && !t.ended && !t.closed:
		t.waitTurn()
	}
}

// waitTurn makes the loop read the socket when others had their turn.
func (t *epollConn) waitTurn() {
	home := t.home.Load()
	t.again = true
	home.again = append(home.again, t)
}

func (t *epollConn) writable() {
	if t.short.Load() && t.state.Load() == readOpen {
		t.short.Store(false)
		t.sink.Writable()
	}
}

// open reports whether the sink is to hear of bytes.
func (t *epollConn) open() bool { return !t.paused.Load() && t.state.Load() == readOpen }

// offers reports whether the sink takes what is read. It has to have what is left
// over first: behind that may be the end.
func (t *epollConn) offers() bool {
	if !t.open() {
		return false
	}
	if t.refeed.Swap(false) {
		t.in.feed(t.sink)
		return t.open()
	}
	return true
}

// read reads once and offers it, unless a pause, or the owner, says otherwise.
// What it leaves in the kernel comes when the other sockets had their turn. It
// returns how many bytes came.
func (t *epollConn) read() int {
	discards := t.state.Load() == readDiscards
	if !t.ready || t.again || t.ended || t.closed || !discards && !t.offers() {
		return 0
	}
	home := t.home.Load()
	rest := t.in.rest()
	lent := len(rest) <= shortRest // else the next read goes behind it, where it is
	var p []byte
	if lent {
		p = t.in.pool.offer(home.buf[copy(home.buf, rest):])
	} else {
		p = t.in.space()
	}
	n, errno := readSocket(t.fd, p)
	t.reads = readsLittle
	if n >= heavyRead {
		t.reads = readsHeavily
	} else if n >= roundRead {
		t.reads = readsMuch
	}
	if errno == unix.EAGAIN {
		t.ready = false
		return 0
	}
	if n == 0 {
		t.ready = false
		t.gone(errno != 0)
		return 0
	}
	// Less than was asked for means that there is no more, and an edge will
	// tell of what comes; but for the end, whose edge may have been this one.
	if n < len(p) && !t.hung {
		t.ready = false
	} else {
		t.waitTurn()
	}
	switch {
	case discards:
	case lent:
		p = home.buf[:len(rest)+n]
		t.in.replace(p[t.sink.Bytes(p):])
	default:
		t.in.fill(n)
		t.in.feed(t.sink)
	}
	return n
}

// readLast reads what the peer had said before a write failed, and tells the end
// then. The peer's own end is behind it.
func (t *epollConn) readLast() {
	for !t.ended && t.state.Load() == readFailed {
		if t.paused.Load() {
			if t.waitsLast() {
				return
			}
			break
		}
		if t.refeed.Swap(false) {
			t.in.feed(t.sink)
			continue
		}
		n, _ := readSocket(t.fd, t.in.space())
		if n == 0 {
			break
		}
		t.in.fill(n)
		t.in.feed(t.sink)
	}
	if t.state.Load() == readFailed {
		t.gone(true)
	}
}

// waitsLast reports whether what the peer had said waits on for an owner that
// does not read.
func (t *epollConn) waitsLast() bool {
	t.in.shrink()
	l, begun := t.sink.(*lastWords)
	if begun && !l.look.Swap(false) {
		return true // a look is to come
	}
	if begun && !l.took {
		return false
	}
	if !begun {
		l = &lastWords{Sink: t.sink}
		t.sink = l
	}
	l.took = false
	t.awaitLook(&l.look, lastWordsWait)
	return true
}

// gone tells that no more bytes come. The owner decides when the socket is
// closed, since it may still want to write.
func (t *epollConn) gone(broken bool) {
	if t.ended {
		return
	}
	t.ended = true
	t.in.drop()
	if t.state.Load() == readDiscards {
		t.close()
		return
	}
	t.sink.Gone(broken)
}

// discard reads to the end and closes then, or when linger says so.
func (t *epollConn) discard() {
	t.in.drop()
	if t.ended {
		t.close()
		return
	}
	l, begun := t.sink.(*lingering)
	if !begun {
		l = new(lingering)
		t.sink = l
		t.awaitLook(&l.look, lingerClose)
	}
	if l.look.Swap(false) {
		if p, ok := tcpProgress(t.fd); l.over(time.Now(), p, ok, t.in.pool.patience()) {
			t.reset()
			return
		}
		t.awaitLook(&l.look, lingerClose)
	}
	t.ready = true
	t.read()
}

// awaitLook makes the loop look at the socket after a while.
func (t *epollConn) awaitLook(look *atomic.Bool, after time.Duration) {
	time.AfterFunc(after, func() {
		look.Store(true)
		t.post()
	})
}

// reset closes the socket with RST, if there is something that the peer has
// not read.
func (t *epollConn) reset() {
	_ = unix.SetsockoptLinger(t.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	t.close()
}

func (t *epollConn) close() {
	if t.closed {
		return
	}
	t.closed, t.ended = true, true
	t.in.drop()
	t.home.Load().forget(t)
	_ = unix.Close(t.fd)
}

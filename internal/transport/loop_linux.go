package transport

import (
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Implementation limits of the loops.
const (
	// loopEvents is taken from the kernel at once. More waits there.
	loopEvents = 256

	// loopBuffer is offered to one read, and is the most that one socket gets
	// before the others have their turn.
	loopBuffer = 64 << 10

	// heavyRead makes a socket one that has much to say: the next time it waits for
	// its turn behind those that have little.
	heavyRead = loopBuffer / 4

	// turnBytes is what sockets with much to say get together, before the others
	// are looked at again. Each of hundreds would otherwise have its loopBuffer
	// while a message of a few bytes waits.
	turnBytes = 4 * loopBuffer

	// maxStretch is how long a loop runs before it lets other goroutines run. The
	// scheduler would take the processor away after 10 ms, and where there is only
	// one, heartbeats and handshakes would wait for as long each time. Where there
	// are others, these take what waits, and each time that a loop lets others run
	// wakes one of them: sharedStretch.
	maxStretch    = time.Millisecond
	sharedStretch = 4 * time.Millisecond
)

// A loop reads the sockets of its sessions, and calls their sinks on its own
// goroutine. Both sockets of a session are on the same loop, but for the moment
// in which they move.
//
// Sockets are registered once, for both directions and for edges only, so that
// nothing but reads and writes is asked of the kernel per message. What an edge
// said and was not acted upon is kept in the socket.
type loop struct {
	// Immutable.
	poll     int      // the epoll instance
	wakefd   int      // an eventfd that ends its wait
	idlePoll int      // a second epoll, which watches poll while the loop is idle
	file     *os.File // idlePoll as the runtime polls it
	ready    syscall.RawConn
	pollFn   func(uintptr) bool // pollOnce, bound once
	among    *loops
	stretch  time.Duration // see maxStretch

	// Owned by the loop's goroutine.
	events  [loopEvents]unix.EpollEvent
	got     int  // of events, in this round
	idle    bool // it sleeps as a goroutine: see setIdle
	naps    naps
	buf     []byte
	sockets []*epollConn // by descriptor
	again   []*epollConn // have much to read, when the others had their turn; the first is next
	spare   []*epollConn // an earlier posted, empty
	round   *Round       // nil: each socket is read and written by itself
	meter   meter
	heard   heard
	rested  time.Time // when others could run

	asleep atomic.Bool   // waits in the kernel, or is about to
	busy   atomic.Uint32 // what the meter said, in percent

	mu      sync.Mutex   // guards the rest
	posted  []*epollConn // the loop is asked to look at them
	stopped bool         // it is to end
	ended   bool         // it has
}

func newLoop(among *loops) (_ *loop, err error) {
	l := &loop{poll: -1, wakefd: -1, idlePoll: -1, among: among, buf: make([]byte, loopBuffer), stretch: maxStretch}
	if l.naps.never = runtime.GOMAXPROCS(0) == 1; !l.naps.never {
		l.stretch = sharedStretch
	}
	l.pollFn = l.pollOnce
	defer func() {
		if err != nil {
			l.release()
		}
	}()
	if l.poll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	if l.wakefd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, err
	}
	if err = unix.EpollCtl(l.poll, unix.EPOLL_CTL_ADD, l.wakefd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(l.wakefd)}); err != nil {
		return nil, err
	}
	if l.idlePoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	// Now, since the kernel looks at all that poll has when it is added.
	if err = unix.EpollCtl(l.idlePoll, unix.EPOLL_CTL_ADD, l.poll, &unix.EpollEvent{}); err != nil {
		return nil, err
	}
	_ = unix.SetNonblock(l.idlePoll, true) // so that os.NewFile has the runtime poll it
	l.file = os.NewFile(uintptr(l.idlePoll), "epoll")
	if err = l.file.SetReadDeadline(time.Time{}); err != nil {
		return nil, err // it does not
	}
	if l.ready, err = l.file.SyscallConn(); err != nil {
		return nil, err
	}
	return l, nil
}

// release closes the loop's own descriptors.
func (l *loop) release() {
	own := []int{l.poll, l.wakefd, l.idlePoll}
	if l.file != nil {
		_ = l.file.Close() // idlePoll
		own = own[:2]
	}
	for _, fd := range own {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

func (l *loop) run() {
	l.meter.since = time.Now()
	for {
		events := l.wait()
		l.housekeep(time.Now(), events)
		waited := len(l.again) // who comes in this round has a turn in the next
		l.dispatch(events)
		l.serve(waited)
		l.heard.read(len(events), loopEvents, len(l.sockets))
		if l.runPosted() {
			l.end()
			return
		}
	}
}

// dispatch acts on events. Sockets that are to be read are so together, if they are
// enough for a Round.
func (l *loop) dispatch(events []unix.EpollEvent) {
	gather := l.round != nil && len(events) >= l.round.least
	for i := range events {
		t := l.event(&events[i])
		switch {
		case t == nil:
		case gather && t.inRound():
			l.round.ready = append(l.round.ready, t)
		default:
			t.readInTurn()
		}
	}
	switch {
	case !gather:
	case len(l.round.ready) >= l.round.least:
		l.round.run()
	default:
		l.round.oneByOne()
	}
}

// serve reads the first n of those that have much to say, as far as turnBytes goes.
func (l *loop) serve(n int) {
	i := 0
	for read := 0; i < n && read < turnBytes; i++ {
		if t := l.again[i]; t.home.Load() == l && t.again { // else it has moved meanwhile
			t.again = false
			read += t.read()
		}
	}
	left := copy(l.again, l.again[i:])
	clear(l.again[left:])
	l.again = l.again[:left]
}

// housekeep measures the load, and acts on it.
func (l *loop) housekeep(now time.Time, events []unix.EpollEvent) {
	if busy, ok := l.meter.read(now); ok {
		l.busy.Store(busy)
		l.setIdle(busy < busyBrisk)
		if busy > busyTooMuch {
			l.rebalance(events)
		}
	}
	l.restAt(now)
}

// breathe lets other goroutines run, if it is time.
func (l *loop) breathe() { l.restAt(time.Now()) }

func (l *loop) restAt(now time.Time) {
	if now.Sub(l.rested) > l.stretch {
		runtime.Gosched()
		l.rested = time.Now()
	}
}

// load is how busy the loop is, in percent. What it said before it fell asleep
// is old.
func (l *loop) load() uint32 {
	if l.asleep.Load() {
		return 0
	}
	return l.busy.Load()
}

// rebalance gives half of the sessions that want something now to a loop that has
// time. Their sockets follow when they have an event.
func (l *loop) rebalance(events []unix.EpollEvent) {
	to := l.among.lessBusy(l)
	if to == nil {
		return
	}
	for i := 0; i < len(events); i += 2 {
		if t := l.socket(events[i].Fd); t != nil {
			t.at.loop.Store(to)
		}
	}
}

// event acts on what the kernel says, and returns the socket that is to be read, or
// nil.
func (l *loop) event(e *unix.EpollEvent) *epollConn {
	if int(e.Fd) == l.wakefd {
		var count [8]byte
		_, _ = unix.Read(l.wakefd, count[:])
		return nil
	}
	if t := l.socket(e.Fd); t != nil && t.event(e.Events) {
		return t
	}
	return nil
}

// socket is nil for one that was closed, or moved, since the kernel spoke of it.
func (l *loop) socket(fd int32) *epollConn {
	if int(fd) >= len(l.sockets) {
		return nil
	}
	return l.sockets[fd]
}

// edgesOnly is EPOLLET, which unix has as a negative number.
const edgesOnly = 1 << 31

// watch begins to hear of a socket.
func (l *loop) watch(t *epollConn) error {
	const both = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | edgesOnly
	for len(l.sockets) <= t.fd {
		l.sockets = append(l.sockets, nil)
	}
	l.sockets[t.fd] = t
	return unix.EpollCtl(l.poll, unix.EPOLL_CTL_ADD, t.fd, &unix.EpollEvent{Events: both, Fd: int32(t.fd)})
}

// forget hears no more of a socket.
func (l *loop) forget(t *epollConn) {
	if l.socket(int32(t.fd)) == t {
		l.sockets[t.fd] = nil
	}
}

// post makes the loop look at t soon. It does not wait.
func (l *loop) post(t *epollConn) {
	if t.posted.Swap(true) {
		return
	}
	l.mu.Lock()
	if l.ended {
		l.mu.Unlock()
		l.postAfterClose(t)
		return
	}
	l.posted = append(l.posted, t)
	l.wakeLocked()
	l.mu.Unlock()
}

// wakeLocked ends the loop's wait. Under mu the wakefd is still the loop's.
func (l *loop) wakeLocked() {
	if l.asleep.Swap(false) {
		one := [8]byte{1}
		_, _ = unix.Write(l.wakefd, one[:]) // the counter is never full
	}
}

func (l *loop) hasPosted() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.posted) > 0 || l.stopped
}

// runPosted looks at the sockets that were posted, and reports whether the loop
// is to end.
func (l *loop) runPosted() (stopped bool) {
	l.mu.Lock()
	posted := l.posted
	l.posted, stopped = l.spare, l.stopped
	l.mu.Unlock()
	for _, t := range posted {
		t.posted.Store(false)
		if home := t.home.Load(); home != l {
			home.post(t) // it has moved
			continue
		}
		t.look()
	}
	clear(posted)
	l.spare = posted[:0]
	return stopped
}

// stop makes the loop end soon, and close what sockets it has.
func (l *loop) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = true
	l.wakeLocked()
}

// end closes all that the loop has.
func (l *loop) end() {
	for _, t := range l.sockets {
		if t != nil {
			t.close()
		}
	}
	l.mu.Lock()
	l.ended = true
	posted := l.posted
	l.posted = nil
	l.release()
	if l.round != nil {
		l.round.aio.close()
	}
	l.mu.Unlock()
	for _, t := range posted {
		l.postAfterClose(t)
	}
}

// postAfterClose is post for a loop that has ended. The lock stands in
// for the loop's goroutine.
func (l *loop) postAfterClose(t *epollConn) {
	if home := t.home.Load(); home != l {
		t.posted.Store(false)
		home.post(t) // it has moved before
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	t.close()
}

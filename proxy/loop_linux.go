package proxy

import (
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Implementation limits of the loops.
const (
	// loopEvents is taken from the kernel at once. More waits there.
	loopEvents = 256

	// loopBuffer is offered to one read, and is the most that one socket gets
	// before the others have their turn.
	loopBuffer = 64 << 10
)

// loops are the event loops of a server, one per processor. They are made
// when the first socket comes, and end with close.
type loops struct {
	mu   sync.Mutex
	all  []*loop
	next int
}

// pick returns the loop for another session, in turn, or nil where none can
// be made.
func (s *loops) pick() *loop {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := runtime.GOMAXPROCS(0); len(s.all) < n {
		l, err := newLoop()
		if err != nil {
			return nil
		}
		s.all = append(s.all, l)
		return l
	}
	s.next = (s.next + 1) % len(s.all)
	return s.all[s.next]
}

// close ends the loops, and closes the sockets that are left.
func (s *loops) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.all {
		l.stop()
	}
}

// A loop reads the sockets of its sessions, and calls their sinks on its own
// goroutine. Both sockets of a session are on the same loop.
//
// Sockets are registered once, for both directions and for edges only, so that
// nothing but reads and writes is asked of the kernel per message. What an edge
// said and was not acted upon is kept in the socket.
type loop struct {
	// Immutable.
	poll, bell int // the epoll instance; an eventfd that ends its wait

	// Owned by the loop's goroutine.
	buf     []byte
	sockets []*looped // by descriptor
	again   []*looped // have more to read, when the others had their turn
	spare   []*looped // was called, and is empty

	asleep atomic.Bool // waits in the kernel, or is about to

	mu      sync.Mutex // guards the rest
	called  []*looped  // somebody wants the loop to look at them
	stopped bool
}

func newLoop() (*loop, error) {
	poll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	bell, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err == nil {
		err = unix.EpollCtl(poll, unix.EPOLL_CTL_ADD, bell, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(bell)})
	}
	if err != nil {
		unix.Close(poll)
		return nil, err
	}
	l := &loop{poll: poll, bell: bell, buf: make([]byte, loopBuffer)}
	go l.run()
	return l, nil
}

func (l *loop) run() {
	events := make([]unix.EpollEvent, loopEvents)
	for {
		for i := range events[:l.wait(events)] {
			l.event(&events[i])
		}
		again := l.again
		l.again = nil
		for _, t := range again {
			t.again = false
			t.read()
		}
		if l.answer() {
			return
		}
	}
}

// wait returns how many events there are. It looks before it sleeps: under
// load there always is something, and the runtime need not hear of a wait that
// is none.
func (l *loop) wait(events []unix.EpollEvent) int {
	if n, _ := unix.EpollWait(l.poll, events, 0); n > 0 || len(l.again) > 0 {
		return max(n, 0)
	}
	l.asleep.Store(true)
	defer l.asleep.Store(false)
	if l.hasCalls() {
		return 0
	}
	n, _ := unix.EpollWait(l.poll, events, -1) // EINTR is an empty round
	return max(n, 0)
}

func (l *loop) event(e *unix.EpollEvent) {
	if int(e.Fd) == l.bell {
		var count [8]byte
		_, _ = unix.Read(l.bell, count[:])
		return
	}
	if t := l.sockets[e.Fd]; t != nil { // nil: closed since the kernel said so
		t.event(e.Events)
	}
}

// watch begins to hear of a socket.
func (l *loop) watch(t *looped) error {
	const both = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | 1<<31 // EPOLLET, which unix has as a negative number
	for len(l.sockets) <= t.fd {
		l.sockets = append(l.sockets, nil)
	}
	l.sockets[t.fd] = t
	return unix.EpollCtl(l.poll, unix.EPOLL_CTL_ADD, t.fd, &unix.EpollEvent{Events: both, Fd: int32(t.fd)})
}

// forget closes a socket. Its descriptor means another one from now on.
func (l *loop) forget(t *looped) {
	if t.fd < len(l.sockets) && l.sockets[t.fd] == t {
		l.sockets[t.fd] = nil
	}
	unix.Close(t.fd)
}

// call makes the loop look at t soon. It does not wait.
func (l *loop) call(t *looped) {
	if t.called.Swap(true) {
		return
	}
	l.mu.Lock()
	l.called = append(l.called, t)
	l.mu.Unlock()
	l.ring()
}

func (l *loop) ring() {
	if l.asleep.Swap(false) {
		one := [8]byte{1}
		_, _ = unix.Write(l.bell, one[:]) // the counter is never full
	}
}

func (l *loop) hasCalls() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.called) > 0 || l.stopped
}

// answer looks at those who called, and tells whether the loop is to end.
func (l *loop) answer() (stopped bool) {
	l.mu.Lock()
	called := l.called
	l.called, stopped = l.spare, l.stopped
	l.mu.Unlock()
	for _, t := range called {
		t.called.Store(false)
		t.look()
	}
	clear(called)
	l.spare = called[:0]
	if !stopped {
		return false
	}
	for _, t := range l.sockets {
		if t != nil {
			t.close()
		}
	}
	unix.Close(l.poll)
	unix.Close(l.bell)
	return true
}

// stop makes the loop end soon, and close what sockets it has.
func (l *loop) stop() {
	l.mu.Lock()
	l.stopped = true
	l.mu.Unlock()
	l.ring()
}

package transport

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/wsresilience/wsresilience/internal/monotime"
)

// A nap is a sleep of a loop that keeps its processor. The scheduler, which looks
// after all threads for a while each time that one comes back from the kernel, hears
// nothing of it; nor does the kernel need a timer for it. It is ended by what comes,
// by a collection of garbage, and, when nothing comes, by the scheduler's signal for
// goroutines that have run for 10 ms.
const (
	// maxNap is the sleep after which the next one is likely to be as short.
	maxNap = time.Millisecond

	// minNap is what it takes to find that there is something.
	minNap = 4 * time.Microsecond
)

// naps knows whether the next sleep is to be a nap.
type naps struct {
	never  bool // other goroutines have no other processor
	likely bool // the last look at the events found none, and some came soon
}

// wait returns what happened. It looks before it sleeps: under load there always
// is something. When there was nothing the last time, it naps instead of looking.
func (l *loop) wait() []unix.EpollEvent {
	l.heard.polled = monotime.Now()
	nap := l.naps.likely && !l.naps.never && !l.idle && len(l.again) == 0
	if !nap && (l.pollOnce(0) || len(l.again) > 0) {
		return l.events[:l.got]
	}
	if !nap {
		l.heard.nothing()
	}
	l.asleep.Store(true)
	defer l.asleep.Store(false)
	if l.hasPosted() {
		return nil
	}
	began := time.Now()
	if nap {
		l.nap()
		l.woke(began)
		return l.events[:l.got]
	}
	if l.idle {
		_ = l.ready.Read(l.pollFn)
	} else {
		l.got, _ = unix.EpollWait(l.poll, l.events[:], -1)
		l.got = max(l.got, 0) // EINTR is an empty round
	}
	l.rested = l.woke(began)
	return l.events[:l.got]
}

// woke notes a sleep, and returns when it ended.
func (l *loop) woke(began time.Time) time.Time {
	now := time.Now()
	slept := now.Sub(began)
	l.meter.slept += slept
	l.naps.likely = slept >= minNap && slept < maxNap
	return now
}

// nap waits for events. A signal makes it an empty round.
func (l *loop) nap() { l.ask(^uintptr(0)) }

// pollOnce asks the kernel for events, and reports whether there are any.
func (l *loop) pollOnce(uintptr) bool { return l.ask(0) }

func (l *loop) ask(timeout uintptr) bool {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(l.poll), uintptr(unsafe.Pointer(&l.events)), loopEvents, timeout, 0, 0)
	if l.got = int(n); errno != 0 {
		l.got = 0
	}
	return l.got > 0
}

// setIdle decides how the loop sleeps when it does not nap: as a thread in the
// kernel, from where it is back soonest, or as a goroutine that the runtime wakes.
// Whenever a thread comes back from the kernel, the scheduler begins to look after
// all of them for a while, which would cost an idle sidecar more than its
// heartbeats. And while the loop is busy, idlePoll does not watch, since the kernel
// would wake it for every event.
func (l *loop) setIdle(idle bool) {
	if idle == l.idle {
		return
	}
	watches := unix.EpollEvent{}
	if idle {
		watches.Events = unix.EPOLLIN | edgesOnly
	}
	if unix.EpollCtl(l.idlePoll, unix.EPOLL_CTL_MOD, l.poll, &watches) == nil {
		l.idle = idle
	}
}

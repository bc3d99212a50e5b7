package transport

import (
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/wsresilience/wsresilience/internal/monotime"
)

const (
	// maxNap is how long a loop sleeps without letting go of its processor. While
	// there is traffic something comes within that, and the scheduler, which looks
	// after all threads each time that one comes back from the kernel, hears nothing
	// of it. A collection of garbage ends it, by the scheduler's signal.
	maxNap = 200_000 // ns

	// minNap is what it takes to find that there is something.
	minNap = 4 * time.Microsecond
)

// naps knows whether the next sleep is likely to be a nap.
type naps struct {
	length unix.Timespec
	never  bool // other goroutines have no other processor, or the kernel has no naps
	likely bool // the last look at the events found none, and some came soon
}

func newNaps() naps {
	return naps{
		length: unix.Timespec{Nsec: maxNap},
		never:  runtime.GOMAXPROCS(0) == 1 || unsafe.Sizeof(uintptr(0)) < 8, // the kernel's time has 64 bits
	}
}

// wait returns what happened. It looks before it sleeps: under load there always
// is something. When there was nothing the last time, it naps instead of looking.
func (l *loop) wait() []unix.EpollEvent {
	l.heard.polled = monotime.Now()
	nap := l.naps.likely && !l.naps.never && len(l.again) == 0
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
	switch {
	case nap && l.nap():
		l.woke(began)
		return l.events[:l.got]
	case l.idle:
		_ = l.ready.Read(l.pollFn)
	default:
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

// nap waits for events for maxNap, and reports whether it was ended before.
func (l *loop) nap() bool {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT2, uintptr(l.poll), uintptr(unsafe.Pointer(&l.events)), loopEvents,
		uintptr(unsafe.Pointer(&l.naps.length)), 0, 0)
	switch l.got = 0; errno {
	case 0:
		l.got = int(n)
	case unix.EINTR:
		return true // an empty round
	default:
		l.naps.never = true // before Linux 5.11, or forbidden
	}
	return l.got > 0
}

// pollOnce asks the kernel for events, and reports whether there are any.
func (l *loop) pollOnce(uintptr) bool {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(l.poll), uintptr(unsafe.Pointer(&l.events)), loopEvents, 0, 0, 0)
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

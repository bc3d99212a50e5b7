package transport

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Linux AIO (io_submit(2)) carries reads, or writes, of many sockets in one system
// call. On sockets that do not block each is done, or refused, when the call
// returns, and what came of it lies in a ring of memory that the kernel shares
// with us.

// iocb is struct iocb of linux/aio_abi.h, as little-endian machines have it.
type iocb struct {
	data    uint64 // comes back in the event
	key     uint32
	flags   uint32 // RWF_...
	opcode  uint16
	prio    int16
	fd      uint32
	buf     uint64
	n       uint64 // bytes of buf, or entries
	offset  int64
	_       uint64
	_, resf uint32
}

// Values of iocb.opcode.
const (
	aioRead   = 0 // IOCB_CMD_PREAD
	aioWrite  = 1 // IOCB_CMD_PWRITE
	aioWritev = 8 // IOCB_CMD_PWRITEV
)

// rwfNoSignal spares the SIGPIPE of a write to a peer that is gone, which Go
// would take and do nothing about. Linux has it since 6.18.
const rwfNoSignal = 0x100

// aioEvent is struct io_event.
type aioEvent struct {
	data, obj uint64
	res, res2 int64
}

// aioRing is the head of the ring that io_setup maps; its events follow.
type aioRing struct {
	id, n      uint32
	head, tail uint32 // the first is ours, the second the kernel's
	magic      uint32
	compat     uint32
	incompat   uint32
	headLen    uint32
}

const aioRingMagic = 0xa10a10a1

// An aio submits operations on sockets and takes their results. It belongs to one
// goroutine.
type aio struct {
	ctx    uintptr
	ring   *aioRing
	events []aioEvent
	list   []*iocb    // of one submission, memory
	flags  uint32     // of writes
	errno  unix.Errno // why one was refused last
	probe  [8]byte    // what try writes and reads: memory that does not move

	// enter is io_submit; tests have others.
	enter func(a *aio, list []*iocb) (int, unix.Errno)
}

// newAIO makes one that takes so many operations at once, and tries it out. Its
// error says what is missing: the system call, permission for it, room below
// fs.aio-max-nr, or a kernel that has its ring where Linux has it.
func newAIO(room int) (*aio, error) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		return nil, errors.New("Linux AIO is not used on big-endian machines")
	}
	a := &aio{enter: (*aio).ioSubmit, list: make([]*iocb, 0, room)}
	if _, _, errno := unix.Syscall(unix.SYS_IO_SETUP, uintptr(room), uintptr(unsafe.Pointer(&a.ctx)), 0); errno != 0 {
		return nil, setupError(errno)
	}
	a.ring = *(**aioRing)(unsafe.Pointer(&a.ctx)) // the context's name is where it is mapped
	if a.ring.magic != aioRingMagic || a.ring.incompat != 0 || a.ring.headLen != uint32(unsafe.Sizeof(*a.ring)) || int(a.ring.n) < room {
		a.close()
		return nil, errors.New("io_setup: the ring of results is not one of Linux")
	}
	a.events = unsafe.Slice((*aioEvent)(unsafe.Add(unsafe.Pointer(a.ring), unsafe.Sizeof(*a.ring))), a.ring.n)
	if err := a.try(); err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}

// setupError says what an operator can do about io_setup.
func setupError(errno unix.Errno) error {
	switch errno {
	case unix.EAGAIN:
		return fmt.Errorf("io_setup: the node has no more room for asynchronous I/O (sysctl fs.aio-max-nr): %w", errno)
	case unix.ENOSYS:
		return fmt.Errorf("io_setup: the kernel has no asynchronous I/O: %w", errno)
	case unix.EPERM, unix.EACCES:
		return fmt.Errorf("io_setup: forbidden, by a seccomp profile for one: %w", errno)
	}
	return fmt.Errorf("io_setup: %w", errno)
}

// close gives the context back. The kernel takes some 30 ms for that, for which
// nobody waits.
func (a *aio) close() {
	if a == nil || a.ring == nil {
		return
	}
	ctx := a.ctx
	a.ring, a.events = nil, nil
	go func() { _, _, _ = unix.Syscall(unix.SYS_IO_DESTROY, ctx, 0, 0) }()
}

// try writes and reads on a pair of sockets, and finds out whether writes can do
// without SIGPIPE.
func (a *aio) try() error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socketpair: %w", err)
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	sent, got := a.probe[:4], a.probe[4:]
	copy(sent, "ping")
	write := iocb{opcode: aioWrite, flags: rwfNoSignal, fd: uint32(pair[0]), buf: addressOf(sent), n: 4}
	n, err := a.one(&write)
	if err == nil && n == len(sent) {
		a.flags = rwfNoSignal
	} else {
		write.flags = 0
		if n, err = a.one(&write); err != nil || n != len(sent) {
			return fmt.Errorf("io_submit: a write to a socket took %d of 4 bytes: %w", n, orRefused(err))
		}
	}
	read := iocb{opcode: aioRead, fd: uint32(pair[1]), buf: addressOf(got), n: 4}
	if n, err = a.one(&read); err != nil || n != len(got) || !bytes.Equal(got, sent) {
		return fmt.Errorf("io_submit: a read from a socket brought %d of 4 bytes: %w", n, orRefused(err))
	}
	if n, err = a.one(&read); !errors.Is(err, unix.EAGAIN) {
		return fmt.Errorf("io_submit: a read from an empty socket brought %d bytes: %w", n, orRefused(err))
	}
	return nil
}

var errAIO = errors.New("it is not what Linux does")

func orRefused(err error) error { return cmp.Or(err, errAIO) }

// one submits a single operation.
func (a *aio) one(op *iocb) (int, error) {
	results := [1]int{}
	a.list = append(a.list[:0], op)
	if a.submit(results[:]) == 0 {
		return 0, fmt.Errorf("it was refused: %w", a.errno)
	}
	if results[0] < 0 {
		return 0, unix.Errno(-results[0])
	}
	return results[0], nil
}

// addressOf is where p begins. The caller keeps p, on the heap, until the call is
// over.
func addressOf(p []byte) uint64 { return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(p)))) }

// submit performs the operations of a.list, in order, and stores what came of each
// in results: bytes, or a negative errno. It returns how many were performed; the
// others were refused. The data of each operation has to be its index.
func (a *aio) submit(results []int) (done int) {
	for done < len(a.list) {
		n, errno := a.enter(a, a.list[done:])
		if errno == unix.EINTR {
			continue
		}
		if n <= 0 || errno != 0 {
			a.errno = errno
			break
		}
		done += n
	}
	a.reap(results, done)
	return done
}

func (a *aio) ioSubmit(list []*iocb) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_IO_SUBMIT, a.ctx, uintptr(len(list)), uintptr(unsafe.Pointer(unsafe.SliceData(list))))
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// reap takes n results out of the ring. Sockets that do not block have theirs there;
// for another the kernel is waited for.
func (a *aio) reap(results []int, n int) {
	head := atomic.LoadUint32(&a.ring.head)
	for range n {
		if head == atomic.LoadUint32(&a.ring.tail) {
			head = a.await(head)
		}
		e := &a.events[head]
		results[e.data] = int(e.res)
		if head++; head == uint32(len(a.events)) {
			head = 0
		}
	}
	atomic.StoreUint32(&a.ring.head, head)
}

// await waits until there is a result that has not come, without which the memory
// of its operation is the kernel's.
func (a *aio) await(head uint32) uint32 {
	atomic.StoreUint32(&a.ring.head, head)
	for atomic.LoadUint32(&a.ring.tail) == head {
		pause := unix.Timespec{Nsec: 1e6}
		_ = unix.Nanosleep(&pause, nil)
	}
	return head
}

package transport

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// The system calls of messages. They never block, so the scheduler is not told
// of them: a goroutine in such a call is busy for some microseconds and goes on
// then, which is all that the scheduler could learn.

const (
	// maxBatch is how many slices one write takes: what one read of small
	// messages brings.
	maxBatch = 320

	// fewParts are an acknowledgement or a heartbeat and some messages.
	fewParts = 8
)

// sendFlags spare the check for a signal that is not wanted, too.
const sendFlags = unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL

// readSocket reads once. At the end of the stream it returns 0 and no error.
func readSocket(fd int, p []byte) (int, unix.Errno) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd),
			uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_DONTWAIT, 0, 0)
		if errno != unix.EINTR {
			return counted(n, errno)
		}
	}
}

// writeSocket writes once, at most maxBatch of the parts, and returns how much
// was taken.
func writeSocket(fd int, parts [][]byte) (int, unix.Errno) {
	switch n := len(parts); {
	case n > fewParts:
		return writeMany(fd, parts)
	case n > 1:
		var vec [fewParts]unix.Iovec
		return writeParts(fd, parts, vec[:n])
	}
	p := parts[0]
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd),
			uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), sendFlags, 0, 0)
		if errno != unix.EINTR {
			return counted(n, errno)
		}
	}
}

// writeMany is apart from writeSocket for the sake of the usual write's stack.
//
//go:noinline
func writeMany(fd int, parts [][]byte) (int, unix.Errno) {
	var vec [maxBatch]unix.Iovec
	return writeParts(fd, parts, vec[:min(len(parts), maxBatch)])
}

func writeParts(fd int, parts [][]byte, vec []unix.Iovec) (int, unix.Errno) {
	for i := range vec {
		vec[i].Base = unsafe.SliceData(parts[i])
		vec[i].SetLen(len(parts[i]))
	}
	return writeVector(fd, vec)
}

func writeVector(fd int, vec []unix.Iovec) (int, unix.Errno) {
	var msg unix.Msghdr
	msg.Iov = &vec[0]
	msg.SetIovlen(len(vec))
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&msg)), sendFlags)
		if errno != unix.EINTR {
			return counted(n, errno)
		}
	}
}

func counted(n uintptr, errno unix.Errno) (int, unix.Errno) {
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

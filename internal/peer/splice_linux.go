package peer

import (
	"io"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

const canSplice = true

// splice copies until from ends, in the kernel: net.TCPConn.ReadFrom is
// splice(2). It does so with what there is, since for a copy that waits the
// runtime would hold a pipe: two descriptors and 10 KiB of the kernel's
// memory for each direction of an idle tunnel.
func splice(to, from *net.TCPConn) error {
	raw, err := from.SyscallConn()
	if err != nil {
		return err
	}
	var n int
	var failed error
	look := func(fd uintptr) bool {
		n, failed = pending(int(fd))
		return failed != unix.EAGAIN
	}
	for {
		if err := raw.Read(look); err != nil {
			return err
		}
		if failed != nil || n == 0 {
			return failed
		}
		_ = to.SetWriteDeadline(time.Now().Add(tunnelStall))
		if _, err := io.CopyN(to, from, int64(n)); err != nil {
			return err
		}
	}
}

// pending returns how many bytes can be read; 0 is the end.
func pending(fd int) (int, error) {
	var peek [1]byte
	n, err := 0, error(unix.EINTR)
	for err == unix.EINTR {
		n, _, err = unix.Recvfrom(fd, peek[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	}
	if err != nil || n == 0 {
		return 0, err
	}
	// SIOCINQ does not count urgent data, which peeking does.
	n, err = unix.IoctlGetInt(fd, unix.SIOCINQ)
	return max(n, 1), err
}

package load

import (
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A socket is a connection without the runtime's poller between it and the
// kernel, so that one thread can serve thousands of them. It does not block in
// Read; Write waits for room. It is for one goroutine.
type socket struct{ fd int }

// errAgain means that nothing is there to be read.
const errAgain = unix.EAGAIN

// detach takes the socket out of a connection, which is closed.
func detach(conn net.Conn) (*socket, error) {
	defer conn.Close()
	own, ok := conn.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("load: %T has no socket of its own", conn)
	}
	raw, err := own.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &socket{fd: -1}
	var failed error
	err = raw.Control(func(fd uintptr) {
		s.fd, failed = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
	})
	return s, errors.Join(err, failed)
}

func (s *socket) Read(p []byte) (int, error) {
	for {
		n, err := unix.Read(s.fd, p)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return 0, err
		case n == 0 && len(p) > 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

func (s *socket) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n, err := unix.Write(s.fd, p[done:])
		switch err {
		case nil:
			done += n
		case unix.EINTR:
		case unix.EAGAIN:
			if _, err := unix.Poll([]unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLOUT}}, -1); err != nil && err != unix.EINTR {
				return done, err
			}
		default:
			return done, err
		}
	}
	return done, nil
}

func (s *socket) Close() error { return unix.Close(s.fd) }

// The rest of net.Conn, which the owner of a socket does not need.

func (s *socket) LocalAddr() net.Addr              { return nil }
func (s *socket) RemoteAddr() net.Addr             { return nil }
func (s *socket) SetDeadline(time.Time) error      { return errors.ErrUnsupported }
func (s *socket) SetReadDeadline(time.Time) error  { return errors.ErrUnsupported }
func (s *socket) SetWriteDeadline(time.Time) error { return errors.ErrUnsupported }

// A poller waits for many sockets.
type poller struct {
	fd     int
	events [512]unix.EpollEvent
}

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	return &poller{fd: fd}, err
}

// Add watches a socket; wait names it by its key.
func (p *poller) Add(fd, key int) error {
	return unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP, Fd: int32(key)})
}

// wait returns those which have something to read, valid until the next call.
// A negative limit waits for ever.
func (p *poller) wait(limit time.Duration) ([]unix.EpollEvent, error) {
	ms := -1
	if limit >= 0 {
		ms = int((limit + time.Millisecond - 1) / time.Millisecond)
	}
	n, err := unix.EpollWait(p.fd, p.events[:], ms)
	if err == unix.EINTR {
		return nil, nil
	}
	return p.events[:max(n, 0)], err
}

func (p *poller) close() { _ = unix.Close(p.fd) }

package losslink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// The addresses inside, which nobody else sees.
var (
	nearAddr = netip.MustParseAddr("10.219.0.1")
	farAddr  = netip.MustParseAddr("10.219.0.2")
	netMask  = netip.MustParseAddr("255.255.255.252")
)

// farPort is where the far host listens.
const farPort = 80

// A Link is two hosts with a path between them. Its methods are safe for
// concurrent use.
type Link struct {
	path      path
	near, far *host
	carriers  sync.WaitGroup
}

// New makes both hosts. random returns numbers in [0, 1), and is never called
// concurrently. The error says which rights are missing.
func New(random func() float64) (*Link, error) {
	l := &Link{}
	l.path.random = random
	var err error
	if l.near, err = newHost(nearAddr); err != nil {
		return nil, hint(err)
	}
	if l.far, err = newHost(farAddr); err != nil {
		l.near.close()
		return nil, hint(err)
	}
	l.carriers.Go(func() { l.path.carry(l.near.device, l.far.device) })
	l.carriers.Go(func() { l.path.carry(l.far.device, l.near.device) })
	return l, nil
}

func hint(err error) error {
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("losslink: %w: losing packets needs a network namespace and a TUN device: run it as root, or with CAP_NET_ADMIN and CAP_SYS_ADMIN", err)
	}
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("losslink: %w: losing packets needs /dev/net/tun, which this machine or container has not", err)
	}
	return fmt.Errorf("losslink: %w", err)
}

// Set changes how packets fare from now on.
func (l *Link) Set(w Weather) { l.path.set(w) }

// Packets returns how many arrived so far, or will, and how many were lost.
func (l *Link) Packets() (carried, lost int64) { return l.path.carried.Load(), l.path.lost.Load() }

// Listen listens on the far host, where Dial connects.
func (l *Link) Listen() (net.Listener, error) {
	var fd int
	var err error
	l.far.do(func() { fd, err = listen() })
	if err != nil {
		return nil, fmt.Errorf("losslink: listen: %w", err)
	}
	f := os.NewFile(uintptr(fd), "losslink")
	defer f.Close() // the listener has a copy
	return net.FileListener(f)
}

func listen() (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	if err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err == nil {
		if err = unix.Bind(fd, &unix.SockaddrInet4{Port: farPort, Addr: farAddr.As4()}); err == nil {
			err = unix.Listen(fd, unix.SOMAXCONN)
		}
	}
	if err != nil {
		_ = unix.Close(fd)
		return 0, err
	}
	return fd, nil
}

// Dial connects from the near host to the listener on the far one.
func (l *Link) Dial(ctx context.Context) (net.Conn, error) {
	var fd int
	var err error
	l.near.do(func() { fd, err = connect() })
	if err != nil {
		return nil, fmt.Errorf("losslink: connect: %w", err)
	}
	f := os.NewFile(uintptr(fd), "losslink")
	defer f.Close() // the connection has a copy
	stop := context.AfterFunc(ctx, func() { _ = f.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := connected(f); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, fmt.Errorf("losslink: connect: %w", err)
	}
	return net.FileConn(f)
}

// connect begins to.
func connect() (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	if err = unix.Connect(fd, &unix.SockaddrInet4{Port: farPort, Addr: farAddr.As4()}); err != nil && err != unix.EINPROGRESS {
		_ = unix.Close(fd)
		return 0, err
	}
	return fd, nil
}

// connected waits until a socket is.
func connected(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Write(func(fd uintptr) bool {
		code, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		switch {
		case err != nil:
			failed = err
			return true
		case code != 0:
			failed = unix.Errno(code)
			return true
		}
		_, err = unix.Getpeername(int(fd))
		return err == nil // otherwise it was woken for nothing
	})
	return errors.Join(err, failed)
}

// Close ends both hosts. Their sockets no longer reach each other.
func (l *Link) Close() {
	l.near.close()
	l.far.close()
	l.carriers.Wait()
}

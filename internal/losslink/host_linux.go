package losslink

import (
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// tunFile is how TUN devices are made, and deviceName is what each host calls
// its own.
const (
	tunFile    = "/dev/net/tun"
	deviceName = "wsr0"
)

// A host is a network namespace with a TUN device in it, and a thread that is
// inside.
type host struct {
	device *os.File
	calls  chan func()
	once   sync.Once
}

// newHost makes a namespace, and its device with an address.
func newHost(addr netip.Addr) (*host, error) {
	h := &host{calls: make(chan func())}
	made := make(chan error)
	go func() {
		// The thread is never unlocked, so it ends with this goroutine, and no
		// other one finds itself in the namespace.
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err != nil {
			err = fmt.Errorf("make a network namespace: %w", err)
		} else {
			h.device, err = openDevice(addr)
		}
		made <- err
		if err != nil {
			return
		}
		for call := range h.calls {
			call()
		}
	}()
	if err := <-made; err != nil {
		return nil, err
	}
	return h, nil
}

// do calls f inside.
func (h *host) do(f func()) {
	done := make(chan struct{})
	h.calls <- func() {
		f()
		close(done)
	}
	<-done
}

// close ends the thread and the device.
func (h *host) close() {
	h.once.Do(func() {
		close(h.calls)
		_ = h.device.Close()
	})
}

// openDevice makes the device of the calling thread's namespace.
func openDevice(addr netip.Addr) (*os.File, error) {
	fd, err := unix.Open(tunFile, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: tunFile, Err: err}
	}
	if err := setUp(fd, addr); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("make a TUN device: %w", err)
	}
	return os.NewFile(uintptr(fd), tunFile), nil
}

// setUp gives the device name, address and size, and switches it on.
func setUp(fd int, addr netip.Addr) error {
	r, err := unix.NewIfreq(deviceName)
	if err != nil {
		return err
	}
	r.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, r); err != nil {
		return err
	}
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(s) }()
	for _, step := range []struct {
		request uint
		set     func(r *unix.Ifreq) error
	}{
		{unix.SIOCSIFADDR, func(r *unix.Ifreq) error { return setAddr(r, addr) }},
		{unix.SIOCSIFNETMASK, func(r *unix.Ifreq) error { return setAddr(r, netMask) }},
		{unix.SIOCSIFMTU, func(r *unix.Ifreq) error { r.SetUint32(maxPacket); return nil }},
		{unix.SIOCSIFFLAGS, func(r *unix.Ifreq) error { r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING); return nil }},
	} {
		r, err := unix.NewIfreq(deviceName)
		if err == nil {
			err = step.set(r)
		}
		if err == nil {
			err = unix.IoctlIfreq(s, step.request, r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func setAddr(r *unix.Ifreq, addr netip.Addr) error {
	ip := addr.As4()
	return r.SetInet4Addr(ip[:])
}

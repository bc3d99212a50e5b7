package transport

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Keep-alive of accepted connections, as package net has it.
const (
	keepAliveIdle  = 15 * time.Second
	keepAliveEvery = 15 * time.Second
	keepAliveCount = 9
)

// Listen is net.Listen for TCP. Connections have their keep-alive from the listener,
// as the kernel hands it down: package net would set it on each, with four system
// calls.
func Listen(address string) (net.Listener, error) {
	lc := net.ListenConfig{KeepAlive: -1, Control: func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) {
			failed = errors.Join(
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1),
				unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, int(keepAliveIdle/time.Second)),
				unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, int(keepAliveEvery/time.Second)),
				unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_KEEPCNT, keepAliveCount))
		})
		return errors.Join(err, failed)
	}}
	return lc.Listen(context.Background(), "tcp", address)
}

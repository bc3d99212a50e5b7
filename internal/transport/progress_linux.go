package transport

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// tcpProgress asks the kernel about a socket.
func tcpProgress(fd int) (p Progress, ok bool) {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return Progress{}, false
	}
	return Progress{
		Acked:      info.Bytes_acked,
		Lacking:    info.Unacked > 0 || info.Notsent_bytes > 0,
		Quiet:      time.Duration(info.Last_ack_recv) * time.Millisecond,
		Unanswered: int(max(info.Retransmits, info.Probes)),
	}, true
}

// connProgress is tcpProgress of a connection that may be TLS.
func connProgress(conn net.Conn) (p Progress, ok bool) {
	if c, isTLS := conn.(interface{ NetConn() net.Conn }); isTLS {
		conn = c.NetConn()
	}
	sc, isSocket := conn.(syscall.Conn)
	if !isSocket {
		return Progress{}, false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return Progress{}, false
	}
	if err := raw.Control(func(fd uintptr) { p, ok = tcpProgress(int(fd)) }); err != nil {
		return Progress{}, false
	}
	return p, ok
}

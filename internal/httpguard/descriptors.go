package httpguard

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"
)

// The kernel gives out the lowest descriptor that is free, so that the number of
// a new connection tells how many are taken.

// KeepDescriptors wraps l so that clients leave the last descriptors of the
// process to others: to probes and operators, to the journal, and to the sockets
// of the app. A client for whom there is none is told to come again, and refused
// is called. When the process has no descriptor at all, Accept waits for one,
// and refused is called too.
func KeepDescriptors(l net.Listener, refused func()) net.Listener {
	if limit := descriptorLimit(); limit > 0 {
		return &keptListener{l, limit - keptDescriptors(limit), refused}
	}
	return l
}

// keptDescriptors is how many of a limit clients do not get: an eighth, and as
// many as handshakes with the app and probes need at a time.
func keptDescriptors(limit int) int { return min(limit/8, 512) }

type keptListener struct {
	net.Listener
	most    int // the highest descriptor of a client
	refused func()
}

// acceptPause is how long Accept waits when it gets no descriptor: net/http
// would log each try.
const acceptPause = 50 * time.Millisecond

func (l *keptListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		switch {
		case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
			l.refused()
			time.Sleep(acceptPause)
		case err != nil:
			return nil, err
		case descriptorOf(c) <= l.most:
			return c, nil
		default:
			l.refused()
			_ = c.SetDeadline(time.Now().Add(acceptPause))
			_, _ = c.Write([]byte(noDescriptors)) // it fits the socket, so that this does not wait
			c.Close()
		}
	}
}

// noDescriptors is the answer without a request. A client by TLS cannot read it.
const noDescriptors = "HTTP/1.1 503 Service Unavailable\r\nWsr-Refused: descriptors\r\nRetry-After: 6\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

// A Dialer connects.
type Dialer = func(ctx context.Context, network, address string) (net.Conn, error)

// ErrDescriptors means that there is no descriptor for another connection.
var ErrDescriptors = errors.New("httpguard: no descriptor is left")

// SpareDescriptors wraps the dialer of the app's sockets likewise. They may take
// half of what clients leave.
func SpareDescriptors(dial Dialer, refused func()) Dialer {
	limit := descriptorLimit()
	if limit == 0 {
		return dial
	}
	most := limit - keptDescriptors(limit)/2
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		switch {
		case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
			err = ErrDescriptors
		case err == nil && descriptorOf(c) > most:
			c.Close()
			c, err = nil, ErrDescriptors
		}
		if err == ErrDescriptors {
			refused()
		}
		return c, err
	}
}

// descriptorOf returns the number of a connection's descriptor; 0 if it has none.
func descriptorOf(c net.Conn) (n int) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return 0
	}
	if raw, err := sc.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { n = int(fd) })
	}
	return n
}

package upgrade

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/wsresilience/wsresilience/internal/appaddr"
)

// Implementation limits on the way to the app.
const (
	// dialTimeout bounds a connect. The app is next door; a host that does
	// not answer for seconds is not there.
	// An app whose queue is full drops what comes, and the kernel asks again after
	// 1, 3 and 7 s.
	dialTimeout = 10 * time.Second

	// busyFirst and busyMost are between two attempts at a Unix socket whose
	// queue is full. A connect costs the kernel a few microseconds.
	busyFirst = time.Millisecond
	busyMost  = 50 * time.Millisecond

	// keepAlive finds an app whose host is gone, where nothing else does.
	keepAlive = 15 * time.Second
)

// An App is the app's address. It is immutable and safe for concurrent use.
type App struct {
	network string // tcp or unix
	address string // host:port, or the path of the socket
	// Proto is the scheme by which all clients ask, http or https, where that is
	// configured. It is not changed once the App is in use.
	Proto string
	// HandshakeTimeout bounds dialling and the handshake together; 0: a minute. It
	// is not changed once the App is in use.
	HandshakeTimeout time.Duration
	// Dialer connects; ParseApp sets it to one of package net. It is not
	// changed once the App is in use.
	Dialer func(ctx context.Context, network, address string) (net.Conn, error)
	// PortsShort is told when the local ports of an address are all taken, and
	// whether there is none to go on with; nil: nobody is. It is not changed once
	// the App is in use.
	PortsShort func(none bool)
}

// ParseApp reads the address of the app, as package appaddr has it. Errors say
// what was given, unless it may hold a password, and what is allowed.
func ParseApp(s string) (*App, error) {
	network, address, err := appaddr.Parse(s)
	if err != nil {
		given := strconv.Quote(s)
		if strings.Contains(s, "@") {
			given = "(not shown)"
		}
		return nil, fmt.Errorf("upgrade: upstream %s: %w; allowed: %s", given, err, appaddr.Forms)
	}
	u := &App{network: network, address: address}
	from := &sources{dial: dialFrom, many: network == "tcp" && isLoopback(address), short: func(none bool) {
		if u.PortsShort != nil {
			u.PortsShort(none)
		}
	}}
	u.Dialer = from.Dial
	return u, nil
}

func dialFrom(ctx context.Context, from net.Addr, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive, LocalAddr: from}
	if isLoopback(address) {
		d.KeepAlive = -1 // its host is ours
	}
	if from != nil {
		d.Control = lateBind
	}
	return d.DialContext(ctx, network, address)
}

// String returns the address for logs.
func (u *App) String() string {
	if u.network == "unix" {
		return "unix:" + u.address
	}
	return "http://" + u.address
}

// Host is the authority for requests that came without a Host.
func (u *App) Host() string {
	if u.network == "unix" {
		return "localhost"
	}
	return u.address
}

func (u *App) handshakeTimeout() time.Duration {
	if u.HandshakeTimeout > 0 {
		return u.HandshakeTimeout
	}
	return defaultHandshake
}

// ForwardedProto is what X-Forwarded-Proto says of a request that came to us by
// scheme, http or https, without such a field; empty: nothing. By http it may
// have come from a balancer that ended TLS, so that nothing is known.
func (u *App) ForwardedProto(scheme string) string {
	if u.Proto != "" || scheme != "https" {
		return u.Proto
	}
	return scheme
}

// Connect dials the app without a handshake. TCP_NODELAY is on, as net sets it
// for every TCP connection: frames are small and are sent at once.
func (u *App) Connect(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, u.handshakeTimeout())
	defer cancel()
	c, err := u.Dialer(ctx, u.network, u.address)
	for wait := busyFirst; errors.Is(err, syscall.EAGAIN); wait = min(2*wait, busyMost) {
		// A Unix socket with a full queue. A TCP socket would keep us waiting.
		t := time.NewTimer(wait/2 + rand.N(wait))
		select {
		case <-t.C:
			c, err = u.Dialer(ctx, u.network, u.address)
		case <-ctx.Done():
			t.Stop()
			err = fmt.Errorf("the queue of its socket is full: %w", ctx.Err())
		}
	}
	if err != nil {
		return nil, fmt.Errorf("upgrade: dial upstream %s: %w", u.address, err)
	}
	return c, nil
}

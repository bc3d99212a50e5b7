package upgrade

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/wsresilience/wsresilience/internal/appaddr"
)

// Implementation limits on the way to the app.
const (
	// dialTimeout bounds a connect. The app is next door; a host that does
	// not answer for seconds is not there.
	dialTimeout = 5 * time.Second

	// keepAlive finds an app whose host is gone, where nothing else does.
	keepAlive = 15 * time.Second
)

// An App is the app's address. It is immutable and safe for concurrent use.
type App struct {
	network string // tcp or unix
	address string // host:port, or the path of the socket
	// Dialer connects; ParseApp sets it to one of package net. It is not
	// changed once the App is in use.
	Dialer func(ctx context.Context, network, address string) (net.Conn, error)
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
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive}
	return &App{network: network, address: address, Dialer: dialer.DialContext}, nil
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

// Connect dials the app without a handshake. TCP_NODELAY is on, as net sets it
// for every TCP connection: frames are small and are sent at once.
func (u *App) Connect(ctx context.Context) (net.Conn, error) {
	c, err := u.Dialer(ctx, u.network, u.address)
	if err != nil {
		return nil, fmt.Errorf("upgrade: dial upstream %s: %w", u.address, err)
	}
	return c, nil
}

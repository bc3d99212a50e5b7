package upgrade

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"
)

// Implementation limits on the way to the app.
const (
	// dialTimeout bounds a connect. The app is next door; a host that does
	// not answer for seconds is not there.
	dialTimeout = 5 * time.Second

	// keepAlive finds an app whose host is gone, where nothing else does.
	keepAlive = 15 * time.Second

	// maxSocketPath is what sun_path holds on Linux, less the final zero.
	maxSocketPath = 107
)

// An App is the app's address. It is immutable and safe for concurrent
// use.
type App struct {
	network string // tcp or unix
	address string // host:port, or the path of the socket
	// Dialer connects; ParseApp sets it to one of package net. It is not
	// changed once the App is in use.
	Dialer func(ctx context.Context, network, address string) (net.Conn, error)
}

const upstreamForms = "allowed: http://host:port or unix:/path"

// ParseApp reads WSR_UPSTREAM. Errors say what was given, unless it may
// hold a password, and what is allowed.
func ParseApp(s string) (*App, error) {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive}
	u := &App{Dialer: dialer.DialContext}
	if file, ok := strings.CutPrefix(s, "unix:"); ok {
		switch {
		case !path.IsAbs(file), path.Clean(file) != file, file == "/":
			return nil, fmt.Errorf("upgrade: upstream %q: the socket is not an absolute, clean path; %s", s, upstreamForms)
		case strings.ContainsRune(file, 0):
			return nil, fmt.Errorf("upgrade: upstream %q: the path holds a zero byte; %s", s, upstreamForms)
		case len(file) > maxSocketPath:
			return nil, fmt.Errorf("upgrade: upstream %q: a socket's path has at most %d bytes", s, maxSocketPath)
		}
		u.network, u.address = "unix", file
		return u, nil
	}
	if strings.Contains(s, "@") {
		return nil, errors.New("upgrade: upstream (not shown): credentials are not sent to the app; " + upstreamForms)
	}
	parsed, err := url.Parse(s)
	if err != nil {
		return nil, fmt.Errorf("upgrade: upstream %q: not a URL; %s", s, upstreamForms)
	}
	if why := checkUpstream(parsed); why != "" {
		return nil, fmt.Errorf("upgrade: upstream %q: %s; %s", s, why, upstreamForms)
	}
	u.network, u.address = "tcp", parsed.Host
	return u, nil
}

// checkUpstream says what is wrong with u, or nothing.
func checkUpstream(u *url.URL) string {
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	switch {
	case u.Scheme == "https":
		return "TLS is not spoken to the app, which shares a pod or a host with us"
	case u.Scheme != "http":
		return "the scheme is not http"
	case u.Opaque != "" || u.Hostname() == "":
		return "the host is missing"
	case u.Port() == "":
		return "the port is missing"
	case err != nil || port == 0:
		return "the port is not 1 to 65535"
	case u.Path != "" && u.Path != "/":
		return "a path cannot be put before the client's own"
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "a query or fragment means nothing here"
	}
	return ""
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

// Connect dials the app, and makes no handshake to the app. TCP_NODELAY is on, as net sets it for every TCP
// connection: frames are small and wait for nobody.
func (u *App) Connect(ctx context.Context) (net.Conn, error) {
	c, err := u.Dialer(ctx, u.network, u.address)
	if err != nil {
		return nil, fmt.Errorf("upgrade: dial upstream %s: %w", u.address, err)
	}
	return c, nil
}

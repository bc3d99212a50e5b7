package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path"
	"strconv"
	"strings"
	"sync"
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

// An upstream is the app's address. It is immutable and safe for concurrent
// use.
type upstream struct {
	network string // tcp or unix
	address string // host:port, or the path of the socket
	dialer  func(ctx context.Context, network, address string) (net.Conn, error)
}

const upstreamForms = "allowed: http://host:port or unix:/path"

// parseUpstream reads WSR_UPSTREAM. Errors say what was given, unless it may
// hold a password, and what is allowed.
func parseUpstream(s string) (*upstream, error) {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive}
	u := &upstream{dialer: dialer.DialContext}
	if file, ok := strings.CutPrefix(s, "unix:"); ok {
		switch {
		case !path.IsAbs(file), path.Clean(file) != file, file == "/":
			return nil, fmt.Errorf("proxy: upstream %q: the socket is not an absolute, clean path; %s", s, upstreamForms)
		case strings.ContainsRune(file, 0):
			return nil, fmt.Errorf("proxy: upstream %q: the path holds a zero byte; %s", s, upstreamForms)
		case len(file) > maxSocketPath:
			return nil, fmt.Errorf("proxy: upstream %q: a socket's path has at most %d bytes", s, maxSocketPath)
		}
		u.network, u.address = "unix", file
		return u, nil
	}
	if strings.Contains(s, "@") {
		return nil, errors.New("proxy: upstream (not shown): credentials are not sent to the app; " + upstreamForms)
	}
	parsed, err := url.Parse(s)
	if err != nil {
		return nil, fmt.Errorf("proxy: upstream %q: not a URL; %s", s, upstreamForms)
	}
	if why := checkUpstream(parsed); why != "" {
		return nil, fmt.Errorf("proxy: upstream %q: %s; %s", s, why, upstreamForms)
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
func (u *upstream) String() string {
	if u.network == "unix" {
		return "unix:" + u.address
	}
	return "http://" + u.address
}

// host is the authority for requests that came without a Host.
func (u *upstream) host() string {
	if u.network == "unix" {
		return "localhost"
	}
	return u.address
}

// dial connects to the app. TCP_NODELAY is on, as net sets it for every TCP
// connection: frames are small and wait for nobody.
func (u *upstream) dial(ctx context.Context) (net.Conn, error) {
	c, err := u.dialer(ctx, u.network, u.address)
	if err != nil {
		return nil, fmt.Errorf("proxy: dial upstream %s: %w", u.address, err)
	}
	return c, nil
}

// dialHTTP1 and dialHTTP2 are for an http.Transport, whose own idea of the
// address does not matter.
func (u *upstream) dialHTTP1(ctx context.Context, _, _ string) (net.Conn, error) {
	c, err := u.dial(ctx)
	if err != nil {
		return nil, err
	}
	return newKeptConn(c), nil
}

func (u *upstream) dialHTTP2(ctx context.Context, _, _ string) (net.Conn, error) {
	return u.dial(ctx)
}

// A keptConn is a connection that an http.Transport keeps for one HTTP/1.1
// request after another. The transport lets a request have a connection before it
// looks whether bytes are left over from the answer before, and would then
// hand them out as the answer to that request: another client's, if somebody
// can make the app say too much (H30).
type keptConn struct {
	net.Conn

	mu      sync.Mutex
	changed sync.Cond // L is mu
	reading bool      // a Read waits, so that the transport's buffer is empty
	closed  bool
	taken   bool // for a request of which nothing was written yet
}

func newKeptConn(c net.Conn) *keptConn {
	k := &keptConn{Conn: c}
	k.changed.L = &k.mu
	return k
}

// errUnasked is an answer that came before its request.
var errUnasked = errors.New("proxy: upstream sent more than its answer")

// take waits until the transport has read what there is: then either it reads
// on, or it has found bytes that nobody asked for and closed the connection.
// The transport calls it before it writes a request (httptrace.GotConn), and
// retries on another connection if this one is closed.
func (k *keptConn) take() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for !k.reading && !k.closed {
		k.changed.Wait()
	}
	k.taken = true
}

// Read implements net.Conn.
func (k *keptConn) Read(p []byte) (int, error) {
	k.mu.Lock()
	k.reading = true
	k.changed.Broadcast()
	k.mu.Unlock()

	n, err := k.Conn.Read(p)

	k.mu.Lock()
	defer k.mu.Unlock()
	k.reading = false
	if n > 0 && k.taken {
		return 0, errUnasked
	}
	return n, err
}

// Write implements net.Conn.
func (k *keptConn) Write(p []byte) (int, error) {
	k.mu.Lock()
	k.taken = false
	k.mu.Unlock()
	return k.Conn.Write(p)
}

// Close implements net.Conn.
func (k *keptConn) Close() error {
	k.mu.Lock()
	k.closed = true
	k.changed.Broadcast()
	k.mu.Unlock()
	return k.Conn.Close()
}

package client

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/wire"
)

// Implementation limits: what is kept of a server's response.
const (
	maxResponseHeader = 64 << 10 // header of a refusal, or of a 101
	maxResponseBody   = 1024     // what coder/websocket shows of a refusal
	maxResponseWait   = 3 * time.Second
)

// upgraded is a connection after its handshake.
type upgraded struct {
	conn     net.Conn
	protocol string
	early    []byte // read behind the 101
}

var errResponseHeader = errors.New("response header is too large")

// handshakeTimeout returns how long one dial may take; negative is no limit.
func (c *Conn) handshakeTimeout() time.Duration {
	return cmp.Or(c.opts.HandshakeTimeout, DefaultHandshakeTimeout)
}

// handshake dials once and upgrades. The response is not nil if the server
// sent one. The connection must come within connectWait, unless that is 0.
func (c *Conn) handshake(ctx context.Context, o wire.Offer, connectWait time.Duration) (*upgraded, *http.Response, error) {
	if t := c.handshakeTimeout(); t > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t)
		defer cancel()
	}
	u, err := c.freshURL(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("client: dial %s: url: %w", c.url.Host, err)
	}
	header, err := c.header(ctx, u)
	if err != nil {
		return nil, nil, fmt.Errorf("client: dial %s: header: %w", u.Host, err)
	}
	if o.App, err = c.freshSubprotocols(ctx, o.App); err != nil {
		return nil, nil, fmt.Errorf("client: dial %s: %w", u.Host, err)
	}
	a := &response{header: http.Header{}}
	d := ws.Dialer{
		Protocols:     o.Protocols(),
		Host:          header.Get("Host"),
		TLSConfig:     c.opts.TLSConfig,
		NetDial:       c.netDial(connectWait),
		OnHeader:      a.add,
		OnStatusError: a.refused,
		WrapConn: func(conn net.Conn) net.Conn {
			a.conn = conn // nil if there is none
			// One of Options.NetDial may have no deadlines.
			a.keep = context.AfterFunc(ctx, func() { dropConn(conn) })
			return conn
		},
	}
	header.Del("Host")
	d.Header = ws.HandshakeHeaderHTTP(header)
	conn, br, hs, err := d.Dial(ctx, u.String())
	if a.keep != nil && !a.keep() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		if why := ctx.Err(); why != nil && !errors.Is(err, why) {
			err = fmt.Errorf("%w: %w", why, err)
		}
		return nil, a.refusal, fmt.Errorf("client: dial %s: %w", u.Host, err)
	}
	up := &upgraded{conn: conn, protocol: hs.Protocol}
	if br != nil {
		// Frames may come with the 101, as a sidecar's WELCOME does.
		b, _ := br.Peek(br.Buffered())
		up.early = bytes.Clone(b)
		ws.PutReader(br)
	}
	return up, a.switched(), nil
}

// errConnecting says that no connection came in time.
var errConnecting = errors.New("no connection in time")

// netDial returns a dial function that makes a connection within wait; 0 is no
// limit of its own.
func (c *Conn) netDial(wait time.Duration) func(ctx context.Context, network, addr string) (net.Conn, error) {
	dial := c.opts.NetDial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if wait > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, wait)
			defer cancel()
		}
		conn, err := guarded(ctx, func() (net.Conn, error) { return dial(ctx, network, addr) }, dropConn)
		switch {
		case err != nil && ctx.Err() != nil:
			return nil, fmt.Errorf("%w: %w", errConnecting, err)
		case err == nil && conn == nil:
			return nil, errors.New("NetDial returned no connection")
		}
		return conn, err
	}
}

func dropConn(conn net.Conn) {
	if conn != nil {
		_ = conn.Close()
	}
}

// guarded calls a function of the program. It returns when ctx ends, even if the
// function does not; drop, if not nil, then has a result that comes too late. A
// panic is an error like any other: there may be nobody who could recover it.
func guarded[T any](ctx context.Context, f func() (T, error), drop func(T)) (T, error) {
	type result struct {
		v   T
		err error
	}
	done := make(chan result)
	go func() {
		var r result
		defer func() {
			if p := recover(); p != nil {
				r.err = fmt.Errorf("panic: %v", p)
			}
			select {
			case done <- r:
			case <-ctx.Done():
				if r.err == nil && drop != nil {
					drop(r.v)
				}
			}
		}()
		r.v, r.err = f()
	}()
	select {
	case r := <-done:
		return r.v, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// reserved are the handshake's own headers.
var reserved = [...]string{
	"Connection", "Upgrade", "Sec-Websocket-Key", "Sec-Websocket-Version",
	"Sec-Websocket-Protocol", "Sec-Websocket-Extensions", "Sec-Websocket-Accept",
}

// freshURL returns what to dial.
func (c *Conn) freshURL(ctx context.Context) (*url.URL, error) {
	if c.opts.URL == nil {
		return c.url, nil
	}
	s, err := guarded(ctx, func() (string, error) { return c.opts.URL(ctx) }, nil)
	if err != nil {
		return nil, err
	}
	return parseURL(s)
}

// freshSubprotocols returns the app's subprotocols, which are known ones unless
// the program has a function for them.
func (c *Conn) freshSubprotocols(ctx context.Context, known []string) ([]string, error) {
	if c.opts.FreshSubprotocols == nil {
		return known, nil
	}
	list, err := guarded(ctx, func() ([]string, error) { return c.opts.FreshSubprotocols(ctx) }, nil)
	if err != nil {
		return nil, fmt.Errorf("subprotocols: %w", err)
	}
	return list, checkSubprotocols(list)
}

// header returns the request header that the program asks for.
func (c *Conn) header(ctx context.Context, to *url.URL) (http.Header, error) {
	h := c.opts.HTTPHeader.Clone()
	if h == nil {
		h = http.Header{}
	}
	if c.opts.Header != nil {
		fresh, err := guarded(ctx, func() (http.Header, error) { return c.opts.Header(ctx) }, nil)
		if err != nil {
			return nil, err
		}
		for k, v := range fresh {
			h[http.CanonicalHeaderKey(k)] = slices.Clone(v)
		}
	}
	for _, k := range reserved {
		h.Del(k)
	}
	if u := to.User; u != nil && h.Get("Authorization") == "" {
		password, _ := u.Password()
		h.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(u.Username()+":"+password)))
	}
	return h, nil
}

// response collects the server's response.
type response struct {
	conn    net.Conn
	keep    func() bool // keeps conn from being closed when the handshake's time is over
	header  http.Header
	size    int // of header, in bytes
	refusal *http.Response
}

func (a *response) add(k, v []byte) error {
	if a.size += len(k) + len(v); a.size > maxResponseHeader {
		return errResponseHeader
	}
	a.header.Add(string(k), string(v))
	return nil
}

func (a *response) switched() *http.Response {
	return &http.Response{
		Status: "101 Switching Protocols", StatusCode: http.StatusSwitchingProtocols,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: a.header, Body: http.NoBody,
	}
}

// refused reads a response other than 101, up to the limits.
func (a *response) refused(_ int, _ []byte, r io.Reader) {
	_ = a.conn.SetReadDeadline(time.Now().Add(maxResponseWait)) // ends a body that does not come
	resp, err := http.ReadResponse(bufio.NewReader(io.LimitReader(r, maxResponseHeader)), nil)
	if err != nil {
		return
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxResponseBody)) // a body that breaks off is shown as far as it came
	resp.Body = io.NopCloser(bytes.NewReader(body))
	a.refusal = resp
}

// parseURL accepts the schemes that coder/websocket accepts. Its error does not
// repeat the URL, which may hold secrets.
func parseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err
		}
		return nil, fmt.Errorf("client: url: %w", err)
	}
	switch u.Scheme {
	case "http":
		u.Scheme = "ws"
	case "https":
		u.Scheme = "wss"
	case "ws", "wss":
	default:
		return nil, fmt.Errorf("client: url scheme %q: want ws, wss, http or https", u.Scheme)
	}
	if u.Host == "" {
		return nil, errors.New("client: url: no host")
	}
	u.Fragment = "" // RFC 6455 §3
	return u, nil
}

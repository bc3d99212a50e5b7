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
	"time"

	"github.com/gobwas/ws"
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

// handshake dials once and upgrades. The response is not nil if the server
// sent one.
func (c *Conn) handshake(ctx context.Context, protocols []string) (*upgraded, *http.Response, error) {
	if t := cmp.Or(c.opts.HandshakeTimeout, DefaultHandshakeTimeout); t > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t)
		defer cancel()
	}
	header, err := c.header(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("client: dial %s: header: %w", c.url.Host, err)
	}
	a := &response{header: http.Header{}}
	d := ws.Dialer{
		Protocols:     protocols,
		Host:          header.Get("Host"),
		TLSConfig:     c.opts.TLSConfig,
		NetDial:       c.opts.NetDial,
		OnHeader:      a.add,
		OnStatusError: a.refused,
		WrapConn:      func(conn net.Conn) net.Conn { a.conn = conn; return conn },
	}
	header.Del("Host")
	d.Header = ws.HandshakeHeaderHTTP(header)
	conn, br, hs, err := d.Dial(ctx, c.url.String())
	if err != nil {
		return nil, a.refusal, fmt.Errorf("client: dial %s: %w", c.url.Host, err)
	}
	u := &upgraded{conn: conn, protocol: hs.Protocol}
	if br != nil {
		// Frames may come with the 101, as a sidecar's WELCOME does.
		b, _ := br.Peek(br.Buffered())
		u.early = bytes.Clone(b)
		ws.PutReader(br)
	}
	return u, a.switched(), nil
}

// reserved are the handshake's own headers.
var reserved = [...]string{
	"Connection", "Upgrade", "Sec-Websocket-Key", "Sec-Websocket-Version",
	"Sec-Websocket-Protocol", "Sec-Websocket-Extensions", "Sec-Websocket-Accept",
}

// header returns the request header that the program asks for.
func (c *Conn) header(ctx context.Context) (http.Header, error) {
	h := c.opts.HTTPHeader.Clone()
	if h == nil {
		h = http.Header{}
	}
	if c.opts.Header != nil {
		fresh, err := c.opts.Header(ctx)
		if err != nil {
			return nil, err
		}
		for k, v := range fresh {
			h[http.CanonicalHeaderKey(k)] = v
		}
	}
	for _, k := range reserved {
		h.Del(k)
	}
	if u := c.url.User; u != nil && h.Get("Authorization") == "" {
		password, _ := u.Password()
		h.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(u.Username()+":"+password)))
	}
	return h, nil
}

// response collects the server's response.
type response struct {
	conn    net.Conn
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

package client

import (
	"bufio"
	"bytes"
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

// Implementation limits: what a server can make us keep of its answer.
const (
	maxAnswer     = 64 << 10 // headers of a refusal, or of a 101
	maxAnswerBody = 1024     // what coder/websocket shows of a refusal
	answerWait    = 3 * time.Second
)

// upgraded is a connection after its handshake.
type upgraded struct {
	conn     net.Conn
	protocol string
	early    []byte // read behind the 101
}

var errAnswer = errors.New("headers of the answer are too large")

// handshake dials once and upgrades. The response is not nil when the server
// gave one.
func (c *Conn) handshake(ctx context.Context, protocols []string) (*upgraded, *http.Response, error) {
	if t := pick(c.opts.HandshakeTimeout, DefaultHandshakeTimeout); t > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t)
		defer cancel()
	}
	header, err := c.header(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("client: dial %s: header: %w", c.url.Host, err)
	}
	a := &answer{header: http.Header{}}
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
		// Frames may have come with the 101 (a sidecar's WELCOME does).
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

// header gathers what the program wants to send.
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

// answer gathers what the server says.
type answer struct {
	conn    net.Conn
	header  http.Header
	size    int // of header
	refusal *http.Response
}

func (a *answer) add(k, v []byte) error {
	if a.size += len(k) + len(v); a.size > maxAnswer {
		return errAnswer
	}
	a.header.Add(string(k), string(v))
	return nil
}

func (a *answer) switched() *http.Response {
	return &http.Response{
		Status: "101 Switching Protocols", StatusCode: http.StatusSwitchingProtocols,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: a.header, Body: http.NoBody,
	}
}

// refused reads an answer other than 101, as much of it as fits.
func (a *answer) refused(_ int, _ []byte, r io.Reader) {
	_ = a.conn.SetReadDeadline(time.Now().Add(answerWait)) // ends a body that does not come
	resp, err := http.ReadResponse(bufio.NewReader(io.LimitReader(r, maxAnswer)), nil)
	if err != nil {
		return
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBody)) // what came is what there is
	resp.Body = io.NopCloser(bytes.NewReader(body))
	a.refusal = resp
}

// parseURL takes the schemes that coder/websocket takes. Its error does not
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

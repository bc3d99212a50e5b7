package upgrade

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/http1"
	"github.com/wsresilience/wsresilience/internal/httpguard"
)

// Implementation limits on the app's answer.
const (
	// defaultHandshake bounds dialling, writing and reading the head of the
	// answer together, so that a head that drips ends too (U09). Proxies give an
	// app as much.
	defaultHandshake = time.Minute

	// MaxAnswerBytes bounds the head of the answer with all informational
	// ones before it.
	MaxAnswerBytes = 64 << 10

	// maxInformational bounds the 1xx answers that are skipped before the
	// one that counts; net/http allows as many.
	maxInformational = 5
)

// Offer is what the app is offered.
type Offer struct {
	Scheme string // of the client's connection: http or https

	// Verbatim passes the client's own subprotocols and extensions on; it is
	// for plain clients. The two fields below are then not looked at.
	Verbatim  bool
	Protocols []string        // the app's own
	Offers    []DeflateParams // the client's; context takeover is taken out

	// Session and Epoch tell the app whose socket this is: the same session means
	// that a conversation goes on. Empty: it is none that outlives its connection.
	Session string
	Epoch   uint32
}

// Fields of ours in the request to the app (PROTOCOL §2.5). Those of a client are
// left out before.
const (
	sessionHeader = "Wsr-Session-Id"
	epochHeader   = "Wsr-Session-Epoch"
)

// An AppConn is the app's side of a WebSocket connection whose handshake is
// done.
type AppConn struct {
	Conn        net.Conn
	Early       []byte         // frames that came with the 101: read these first
	Fields      []byte         // lines of the 101, to pass on: Set-Cookie and the like
	Subprotocol string         // what the app chose, or empty
	Extensions  string         // likewise, as the app wrote it
	Deflate     *DeflateParams // nil if messages are not compressed
}

// An AppError says that the app gave no usable answer. Status is for the
// client, Err only for the log.
type AppError struct {
	Status int // 502 or 504
	Err    error
}

func (e *AppError) Error() string { return e.Err.Error() }
func (e *AppError) Unwrap() error { return e.Err }

// Refusal is what the client is told.
func (e *AppError) Refusal() *Refusal {
	if e.Status == http.StatusGatewayTimeout {
		return &Refusal{e.Status, "The application did not answer in time.", event.RefusedUpstreamTimeout}
	}
	return &Refusal{e.Status, "The application could not be reached or gave an invalid answer.", event.RefusedUpstream}
}

// Dial makes the client's handshake with the app: the client's own
// request, its key included, with the offer of hs. Exactly one of its results
// is set: a connection; the app's refusal, to be passed on or closed;
// or an *AppError. r must have passed Parse. ctx ends the
// handshake, and the body of a refusal; it has no hold on the connection.
func (u *App) Dial(ctx context.Context, r *http.Request, hs Offer) (*AppConn, *AppRefusal, error) {
	limited, cancel := context.WithTimeout(ctx, u.handshakeTimeout())
	defer cancel()
	conn, err := u.Connect(limited)
	if err != nil {
		return nil, nil, Failure(err)
	}
	stop := context.AfterFunc(limited, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	offer := handshakeHeader(r, u.ForwardedProto(hs.Scheme), hs)
	bound := &boundedReader{r: conn, left: MaxAnswerBytes}
	br := bufio.NewReader(bound)
	answer, err := exchange(conn, br, r, offer)
	if !stop() { // time was up first, whatever the reading made of that
		err = fmt.Errorf("upgrade: handshake with upstream %s: %w", u.address, context.Cause(limited))
	}
	if err != nil {
		conn.Close()
		return nil, nil, Failure(err)
	}
	if answer.Status != http.StatusSwitchingProtocols {
		bound.left = -1
		return nil, newAppRefusal(ctx, answer, br, conn), nil
	}
	app, err := checkSwitch(answer, offer)
	if err != nil {
		conn.Close()
		return nil, nil, Failure(err)
	}
	early, _ := br.Peek(br.Buffered()) // what is buffered can be peeked at
	app.Conn, app.Early = conn, slices.Clone(early)
	return app, nil, nil
}

// Failure sorts a failure by its status.
func Failure(err error) *AppError {
	e := &AppError{http.StatusBadGateway, err}
	var timeout net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		e.Status = http.StatusGatewayTimeout
	}
	return e
}

// Quiet takes out of net/http's errors about an answer what they quote of it,
// so that they may be logged (I9).
func Quiet(err error) error {
	var header textproto.ProtocolError
	if errors.As(err, &header) {
		return errors.New("malformed header")
	}
	if before, _, quotes := strings.Cut(err.Error(), `"`); quotes {
		return errors.New(strings.TrimSpace(before))
	}
	return err
}

// handshakeHeader is the header of the request to the app.
func handshakeHeader(r *http.Request, proto string, hs Offer) http.Header {
	h := ForwardHeader(r, proto)
	h.Set("Connection", "Upgrade")
	h.Set("Upgrade", "websocket")
	h.Del("Content-Length") // it was 0 (Parse)
	if hs.Session != "" {
		h.Set(sessionHeader, hs.Session)
		h.Set(epochHeader, strconv.FormatUint(uint64(hs.Epoch), 10))
	}
	if hs.Verbatim {
		return h
	}
	h.Del("Sec-Websocket-Protocol")
	h.Del("Sec-Websocket-Extensions")
	if len(hs.Protocols) > 0 {
		h.Set("Sec-Websocket-Protocol", strings.Join(hs.Protocols, ", "))
	}
	if len(hs.Offers) > 0 {
		h.Set("Sec-Websocket-Extensions", extensionHeader(withoutTakeover(hs.Offers)))
	}
	return h
}

// RequestHead is what the app reads: names as they came (WithNames). net/http has refused every target, Host
// and value that would not stand in one line.
func RequestHead(r *http.Request, header http.Header) []byte {
	b := fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\n", r.RequestURI, r.Host)
	return append(appendFields(r.Context(), b, header), "\r\n"...)
}

// An appAnswer is the head of an app's answer, as it came.
type appAnswer struct {
	http1.Response
	informational []byte // the heads of those in front of it
}

// exchange writes the request and reads the head of the answer.
func exchange(conn net.Conn, br *bufio.Reader, r *http.Request, offer http.Header) (*appAnswer, error) {
	if _, err := conn.Write(RequestHead(r, offer)); err != nil {
		return nil, fmt.Errorf("upgrade: write handshake to upstream: %w", err)
	}
	a := new(appAnswer)
	for range maxInformational + 1 {
		head, err := readSection(br, http1.Scanner{Lenient: true}, nil)
		if err != nil {
			return nil, fmt.Errorf("upgrade: read handshake answer from upstream: %w", err)
		}
		if err := a.Parse(head); err != nil {
			return nil, fmt.Errorf("upgrade: malformed handshake answer from upstream: %w", err)
		}
		if a.Status >= 200 || a.Status == http.StatusSwitchingProtocols {
			return a, nil
		}
		a.informational = append(a.informational, head...)
	}
	return nil, fmt.Errorf("upgrade: upstream sent more than %d informational answers", maxInformational)
}

// checkSwitch checks a 101 as a client must (RFC 6455 §4.1).
func checkSwitch(a *appAnswer, offer http.Header) (*AppConn, error) {
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(a.Head)), &http.Request{Method: http.MethodGet}) //nolint:bodyclose // a head without one
	if err != nil {
		return nil, fmt.Errorf("upgrade: malformed handshake answer from upstream: %w", Quiet(err))
	}
	h := resp.Header
	switch {
	case !resp.ProtoAtLeast(1, 1):
		return nil, fmt.Errorf("upgrade: upstream answered 101 in %q", resp.Proto)
	case len(resp.TransferEncoding) > 0 || len(h["Content-Length"]) > 0 && h.Get("Content-Length") != "0":
		return nil, errors.New("upgrade: upstream answered 101 with a body")
	case len(h["Upgrade"]) != 1 || !strings.EqualFold(h["Upgrade"][0], "websocket"):
		return nil, errors.New("upgrade: upstream answered 101 without Upgrade: websocket")
	case !httpguard.HasToken(h["Connection"], "upgrade"):
		return nil, errors.New("upgrade: upstream answered 101 without Connection: Upgrade")
	case len(h["Sec-Websocket-Accept"]) != 1 || h["Sec-Websocket-Accept"][0] != AcceptKey(offer.Get("Sec-Websocket-Key")):
		return nil, errors.New("upgrade: upstream answered 101 with a Sec-WebSocket-Accept for another key")
	}
	app := &AppConn{Extensions: strings.Join(h["Sec-Websocket-Extensions"], ", ")}
	if chosen := h["Sec-Websocket-Protocol"]; len(chosen) > 0 {
		offered, _ := parseProtocols(offer["Sec-Websocket-Protocol"]) // checked before
		if len(chosen) > 1 || !slices.Contains(offered, chosen[0]) {
			return nil, errors.New("upgrade: upstream chose a subprotocol that was not offered")
		}
		app.Subprotocol = chosen[0]
	}
	if app.Deflate, err = checkExtensions(offer["Sec-Websocket-Extensions"], h["Sec-Websocket-Extensions"]); err != nil {
		return nil, err
	}
	app.Fields, err = switchFields(&a.Response)
	return app, err
}

// switchFields is what of the app's 101 is for the client: lines as they came, in
// their order, without what is about the app's connection and the handshake with it.
func switchFields(r *http1.Response) (lines []byte, err error) {
	for i := range r.Fields {
		f := &r.Fields[i]
		name := http.CanonicalHeaderKey(string(f.Name))
		switch {
		case !httpguard.IsToken(string(f.Name)):
			return nil, fmt.Errorf("upgrade: upstream answered 101 with a bad header %q", f.Name)
		case slices.Contains(hopByHop[:], name), name == "Content-Length", strings.HasPrefix(name, "Sec-Websocket-"):
		case bytes.HasSuffix(f.Line, []byte("\r\n")) && bytes.Count(f.Line, []byte("\n")) == 1:
			lines = append(lines, f.Line...)
		default: // folded, or with LF alone at its end
			_, value, _ := bytes.Cut(f.Line, []byte(":"))
			lines = appendField(lines, string(f.Name), string(bytes.Join(bytes.Fields(value), []byte(" "))))
		}
	}
	return lines, nil
}

// AcceptKey is Sec-WebSocket-Accept for a key (RFC 6455 §4.2.2 item 5.4).
func AcceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func appendField(dst []byte, name, value string) []byte {
	dst = append(append(dst, name...), ": "...)
	return append(append(dst, value...), "\r\n"...)
}

// A boundedReader fails once left bytes were read; below 0 there is no bound.
type boundedReader struct {
	r    io.Reader
	left int
}

// ErrAnswerTooBig is an answer whose head is above MaxAnswerBytes.
var ErrAnswerTooBig = fmt.Errorf("head above %d bytes", MaxAnswerBytes)

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.left < 0 {
		return b.r.Read(p)
	}
	if b.left == 0 {
		return 0, ErrAnswerTooBig
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

package doctor

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // RFC 6455 §4.2.2 wants it
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/wsresilience/wsresilience/internal/doctor/diagnosis"
)

// Implementation limits of an answer.
const (
	maxBody  = 4 << 10
	bodyWait = time.Second
)

// A variant is how a handshake differs from that of a browser.
type variant struct {
	protocols []string
	noOrigin  bool
	noDeflate bool
	single    bool // compress each message on its own
	list      bool // Connection: keep-alive, Upgrade
	padding   int  // bytes of a header that nobody knows
}

const acceptGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" // RFC 6455 §1.3

// deflateOffer is what browsers send. With deflateSingle no message needs another
// to be read.
const (
	deflateOffer  = "permessage-deflate; client_max_window_bits"
	deflateSingle = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
)

// request writes the head of a handshake.
func (t *target) request(v variant, key string) []byte {
	var b bytes.Buffer
	line := func(name, value string) { b.WriteString(name + ": " + value + "\r\n") }
	b.WriteString("GET " + t.path + " HTTP/1.1\r\n")
	own := t.Header.Clone()
	host := t.host
	if h := own.Get("Host"); h != "" {
		host = h
		own.Del("Host")
	}
	line("Host", host)
	connection := "Upgrade"
	if v.list {
		connection = "keep-alive, Upgrade"
	}
	line("Connection", connection)
	line("Upgrade", "websocket")
	if origin := t.origin(); origin != "" && !v.noOrigin {
		line("Origin", origin)
	}
	line("Sec-WebSocket-Version", "13")
	line("Sec-WebSocket-Key", key)
	switch {
	case v.noDeflate:
	case v.single:
		line("Sec-WebSocket-Extensions", deflateSingle)
	default:
		line("Sec-WebSocket-Extensions", deflateOffer)
	}
	if len(v.protocols) > 0 {
		line("Sec-WebSocket-Protocol", strings.Join(v.protocols, ", "))
	}
	if own.Get("User-Agent") == "" {
		line("User-Agent", t.UserAgent)
	}
	if v.padding > 0 {
		name := "X-Wsr-Doctor"
		line(name, strings.Repeat("x", max(0, v.padding-len(name)-2)))
	}
	for name, values := range own {
		for _, value := range values {
			line(name, value)
		}
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// open makes a handshake. The socket is nil unless it succeeds.
func (t *target) open(ctx context.Context, address string, v variant) (*diagnosis.Handshake, *socket) {
	ctx, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	h := &diagnosis.Handshake{}
	c := t.dial(ctx, address, []string{"http/1.1"}, h)
	if c == nil {
		return h, nil
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Now()) })
	defer stop()
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // never fails
	key := base64.StdEncoding.EncodeToString(nonce[:])
	began := time.Now()
	br := bufio.NewReaderSize(c, 64<<10)
	_, err := c.Write(t.request(v, key))
	var answer *http.Response
	if err == nil || !isTimeout(err) { // an answer may have come before
		answer, err = read(br, h) //nolint:bodyclose // the connection is closed, or a WebSocket
	}
	h.At = time.Now()
	h.AnswerTook = h.At.Sub(began)
	if err != nil {
		if h.Cause == diagnosis.None {
			h.Cause, h.Err = cause(err), text(err)
			if ctx.Err() != nil {
				h.Cause = diagnosis.TimedOut
			}
		}
		c.Close()
		return h, nil
	}
	h.Stage, h.Status, h.Proto, h.Header = diagnosis.Answered, answer.StatusCode, answer.Proto, answer.Header
	if h.Status != http.StatusSwitchingProtocols {
		body(c, answer, h)
		c.Close()
		return h, nil
	}
	h.Stage = diagnosis.Switching
	flaws(h, key, v)
	if !stop() {
		h.Flaws = append(h.Flaws, "it came too late")
	}
	if len(h.Flaws) > 0 {
		c.Close()
		return h, nil
	}
	h.Stage = diagnosis.Open
	_ = c.SetDeadline(time.Time{})
	return h, newSocket(c, br, h.Deflate)
}

func isTimeout(err error) bool { return cause(err) == diagnosis.TimedOut }

// read reads the head of an answer, and says what it is if it is no HTTP/1.
func read(br *bufio.Reader, h *diagnosis.Handshake) (*http.Response, error) {
	first, err := br.Peek(9)
	switch {
	case err != nil && len(first) == 0:
		return nil, err
	case len(first) == 9 && first[3] == 0x4 && first[0] == 0 && bytes.Equal(first[5:9], make([]byte, 4)):
		h.Cause, h.Err = diagnosis.NoHTTP1, "the answer is a SETTINGS frame of HTTP/2"
		return nil, io.ErrUnexpectedEOF
	case !bytes.HasPrefix(first, []byte("HTTP/")):
		h.Cause, h.Err = diagnosis.NotHTTP, "the answer begins with "+printable(first)
		return nil, io.ErrUnexpectedEOF
	}
	for {
		answer, err := http.ReadResponse(br, nil)
		if err != nil {
			if cause(err) == diagnosis.Other {
				h.Cause, h.Err = diagnosis.NotHTTP, text(err)
			}
			return nil, err
		}
		// 100, 102 and 103 come before the answer (RFC 9110 §15.2).
		if answer.StatusCode >= 200 || answer.StatusCode == http.StatusSwitchingProtocols {
			return answer, nil
		}
	}
}

func printable(b []byte) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '.'
		}
		return r
	}, string(b))
}

// body keeps the beginning of a body that does not take long.
func body(c net.Conn, answer *http.Response, h *diagnosis.Handshake) {
	_ = c.SetReadDeadline(time.Now().Add(bodyWait))
	p, _ := io.ReadAll(io.LimitReader(answer.Body, maxBody)) // what came says enough
	h.Body = strings.ToValidUTF8(string(p), ".")
}

// flaws lists what a browser would not take (RFC 6455 §4.1).
func flaws(h *diagnosis.Handshake, key string, v variant) {
	flaw := func(s string) { h.Flaws = append(h.Flaws, s) }
	if !strings.EqualFold(h.Header.Get("Upgrade"), "websocket") {
		flaw("Upgrade is " + quoted(h.Header.Values("Upgrade")) + ", not websocket")
	}
	if !hasToken(h.Header.Values("Connection"), "upgrade") {
		flaw("Connection is " + quoted(h.Header.Values("Connection")) + ", not Upgrade")
	}
	sum := sha1.Sum([]byte(key + acceptGUID)) //nolint:gosec // RFC 6455 §4.2.2 wants it
	switch got := h.Header.Values("Sec-Websocket-Accept"); {
	case len(got) == 0:
		flaw("Sec-WebSocket-Accept is missing")
	case len(got) > 1:
		flaw("Sec-WebSocket-Accept is there twice")
	case strings.TrimSpace(got[0]) != base64.StdEncoding.EncodeToString(sum[:]):
		flaw("Sec-WebSocket-Accept does not fit the key: an answer to another request, or a key that was changed")
	}
	switch got := h.Header.Values("Sec-Websocket-Protocol"); {
	case len(got) > 1 || len(got) == 1 && strings.Contains(got[0], ","):
		flaw("Sec-WebSocket-Protocol names several")
	case len(got) == 1:
		h.Protocol = strings.TrimSpace(got[0])
		if !slices.Contains(v.protocols, h.Protocol) {
			flaw("the subprotocol " + quoted(got) + " was not offered")
		}
	}
	for _, e := range h.Header.Values("Sec-Websocket-Extensions") {
		name, _, _ := strings.Cut(e, ";")
		switch {
		case strings.TrimSpace(name) != "permessage-deflate" || v.noDeflate:
			flaw("the extension " + quoted([]string{e}) + " was not offered")
		default:
			h.Deflate = true
		}
	}
}

func quoted(list []string) string {
	if len(list) == 0 {
		return "missing"
	}
	return `"` + strings.Join(list, ", ") + `"`
}

func hasToken(lines []string, token string) bool {
	for _, l := range lines {
		for f := range strings.SplitSeq(l, ",") {
			if strings.EqualFold(strings.TrimSpace(f), token) {
				return true
			}
		}
	}
	return false
}

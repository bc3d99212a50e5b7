// Package upgrade is the WebSocket handshake, twice: what a client asks of the
// sidecar (Parse, Request), and the same request made once more with the app
// (App.Dial). The client's key passes through, so that the app's answer is an
// answer to the client; subprotocols and extensions are what the two sides
// differ in. Whatever is refused is a Refusal, and what the app refuses passes
// as it came.
package upgrade

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/httpguard"
)

// Implementation limits on a request.
const (

	// maxProtocols bounds the subprotocols of an offer; kubectl, the longest
	// list known, has seven.
	maxProtocols = 64
)

// websocketVersion is the only one there is (RFC 6455 §4.1).
const websocketVersion = "13"

// Requested reports whether r attempts a WebSocket upgrade. Upgrade and
// Connection are lists that may come as several lines (RFC 9110 §5.3), and
// "h2c, websocket" leaves the choice to the server. Anything else, a POST
// with an Upgrade header for one, is plain HTTP: there the header does not
// reach the app.
func Requested(r *http.Request) bool {
	return r.Method == http.MethodGet && r.ProtoMajor == 1 &&
		httpguard.HasToken(r.Header["Upgrade"], "websocket") && httpguard.HasToken(r.Header["Connection"], "upgrade")
}

// An Request is a WebSocket handshake that keeps RFC 6455 §4.2.1.
type Request struct {
	Key       string
	Protocols []string        // in the client's order, with the wsr entries
	Offers    []DeflateParams // legal offers of permessage-deflate, in order
	Origin    string          // empty if there was none
}

// A Refusal is an answer of our own to a request that goes no further.
type Refusal struct {
	Status int
	Reason string        // for the client: nothing internal, none of its bytes
	Label  event.Refusal // for metrics
}

func (f *Refusal) Error() string {
	return "upgrade: upgrade refused with " + strconv.Itoa(f.Status) + ": " + f.Reason
}

// Parse checks r strictly: what it lets pass is written to the app by
// us, and an app must not see a handshake that we and it read differently.
func Parse(r *http.Request) (*Request, *Refusal) {
	if f := checkHead(r); f != nil {
		return nil, f
	}
	version := r.Header["Sec-Websocket-Version"]
	if len(version) != 1 || version[0] != websocketVersion {
		return nil, &Refusal{http.StatusUpgradeRequired, "Sec-WebSocket-Version must be 13", event.RefusedVersion}
	}
	key := r.Header["Sec-Websocket-Key"]
	if len(key) != 1 || !validKey(key[0]) {
		return nil, &Refusal{http.StatusBadRequest, "exactly one Sec-WebSocket-Key of 16 bytes is needed", event.RefusedKey}
	}
	origin := r.Header["Origin"]
	if len(origin) > 1 {
		return nil, &Refusal{http.StatusBadRequest, "more than one Origin", event.RefusedOrigin}
	}
	protocols, ok := parseProtocols(r.Header["Sec-Websocket-Protocol"])
	if !ok {
		return nil, &Refusal{http.StatusBadRequest, "Sec-WebSocket-Protocol is not a list of different tokens", event.RefusedProtocols}
	}
	q := &Request{
		Key:       key[0],
		Protocols: protocols,
		Offers:    deflateOffers(r.Header["Sec-Websocket-Extensions"]),
	}
	if len(origin) == 1 {
		q.Origin = origin[0]
	}
	return q, nil
}

// checkHead checks what is not about WebSocket itself.
func checkHead(r *http.Request) *Refusal {
	switch {
	case r.Method != http.MethodGet:
		return &Refusal{http.StatusMethodNotAllowed, "an upgrade is a GET", event.RefusedMethod}
	case r.ProtoMajor != 1 || r.ProtoMinor != 1:
		return &Refusal{http.StatusBadRequest, "an upgrade needs HTTP/1.1", event.RefusedProto}
	case httpguard.TooManyFields(r.Header):
		return &Refusal{http.StatusRequestHeaderFieldsTooLarge, "too many header fields", event.RefusedFields}
	case r.Host == "":
		return &Refusal{http.StatusBadRequest, "Host is empty", event.RefusedHost}
	case r.URL.Host != "" || !strings.HasPrefix(r.RequestURI, "/"):
		// The absolute form is for proxies (RFC 9112 §3.2.2), and net/http
		// hides the Host line that it should agree with.
		return &Refusal{http.StatusBadRequest, "the request target must be a path", event.RefusedTarget}
	case r.ContentLength != 0 || len(r.TransferEncoding) > 0:
		// Body bytes would be taken for frames, or frames for a body
		// (RFC 9931).
		return &Refusal{http.StatusBadRequest, "an upgrade has no body", event.RefusedBody}
	case len(r.Header["Expect"]) > 0:
		return &Refusal{http.StatusBadRequest, "an upgrade has no Expect", event.RefusedExpect}
	}
	return nil
}

// refusedHeader marks an answer as the sidecar's own (PROTOCOL §2.2).
const refusedHeader = "Wsr-Refused"

// Write answers and closes the connection: bytes may have followed the head
// that were never meant as a request.
func (f *Refusal) Write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Connection", "close")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set(refusedHeader, f.Label.String())
	h.Set("Content-Length", strconv.Itoa(len(f.Reason)+1))
	if f.Status == http.StatusUpgradeRequired {
		h.Set("Sec-Websocket-Version", websocketVersion) // RFC 6455 §4.4
	}
	w.WriteHeader(f.Status)
	_, _ = io.WriteString(w, f.Reason+"\n") // the client may be gone
}

// Append appends the same answer as bytes, with more header lines.
func (f *Refusal) Append(dst []byte, fields ...string) []byte {
	dst = fmt.Appendf(dst, "HTTP/1.1 %d %s\r\nConnection: close\r\n", f.Status, http.StatusText(f.Status))
	for _, line := range fields {
		dst = append(append(dst, line...), "\r\n"...)
	}
	return fmt.Appendf(dst, "Content-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n%s: %s\r\nContent-Length: %d\r\n\r\n%s\n",
		refusedHeader, f.Label, len(f.Reason)+1, f.Reason)
}

// AppendSwitch appends the 101 that completes the handshake. Protocol and
// extensions are left out when empty; fields are the lines that the app sent beside
// them and have been checked (AppConn.Fields).
func (q *Request) AppendSwitch(dst []byte, protocol, extensions string, fields []byte) []byte {
	dst = append(dst, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"...)
	dst = appendField(dst, "Sec-WebSocket-Accept", AcceptKey(q.Key))
	if protocol != "" {
		dst = appendField(dst, "Sec-WebSocket-Protocol", protocol)
	}
	if extensions != "" {
		dst = appendField(dst, "Sec-WebSocket-Extensions", extensions)
	}
	return append(append(dst, fields...), "\r\n"...)
}

// validKey wants the canonical base64 of 16 bytes: one text for one value.
func validKey(key string) bool {
	b, err := base64.StdEncoding.Strict().DecodeString(key)
	// The decoder skips line ends, which a header value cannot hold.
	return err == nil && len(b) == 16
}

// parseProtocols reads Sec-WebSocket-Protocol: tokens, none twice (RFC 6455
// §4.1 item 10). Empty list elements are legal (RFC 9110 §5.6.1.2).
func parseProtocols(lines []string) ([]string, bool) {
	var list []string
	for _, line := range lines {
		for element := range strings.SplitSeq(line, ",") {
			p := strings.Trim(element, " \t")
			if p == "" {
				continue
			}
			if len(list) == maxProtocols || !httpguard.IsToken(p) || slices.Contains(list, p) {
				return nil, false
			}
			list = append(list, p)
		}
	}
	return list, true
}

// ErrEarly is a client that sent bytes before its handshake was answered.
var ErrEarly = errors.New("upgrade: client sent bytes before it was answered")

// answerTimeout bounds writing the answer to a client, which is one segment.
const answerTimeout = 10 * time.Second

// Answer takes the client's connection from net/http, and completes its
// handshake with head. A client that sent bytes before is refused, and the
// error is ErrEarly: RFC 6455 §4.1 forbids it, and what they are cannot be known
// (RFC 9931). After an error the connection is closed.
func Answer(w http.ResponseWriter, head []byte) (net.Conn, error) {
	conn, early, err := httpguard.Hijack(w)
	if err != nil {
		return nil, err
	}
	if len(early) > 0 {
		head = []byte("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
		err = ErrEarly
	}
	_ = conn.SetDeadline(time.Now().Add(answerTimeout))
	if _, werr := conn.Write(head); err == nil {
		err = werr
	}
	if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

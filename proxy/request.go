package proxy

import (
	"encoding/base64"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/wsresilience/wsresilience/event"
)

// Implementation limits on a request.
const (
	// maxHeadBytes bounds a request head; the server's MaxHeaderBytes is set
	// from it. Proxies in front cap a head at 8 to 32 KiB.
	maxHeadBytes = 60 << 10

	// maxHeaderFields bounds the header lines of a request. Each costs far
	// more memory than its bytes.
	maxHeaderFields = 256

	// maxProtocols bounds the subprotocols of an offer; kubectl, the longest
	// list known, has seven.
	maxProtocols = 64
)

// websocketVersion is the only one there is (RFC 6455 §4.1).
const websocketVersion = "13"

// isUpgrade tells whether r attempts a WebSocket upgrade. Upgrade and
// Connection are lists that may come as several lines (RFC 9110 §5.3), and
// "h2c, websocket" leaves the choice to the server. Anything else, a POST
// with an Upgrade header for one, is plain HTTP: there the header does not
// reach the app.
func isUpgrade(r *http.Request) bool {
	return r.Method == http.MethodGet && r.ProtoMajor == 1 &&
		hasToken(r.Header["Upgrade"], "websocket") && hasToken(r.Header["Connection"], "upgrade")
}

// An upgradeRequest is a WebSocket handshake that keeps RFC 6455 §4.2.1.
type upgradeRequest struct {
	Key       string
	Protocols []string        // in the client's order, with the wsr entries
	Offers    []deflateParams // legal offers of permessage-deflate, in order
	Origin    string          // empty if there was none
}

// A refusal is an answer of our own to a request that goes no further.
type refusal struct {
	Status int
	Reason string        // for the client: nothing internal, none of its bytes
	Label  event.Refusal // for metrics
}

func (f *refusal) Error() string {
	return "proxy: upgrade refused with " + strconv.Itoa(f.Status) + ": " + f.Reason
}

// checkUpgrade checks r strictly: what it lets pass is written to the app by
// us, and an app must not see a handshake that we and it read differently.
func checkUpgrade(r *http.Request) (*upgradeRequest, *refusal) {
	if f := checkHead(r); f != nil {
		return nil, f
	}
	version := r.Header["Sec-Websocket-Version"]
	if len(version) != 1 || version[0] != websocketVersion {
		return nil, &refusal{http.StatusUpgradeRequired, "Sec-WebSocket-Version must be 13", event.RefusedVersion}
	}
	key := r.Header["Sec-Websocket-Key"]
	if len(key) != 1 || !validKey(key[0]) {
		return nil, &refusal{http.StatusBadRequest, "exactly one Sec-WebSocket-Key of 16 bytes is needed", event.RefusedKey}
	}
	origin := r.Header["Origin"]
	if len(origin) > 1 {
		return nil, &refusal{http.StatusBadRequest, "more than one Origin", event.RefusedOrigin}
	}
	protocols, ok := parseProtocols(r.Header["Sec-Websocket-Protocol"])
	if !ok {
		return nil, &refusal{http.StatusBadRequest, "Sec-WebSocket-Protocol is not a list of different tokens", event.RefusedProtocols}
	}
	q := &upgradeRequest{
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
func checkHead(r *http.Request) *refusal {
	switch {
	case r.Method != http.MethodGet:
		return &refusal{http.StatusMethodNotAllowed, "an upgrade is a GET", event.RefusedMethod}
	case r.ProtoMajor != 1 || r.ProtoMinor != 1:
		return &refusal{http.StatusBadRequest, "an upgrade needs HTTP/1.1", event.RefusedProto}
	case tooManyFields(r.Header):
		return &refusal{http.StatusRequestHeaderFieldsTooLarge, "too many header fields", event.RefusedFields}
	case r.Host == "":
		return &refusal{http.StatusBadRequest, "Host is empty", event.RefusedHost}
	case r.URL.Host != "" || !strings.HasPrefix(r.RequestURI, "/"):
		// The absolute form is for proxies (RFC 9112 §3.2.2), and net/http
		// hides the Host line that it should agree with.
		return &refusal{http.StatusBadRequest, "the request target must be a path", event.RefusedTarget}
	case r.ContentLength != 0 || len(r.TransferEncoding) > 0:
		// Body bytes would be taken for frames, or frames for a body
		// (RFC 9931).
		return &refusal{http.StatusBadRequest, "an upgrade has no body", event.RefusedBody}
	case len(r.Header["Expect"]) > 0:
		return &refusal{http.StatusBadRequest, "an upgrade has no Expect", event.RefusedExpect}
	}
	return nil
}

// write answers and closes the connection: bytes may have followed the head
// that were never meant as a request.
func (f *refusal) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Connection", "close")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	if f.Status == http.StatusUpgradeRequired {
		h.Set("Sec-Websocket-Version", websocketVersion) // RFC 6455 §4.4
	}
	w.WriteHeader(f.Status)
	_, _ = io.WriteString(w, f.Reason+"\n") // the client may be gone
}

// appendSwitch appends the 101 that completes the handshake. Protocol and
// extensions are left out when empty; header holds what the app sent beside
// them and has been checked (appConn.Header).
func (q *upgradeRequest) appendSwitch(dst []byte, protocol, extensions string, header http.Header) []byte {
	dst = append(dst, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"...)
	dst = appendField(dst, "Sec-WebSocket-Accept", acceptKey(q.Key))
	if protocol != "" {
		dst = appendField(dst, "Sec-WebSocket-Protocol", protocol)
	}
	if extensions != "" {
		dst = appendField(dst, "Sec-WebSocket-Extensions", extensions)
	}
	return append(appendHeader(dst, header), "\r\n"...)
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
			if len(list) == maxProtocols || !isToken(p) || slices.Contains(list, p) {
				return nil, false
			}
			list = append(list, p)
		}
	}
	return list, true
}

func tooManyFields(h http.Header) bool {
	n := 0
	for _, values := range h {
		n += len(values)
	}
	return n > maxHeaderFields
}

// hasToken tells whether a list header has token, in any case.
func hasToken(lines []string, token string) bool {
	for _, line := range lines {
		for element := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.Trim(element, " \t"), token) {
				return true
			}
		}
	}
	return false
}

func isToken(s string) bool {
	for i := range len(s) {
		if !isTokenByte(s[i]) {
			return false
		}
	}
	return s != ""
}

// isTokenByte is tchar of RFC 9110 §5.6.2.
func isTokenByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

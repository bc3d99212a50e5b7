package agent

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// notPassed are the fields of a program's handshake that belong to its connection
// with the agent. Those of the WebSocket handshake are the client's own.
var notPassed = []string{
	"Connection", "Upgrade", "Host", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Content-Length",
	"Proxy-Connection", "Proxy-Authorization",
}

// isUpgrade reports whether r is the handshake of a WebSocket (RFC 6455 §4.1).
func isUpgrade(r *http.Request) bool {
	return r.Method == http.MethodGet && contains(r.Header["Connection"], "upgrade") && contains(r.Header["Upgrade"], "websocket")
}

// contains reports whether a list in header fields has an element, whatever its
// case.
func contains(fields []string, element string) bool {
	return slices.ContainsFunc(list(fields), func(s string) bool { return strings.EqualFold(s, element) })
}

// list returns the elements of a list in header fields (RFC 9110 §5.6.1).
func list(fields []string) (elements []string) {
	for _, f := range fields {
		for e := range strings.SplitSeq(f, ",") {
			if e = strings.TrimSpace(e); e != "" {
				elements = append(elements, e)
			}
		}
	}
	return elements
}

// passed returns the header fields that go to the server.
func passed(h http.Header) http.Header {
	out := http.Header{}
	for name, values := range h {
		if !slices.Contains(notPassed, name) && !strings.HasPrefix(name, "Sec-Websocket-") {
			out[name] = values
		}
	}
	return out
}

// address returns the URL at the server of a program's request.
func address(target, request *url.URL) string {
	u := *target
	u.Path, u.RawPath = "", ""
	return u.String() + strings.TrimSuffix(target.EscapedPath(), "/") + request.EscapedPath() + query(request)
}

func query(u *url.URL) string {
	if u.RawQuery == "" && !u.ForceQuery {
		return ""
	}
	return "?" + u.RawQuery
}

// application returns the subprotocols of a program's offer, without those of
// wsr.v1: it is the agent that speaks it here. A program that does finds no sidecar
// (PROTOCOL §2.3), and works as an ordinary client.
func application(h http.Header) []string {
	return slices.DeleteFunc(list(h["Sec-Websocket-Protocol"]), func(p string) bool {
		return p == "wsr" || strings.HasPrefix(p, "wsr.")
	})
}

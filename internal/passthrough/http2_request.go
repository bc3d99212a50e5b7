package passthrough

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/http1"
	"github.com/wsresilience/wsresilience/internal/httpguard"
	"github.com/wsresilience/wsresilience/internal/upgrade"
)

// checkRequest says why a request of HTTP/2 is not passed on, or nil. Its frames
// may hold what a line of HTTP/1 would not, or would hold as something else: an app
// that gets HTTP/1 must not read two parts in what was one. What http1.Request
// refuses of a target and a Host is refused here too.
func checkRequest(r *http.Request, v2 bool) *upgrade.Refusal {
	switch {
	case r.Method == http.MethodConnect:
		return &upgrade.Refusal{Status: http.StatusMethodNotAllowed, Reason: "no tunnels here", Label: event.RefusedConnect}
	case httpguard.TooManyFields(r.Header):
		return &upgrade.Refusal{Status: http.StatusRequestHeaderFieldsTooLarge, Reason: "too many header fields", Label: event.RefusedFields}
	case !httpguard.IsToken(r.Method):
		return &upgrade.Refusal{Status: http.StatusBadRequest, Reason: "the method is malformed", Label: event.RefusedMethod}
	case r.RequestURI != "*" && !strings.HasPrefix(r.RequestURI, "/"), !v2 && strings.Contains(r.RequestURI, " "):
		return &upgrade.Refusal{Status: http.StatusBadRequest, Reason: "the request target must be a path", Label: event.RefusedTarget}
	case !http1.IsHost(r.Host):
		return &upgrade.Refusal{Status: http.StatusBadRequest, Reason: "Host is malformed", Label: event.RefusedHost}
	}
	return nil
}

// targetMark stands before a path in a request that a keptConn writes, where
// net/http would take the path for something else.
const targetMark = "*"

// setTarget makes u the address of the app's resource: path and query byte for
// byte as the client wrote them, which url.URL alone would not keep. host is for
// requests without a Host. mark is where the request's first line has targetMark,
// or -1. r must have passed checkRequest.
func setTarget(u *url.URL, r *http.Request, host string, v2 bool) (mark int) {
	u.Scheme, u.Host, u.User = "http", host, nil
	u.RawQuery, u.ForceQuery = r.URL.RawQuery, r.URL.ForceQuery
	path, _, _ := strings.Cut(r.RequestURI, "?")
	switch {
	case !strings.HasPrefix(path, "//"):
		u.Opaque = path
	case v2: // an authority, which net/http takes off again
		u.Opaque = "//" + cmp.Or(r.Host, host) + path
	default:
		u.Opaque = targetMark + path
		return len(r.Method) + len(" ")
	}
	return -1
}

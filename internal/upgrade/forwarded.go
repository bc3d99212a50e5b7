package upgrade

import (
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/wsresilience/wsresilience/internal/httpguard"
)

// hopByHop are the headers that concern one connection only (RFC 9110
// §7.6.1); those for the app's connection are made anew.
var hopByHop = [...]string{
	"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
	"Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// ForwardHeader returns the header that the app gets for r. Scheme is that of
// the client's connection to us, http or https.
//
// Tokens in Connection delete nothing beyond the fixed list: clients used
// them to take X-Forwarded-For or Authorization away from a request after a
// proxy in front had set it (CVE-2024-45410, CVE-2026-29054).
//
// X-Forwarded-Proto and -Host are kept where they are set. Without us the app
// would see them as they came (I10), and a proxy in front knows better than
// we do what the client asked for.
func ForwardHeader(r *http.Request, scheme string) http.Header {
	h := make(http.Header, len(r.Header)+3)
	for name, values := range r.Header {
		if !isForged(name) {
			h[name] = append([]string(nil), values...)
		}
	}
	for _, name := range hopByHop {
		delete(h, name)
	}
	if httpguard.HasToken(r.Header["Te"], "trailers") {
		h.Set("Te", "trailers") // the one Te that passes; gRPC needs it
	}
	if peer, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		h["X-Forwarded-For"] = append(h["X-Forwarded-For"], peer)
		h.Set("X-Forwarded-For", strings.Join(h["X-Forwarded-For"], ", "))
	}
	if len(h["X-Forwarded-Proto"]) == 0 {
		h.Set("X-Forwarded-Proto", scheme)
	}
	if len(h["X-Forwarded-Host"]) == 0 && r.Host != "" {
		h.Set("X-Forwarded-Host", r.Host)
	}
	return h
}

// isForged reports whether a header may not come from outside: our own
// namespace, and spellings with an underscore of headers that proxies manage.
// CGI, WSGI and Rack turn "-" into "_", so that an app there cannot tell
// X_Forwarded_For from the real one (CVE-2025-64484).
func isForged(name string) bool {
	plain := strings.ReplaceAll(strings.ToLower(name), "_", "-")
	if strings.HasPrefix(plain, "wsr-") || strings.HasPrefix(plain, "x-wsr-") {
		return true
	}
	return strings.Contains(name, "_") && (strings.HasPrefix(plain, "x-forwarded-") || plain == "x-real-ip")
}

// ForwardTarget makes u the address of the app's resource: path and query
// byte for byte as the client wrote them, which url.URL alone would not keep.
func ForwardTarget(r *http.Request, u *url.URL, host string) {
	u.Scheme, u.Host, u.User = "http", host, nil
	u.RawQuery, u.ForceQuery = r.URL.RawQuery, r.URL.ForceQuery
	path, _, _ := strings.Cut(r.RequestURI, "?")
	if strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "//") || path == "*" {
		// Opaque is written as it is, except behind two slashes.
		u.Opaque = path
	}
}

package upgrade

import (
	"bytes"
	"net"
	"net/http"
	"strings"

	"github.com/wsresilience/wsresilience/internal/http1"
	"github.com/wsresilience/wsresilience/internal/httpguard"
)

// hopByHop are the headers that concern one connection only (RFC 9110
// §7.6.1); those for the app's connection are made anew.
var hopByHop = [...]string{
	"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
	"Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// ForwardHeader returns the header that the app gets for r. proto is for
// X-Forwarded-Proto; empty where it is not known by what scheme the client asked.
//
// Tokens in Connection delete nothing beyond the fixed list: clients used
// them to take X-Forwarded-For or Authorization away from a request after a
// proxy in front had set it (CVE-2024-45410, CVE-2026-29054).
//
// X-Forwarded-Proto and -Host are kept where they are set. Without us the app
// would see them as they came (I10), and a proxy in front knows better than
// we do what the client asked for.
func ForwardHeader(r *http.Request, proto string) http.Header {
	h := make(http.Header, len(r.Header)+3)
	for name, values := range r.Header {
		if !isForged(name, r.Header) {
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
	if len(h["X-Forwarded-Proto"]) == 0 && proto != "" {
		h.Set("X-Forwarded-Proto", proto)
	}
	if len(h["X-Forwarded-Host"]) == 0 && r.Host != "" {
		h.Set("X-Forwarded-Host", r.Host)
	}
	return h
}

// isForged reports whether a header may not come from outside.
func isForged(name string, h http.Header) bool {
	return forged([]byte(name), func(plain string) bool {
		for other := range h {
			if strings.EqualFold(other, plain) {
				return true
			}
		}
		return false
	})
}

// Forged reports whether a field of a request may not come from outside: it is in
// our own namespace, or has "_" in a place where a field that matters has "-".
// CGI, WSGI and Rack read the two alike, so that an app there cannot tell
// X_Forwarded_For from the real one (CVE-2025-64484). nginx drops all names with
// "_"; an app's own ones pass here.
func Forged(fields http1.Fields, f *http1.Field) bool {
	return forged(f.Name, func(plain string) bool { return fields.Count(plain) > 0 })
}

// forged decides; has reports whether the request has a field with a name, which
// is given in small letters.
func forged(name []byte, has func(plain string) bool) bool {
	plain := strings.ReplaceAll(strings.ToLower(string(name)), "_", "-")
	if strings.HasPrefix(plain, "wsr-") || strings.HasPrefix(plain, "x-wsr-") {
		return true
	}
	if bytes.IndexByte(name, '_') < 0 {
		return false
	}
	return strings.HasPrefix(plain, "x-forwarded-") || matters[plain] || has(plain)
}

// matters are the fields that say where a message ends, who sent it, and what
// becomes of it.
var matters = map[string]bool{
	"connection": true, "content-length": true, "content-type": true, "expect": true, "host": true, "keep-alive": true,
	"te": true, "trailer": true, "transfer-encoding": true, "upgrade": true,
	"authorization": true, "cookie": true, "proxy-authorization": true, "origin": true,
	"forwarded": true, "true-client-ip": true, "cf-connecting-ip": true, "via": true,
	"x-real-ip": true, "x-client-ip": true, "x-original-url": true, "x-rewrite-url": true, "x-http-method-override": true,
}

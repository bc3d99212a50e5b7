package observe

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// meshAddress is where Istio's proxy in a pod connects from on behalf of
// whoever came from outside.
var meshAddress = netip.MustParseAddr("127.0.0.6")

// mayChange returns why a request may not change anything, or "". It may when
// it comes from this machine, or has the token.
func (a Admin) mayChange(r *http.Request) (refusal string) {
	switch {
	case fromPage(r):
		return "a web page cannot change anything here\n"
	case fromHere(r), a.hasToken(r):
		return ""
	case a.Token == nil:
		return "only from this pod or machine, since WSR_ADMIN_TOKEN_FILE is not set\n"
	}
	return "only from this pod or machine, or with Authorization: Bearer and the token of WSR_ADMIN_TOKEN_FILE\n"
}

// mayRead returns why a request may not see who is connected, or "". It may when it
// comes from this machine, or has the token. A page of the endpoint's own may ask,
// and no other: its browser may be on this machine too.
func (a Admin) mayRead(r *http.Request) (refusal string) {
	switch {
	case fromForeignPage(r):
		return "a web page of another origin sees nothing here\n"
	case fromHere(r), a.hasToken(r):
		return ""
	case a.Token == nil:
		return "only from this pod or machine, since WSR_ADMIN_TOKEN_FILE is not set: kubectl port-forward, or kubectl exec\n"
	}
	return "only from this pod or machine, or with Authorization: Bearer and the token of WSR_ADMIN_TOKEN_FILE\n"
}

// hasToken reports whether r has the operator's token.
func (a Admin) hasToken(r *http.Request) bool {
	if a.Token == nil {
		return false
	}
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return false
	}
	want := a.Token()
	// Hashes have one length, so that the comparison tells nothing of the token's.
	g, w := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(want))
	return want != "" && subtle.ConstantTimeCompare(g[:], w[:]) == 1
}

// fromHere reports whether the request comes from a process of this machine,
// or of this pod, on its own behalf: from loopback, or from the address that it
// goes to, which nobody else can connect from. What a proxy passed on is not,
// wherever the proxy runs.
func fromHere(r *http.Request) bool {
	remote, ok := addrOf(r.RemoteAddr)
	if !ok || passedOn(r) || remote == meshAddress || !plainHost(r.Host) {
		return false
	}
	if remote.IsLoopback() {
		return true
	}
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if local == nil {
		return false
	}
	to, ok := addrOf(local.String())
	return ok && to == remote
}

// addrOf returns the address of host:port.
func addrOf(hostport string) (netip.Addr, bool) {
	a, err := netip.ParseAddrPort(hostport)
	return a.Addr().Unmap(), err == nil
}

// passedOn reports whether a proxy says that it passed the request on.
func passedOn(r *http.Request) bool {
	for name := range r.Header {
		if name == "Via" || name == "Forwarded" || name == "X-Real-Ip" || strings.HasPrefix(name, "X-Forwarded-") || strings.HasPrefix(name, "X-Envoy-") {
			return true
		}
	}
	return false
}

// plainHost reports whether a request names this machine by an address or as
// localhost. A page whose name an attacker's DNS lets point to loopback
// names it otherwise.
func plainHost(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	_, err := netip.ParseAddr(host)
	return err == nil || host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// rebound reports whether a request from loopback names this machine as nobody
// does but a page with a name of its own: what it reads is not for that page.
func rebound(r *http.Request) bool {
	remote, ok := addrOf(r.RemoteAddr)
	return ok && remote.IsLoopback() && remote != meshAddress && !passedOn(r) && !plainHost(r.Host)
}

// fromPage reports whether a browser sent the request on behalf of a page.
// Every browser puts Origin on a POST or DELETE, whatever makes it, and newer
// ones say besides where it comes from.
func fromPage(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return r.Header.Get("Origin") != "" || site != "" && site != "none" && site != "same-origin"
}

// fromForeignPage reports whether a browser sent the request on behalf of a page
// that is not ours. To read something, a page of ours sends no Origin.
func fromForeignPage(r *http.Request) bool {
	if origin := r.Header.Get("Origin"); origin != "" {
		_, host, _ := strings.Cut(origin, "://")
		return !strings.EqualFold(host, r.Host)
	}
	site := r.Header.Get("Sec-Fetch-Site")
	return site != "" && site != "none" && site != "same-origin"
}

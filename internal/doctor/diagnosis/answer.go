package diagnosis

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// handshakes judges the plain handshake, or the resilient one where that alone
// fails.
func handshakes(f *Facts, c *findings) {
	switch {
	case f.Plain == nil:
	case f.Plain.OK():
		if f.Resilient != nil && !f.Resilient.OK() {
			onlyResilient(f, c)
		}
		if f.List != nil && !f.List.OK() && !limited(f.List) {
			c.add(Finding{ID: "connection-list", Severity: Problem, Blame: []Party{Path, App},
				What: "Connection: Upgrade passes, and Connection: keep-alive, Upgrade does not, which Firefox sends.",
				Seen: []string{describe(f.List)}, Do: "Compare Connection as a list, in any case."}, Upgrade)
		}
	case f.Plain.Stage >= Asking:
		failed(f, f.Plain, c)
	}
}

// limited reports whether a handshake was refused for a reason that has nothing to do
// with how it was made: a limit, or a server that fails.
func limited(h *Handshake) bool {
	return h.Stage == Answered && (h.Status == http.StatusTooManyRequests || h.Status >= http.StatusInternalServerError)
}

// sometimes is when handshakes fail that are like others that have succeeded.
func sometimes(f *Facts, c *findings) {
	later, made := f.Later, f.Made
	if f.List != nil && limited(f.List) {
		later, made = append(slices.Clone(later), *f.List), made+1
	}
	if len(later) == 0 || !f.Plain.OK() && !f.Resilient.OK() {
		return
	}
	h := &later[0]
	if i := slices.IndexFunc(later, func(h Handshake) bool { return h.Stage == Answered }); i >= 0 {
		h = &later[i] // it says more
	}
	fi := Finding{ID: "fails-at-times", Severity: Problem, Blame: []Party{Path, App}, What: fmt.Sprintf("%d of %d handshakes failed after the first ones had succeeded.", len(later), made),
		Seen: []string{describe(h)}, Do: "Either connections are limited, in number or rate, for each client: raise that, since after an outage all come back at once. Or a balancer sends some to what does not work: look at each backend."}
	if how, _ := there(f); how != "" {
		fi.Blame = append(fi.Blame, Sidecar) // it may have a limit of its own
	}
	if h.Stage == Answered {
		fi.Seen = append(fi.Seen, answered(h), quote(h.Body))
		if do := refusals[h.Header.Get("Wsr-Refused")]; do != "" {
			fi.Blame, fi.Do = []Party{Sidecar}, do
			c.add(fi, NoSymptom)
			return
		}
	}
	c.add(fi, NoBackend)
}

// What is said of 429.
const (
	tooMany   = "429: handshakes are limited in number."
	allAtOnce = "Raise the limit for this path: after an outage all clients come back at once. Clients should heed Retry-After."
)

// onlyResilient is when nothing but the entries of wsr.v1 makes it fail.
func onlyResilient(f *Facts, c *findings) {
	h := f.Resilient
	fi := Finding{ID: "resilient-refused", Severity: Problem, Seen: []string{"without wsr.v1: " + describe(f.Plain), "with it: " + describe(h), answered(h)}}
	switch reason := h.Header.Get("Wsr-Refused"); {
	case reason != "":
		fi.Blame, fi.What = []Party{Sidecar}, "The sidecar refuses new sessions: "+reason+"."
		fi.Do = refusals[reason]
		if reason == "proto" {
			fi.ID, fi.Blame = "http-version", []Party{Path}
			c.add(fi, Upgrade)
			return
		}
		c.add(fi, NoSymptom)
	case h.Stage == Answered && h.Status == http.StatusTooManyRequests:
		fi.ID, fi.Blame, fi.What, fi.Do = "rate-limited", []Party{Path, App}, tooMany, allAtOnce
		c.add(fi, NoSymptom)
	case h.Stage == Answered && h.Status >= 500:
		fi.Blame, fi.What = []Party{App, Path}, "A handshake with wsr.v1 fails, and one without does not."
		fi.Do = "Run doctor again: a server that fails at times does so for all. If it stays so, something on the way chokes on the subprotocols."
		c.add(fi, NoProtocols)
	default:
		fi.Blame, fi.What = []Party{Path, App}, "A handshake that offers wsr.v1 is refused, and one without is not: something does not take subprotocols that it does not know."
		fi.Do = "Resilient clients try without them, and are plain ones then. Let Sec-WebSocket-Protocol pass."
		if how, _ := there(f); how == "" && !f.Expect.Sidecar {
			fi.Severity = Note // nobody offers wsr.v1 to an app without a sidecar
		}
		c.add(fi, NoProtocols)
	}
}

// refusals say what to do, by Wsr-Refused.
var refusals = map[string]string{
	"draining":         "A pod that stops: try again. If it stays, a drain was not taken back (wsresilience-sidecar drain -undo), or the balancer keeps choosing pods that are not ready.",
	"journal":          "The sidecar does not reach NATS, and WSR_STORE_POLICY=strict: wsresilience-sidecar doctor in the pod says why.",
	"memory":           "WSR_MEMORY_BUDGET is used up: raise it, or add pods.",
	"descriptors":      "The limit on open files is reached: raise it (ulimit -n), or add pods.",
	"sessions":         "WSR_MAX_SESSIONS or WSR_MAX_SESSIONS_PER_CLIENT is reached. Behind a balancer all clients have one address: leave the latter at 0 there.",
	"handshakes":       "Too many handshakes wait for the app: it is slow, or does not answer.",
	"upstream":         "The sidecar does not reach the app: is it up, and is WSR_UPSTREAM right?",
	"upstream_timeout": "The app does not answer the handshake within WSR_HANDSHAKE_TIMEOUT.",
}

// cutAtHandshake is when the connection ends instead of an answer.
func cutAtHandshake(f *Facts, fi Finding, c *findings) {
	if f.HTTP2 != nil && f.HTTP2.Chosen {
		http2Only(fi, c)
		return
	}
	fi.ID, fi.Blame = "handshake-cut", []Party{Path, App}
	fi.What = "The connection is cut when the handshake is sent, without an answer."
	fi.Do = "A firewall or an inspecting proxy does not like the upgrade"
	if !f.Secure {
		fi.Do += "; over plain ws many do that: try wss. Or the port wants TLS"
	}
	fi.Do += ". Or the app dies of it: look into its log."
	c.add(fi, Upgrade)
}

func http2Only(fi Finding, c *findings) {
	fi.ID, fi.Blame, fi.What = "http2-only", []Party{Path}, "The server speaks HTTP/2 only, and WebSockets are of HTTP/1.1."
	fi.Do = "Offer HTTP/1.1 too."
	c.add(fi, HTTP1Missing)
}

// failed judges a handshake that came as far as HTTP, and no further.
func failed(f *Facts, h *Handshake, c *findings) {
	fi := Finding{Severity: Problem, Blame: []Party{Path, App}, Seen: []string{describe(h), answered(h)}}
	if h.Stage == Answered {
		fi.Seen = append(fi.Seen, quote(h.Body))
	}
	switch {
	case h.Stage == Switching:
		flawed(h, fi, c)
	case h.Cause == TLSAlert:
		fi.ID, fi.Blame, fi.What = "tls-refused", []Party{Client, Path}, "The server ends TLS with an alert behind its handshake, as those do that want a client certificate."
		fi.Do = "Give it with -cert and -key. Browsers ask their user; pages cannot give one."
		fi.Seen = append(fi.Seen, h.Err)
		c.add(fi, NoSymptom)
	case h.Cause == NoHTTP1, f.HTTP2 != nil && f.HTTP2.Chosen && (h.Cause == Ended || h.Cause == NotHTTP || h.Cause == Reset):
		http2Only(fi, c)
	case h.Cause == NotHTTP:
		fi.ID, fi.Blame, fi.What = "not-http", []Party{Client, Path}, "What answers does not speak HTTP."
		fi.Do = "Check the port. If it speaks TLS, dial wss; a balancer that adds a PROXY line, or expects one, also looks like this."
		c.add(fi, NoSymptom)
	case h.Stage == Asking && h.Cause == TimedOut:
		if len(f.Addresses) == 0 || f.Addresses[0].Cause != TimedOut {
			fi.ID, fi.What = "no-answer", "The connection is taken, and nobody answers the handshake."
			c.add(fi, NoBackend)
		}
	case h.Stage == Asking:
		if len(f.Addresses) == 0 || f.Addresses[0].Cause != h.Cause || h.Cause == Ended {
			cutAtHandshake(f, fi, c)
		}
	default:
		variants(f, h, fi, c)
	}
}

// variants uses what a handshake without one thing said.
func variants(f *Facts, h *Handshake, fi Finding, c *findings) {
	switch {
	case f.NoOrigin.OK():
		fi.ID, fi.Blame, fi.What = "origin", []Party{App, Path}, fmt.Sprintf("The Origin is refused (%d): without that header the handshake succeeds.", h.Status)
		fi.Do = "Add the page's origin to the app's list. If the app compares it with Host, let the proxies pass Host. Name the right one with -origin."
		if f.Expect.OwnOrigin {
			fi.Blame = []Party{App, Client}
		}
		c.add(fi, HostChanged)
	case f.NoExtension.OK():
		fi.ID, fi.What = "extensions-refused", "A handshake that offers compression is refused, and one without is not."
		fi.Do = "Browsers always offer permessage-deflate: something answers an offer with a refusal that it should ignore."
		c.add(fi, NoProtocols)
	case f.NoProtocol.OK():
		fi.ID, fi.Blame, fi.What = "subprotocol-refused", []Party{Client, App}, "The subprotocols that were offered are refused, and a handshake without is not."
		fi.Do = "Check -subprotocol."
		c.add(fi, NoSymptom)
	default:
		statuses(f, h, fi, c)
	}
}

// flawed is a 101 that no browser takes.
func flawed(h *Handshake, fi Finding, c *findings) {
	fi.ID, fi.What = "bad-switch", "The answer is 101, and no browser takes it: "+strings.Join(h.Flaws, "; ")+"."
	fi.Blame = []Party{Path, App}
	fi.Do = "Something on the way drops or changes headers of the answer. Let Upgrade, Connection and Sec-WebSocket-* pass, and keep caches out of the way."
	c.add(fi, NoProtocols)
}

// statuses judges by the status alone.
func statuses(f *Facts, h *Handshake, fi Finding, c *findings) {
	body := strings.ToLower(h.Body)
	if reason := h.Header.Get("Wsr-Refused"); reason != "" {
		fi.ID, fi.Blame = "sidecar-refused", []Party{Sidecar}
		fi.What, fi.Do = fmt.Sprintf("The sidecar refuses the handshake with %d: %s.", h.Status, reason), refusals[reason]
		switch reason {
		case "upstream", "upstream_timeout":
			fi.Blame = []Party{App, Sidecar}
		case "proto":
			fi.ID, fi.Blame, fi.Do = "http-version", []Party{Path}, "Speak HTTP/1.1 on every hop."
			c.add(fi, Upgrade)
			return
		}
		if fi.Do == "" { // doctor's own handshake is sound
			fi.ID, fi.Blame = "request-changed", []Party{Path}
			fi.What = fmt.Sprintf("The sidecar refuses the handshake with %d (%s): something on the way has changed it.", h.Status, reason)
			fi.Do = "Let it pass as it is. Where the version of HTTP is malformed, a PROXY line may come before it: HAProxy's server without send-proxy, nginx without proxy_protocol on, AWS NLB with proxy_protocol_v2.enabled=false."
			c.add(fi, Upgrade)
			return
		}
		c.add(fi, NoSymptom)
		return
	}
	switch s := h.Status; {
	case s >= 300 && s < 400:
		redirected(f, h, fi, c)
	case s == http.StatusUnauthorized || s == http.StatusProxyAuthRequired:
		fi.ID, fi.Blame, fi.What = "authentication", []Party{Client, Path, App}, fmt.Sprintf("%d: a login is asked for (%s).", s, or(h.Header.Get("Www-Authenticate")+h.Header.Get("Proxy-Authenticate"), "it does not say which"))
		if f.Expect.Credentials {
			fi.Blame = []Party{Path, App, Client}
			fi.Seen = append(fi.Seen, "Cookie or Authorization was sent: something on the way drops it, or it is not valid any more")
		}
		fi.Do = "Give what clients send: -H 'Authorization: …', -cookie. A page cannot send Authorization with a WebSocket: Basic authentication at a proxy in front of one has to be off for this path."
		c.add(fi, NoSymptom)
	case strings.Contains(body, "plain http request was sent to https port") || strings.Contains(body, "http request to an https server"):
		fi.ID, fi.Blame, fi.What, fi.Do = "needs-tls", []Party{Client}, "The port speaks TLS, and the URL says ws.", "Dial wss."
		c.add(fi, NoSymptom)
	case s == http.StatusForbidden:
		fi.ID, fi.What = "forbidden", "403: the handshake is forbidden, also without Origin."
		fi.Do = "A firewall (WAF) in front, an allow list of addresses, a proxy that changes Host, Envoy without upgrade_configs, or an app that wants a login: -H, -cookie."
		if f.NoOrigin == nil {
			fi.What = "403: the handshake is forbidden."
		}
		c.add(fi, map[bool]Symptom{true: Upgrade, false: HostChanged}[one(who(h), Envoy)])
	case s == http.StatusRequestHeaderFieldsTooLarge || s == 494 || strings.Contains(body, "header or cookie too large") || s == http.StatusRequestURITooLong:
		fi.ID, fi.Blame, fi.What, fi.Do = "headers-too-large", []Party{Path, App}, "The headers are too large for something on the way.", "Raise its limit, or send fewer cookies."
		c.add(fi, SmallHeads)
	case s == http.StatusMisdirectedRequest || strings.Contains(body, "invalid host") || strings.Contains(body, "host not allowed") || strings.Contains(body, "host is not allowed") || strings.Contains(body, "disallowedhost") || strings.Contains(body, "blocked request. this host"):
		fi.ID, fi.What, fi.Do = "host", "The Host is not one that the app knows.", "Let the proxy pass Host, or add the name to the app's list."
		c.add(fi, HostChanged)
	case s == http.StatusTooManyRequests:
		fi.ID, fi.What, fi.Do = "rate-limited", tooMany, allAtOnce
		c.add(fi, NoSymptom)
	case s == http.StatusRequestTimeout || s == http.StatusGatewayTimeout || s == 522 || s == 524:
		fi.ID, fi.What, fi.Do = "gateway-timeout", fmt.Sprintf("%d: the proxy got no answer in time from what is behind it.", s), "Is the app up, does it answer handshakes, and does a NetworkPolicy let the proxy reach it?"
		c.add(fi, NoBackend)
	case s == 464:
		fi.ID, fi.Blame, fi.What, fi.Do = "http-version", []Party{Path}, "464: an AWS load balancer's target group has another protocol version than HTTP1.", "Set it to HTTP1."
		c.add(fi, HTTP1Missing)
	case s == http.StatusNotImplemented || s == http.StatusHTTPVersionNotSupported || s == http.StatusMethodNotAllowed:
		fi.ID, fi.What, fi.Do = "upgrade-dropped", fmt.Sprintf("%d: what answers does not do upgrades, or met one without Upgrade.", s), "Let the upgrade pass, over HTTP/1.1."
		c.add(fi, Upgrade)
	case s >= 500 && (s != http.StatusInternalServerError):
		fi.ID, fi.What, fi.Do = "bad-gateway", fmt.Sprintf("%d: the proxy does not reach what is behind it, or does not understand it.", s), "Is the app up, are name, port and protocol in the proxy right (plain HTTP/1.1 to the sidecar, no TLS, no HTTP/2, no PROXY line), does a NetworkPolicy let it pass?"
		if s == http.StatusServiceUnavailable {
			fi.Do += " Or is it a limit on handshakes or connections, which nginx answers with 503 too (limit_req, limit_conn)?"
		}
		symptom := NoBackend
		if strings.Contains(body, "invalid or incomplete") || strings.Contains(body, "protocol error") {
			symptom = HTTP1Missing
		}
		c.add(fi, symptom)
	case s >= 500:
		fi.ID, fi.Blame, fi.What, fi.Do = "app-error", []Party{App, Path}, "500: the app fails at the handshake, or a proxy that does not understand its answer.", "Look into the app's log. If the handshake is not in it, look into the proxy's: does it speak HTTP/1.1 to the app, and not HTTP/2?"
		c.add(fi, NoSymptom)
	default:
		dropped(f, h, body, fi, c)
	}
}

// dropped is what an app says to a handshake that has lost what makes it one.
func dropped(f *Facts, h *Handshake, body string, fi Finding, c *findings) {
	fi.ID, fi.Blame = "upgrade-dropped", []Party{Path, App}
	fi.Do = "Let Upgrade, Connection and Sec-WebSocket-* pass, over HTTP/1.1, on every hop. Or the path in the URL is not where the app's WebSocket is."
	lines := "the upgrade was lost on the way"
	switch {
	case strings.Contains(body, "http/1.0") || strings.Contains(body, "at least http/1.1") || strings.Contains(body, "needs http/1.1") || h.Proto == "HTTP/1.0":
		fi.ID, lines = "http-version", "the last hop speaks HTTP/1.0"
	case strings.Contains(body, "connection header") || strings.Contains(body, "'connection'"):
		lines = "the app says that Connection: Upgrade is missing"
	case strings.Contains(body, "upgrade header") || strings.Contains(body, "'upgrade'"):
		lines = "the app says that Upgrade: websocket is missing"
	case strings.Contains(body, "sec-websocket-version"):
		lines = "the app says that Sec-WebSocket-Version is missing or not 13"
	case strings.Contains(body, "sec-websocket-key"):
		lines = "the app says that Sec-WebSocket-Key is missing or wrong"
	}
	if f.Marker != nil && f.Marker.Header.Get("Wsr-Refused") == "offer" {
		fi.ID, fi.Blame = "no-websocket-here", []Party{Client, App}
		fi.What = fmt.Sprintf("%d: the app has no WebSocket at this path. The upgrade passes: the sidecar in front of the app has seen it.", h.Status)
		fi.Do = "Correct the path in the URL, or look at the app's routes."
		c.add(fi, NoSymptom)
		return
	}
	switch s := h.Status; {
	case s == http.StatusUpgradeRequired:
		fi.What = "426: " + lines + "."
	case s == http.StatusNotFound || s == http.StatusGone:
		fi.What = fmt.Sprintf("%d: no WebSocket is at this path, or %s, so that the app saw an ordinary request.", s, lines)
		if strings.Contains(body, "default backend") {
			fi.ID, fi.What = "no-route", "404: the ingress has no rule for this host and path."
			fi.Do = "Add a rule, or correct host and path in the URL."
		}
	case s >= 200 && s < 300:
		fi.What = fmt.Sprintf("%d instead of 101: an ordinary answer%s, so %s, or the path leads elsewhere (a home page, a login, a captive portal).", s, kind(h), lines)
	default:
		fi.What = fmt.Sprintf("%d: what answered saw no proper handshake: %s.", s, lines)
	}
	c.add(fi, Upgrade)
}

// kind says what an answer's body is.
func kind(h *Handshake) string {
	if t, _, _ := strings.Cut(h.Header.Get("Content-Type"), ";"); t != "" {
		return " of " + t
	}
	return ""
}

// redirected judges 3xx.
func redirected(f *Facts, h *Handshake, fi Finding, c *findings) {
	to := h.Header.Get("Location")
	fi.ID, fi.What = "redirect", fmt.Sprintf("%d to %s: browsers do not follow redirects of WebSockets.", h.Status, or(to, "nowhere"))
	fi.Do = "Dial that URL, or do not redirect this path."
	here, err1 := url.Parse(f.URL)
	there, err2 := url.Parse(to)
	if err1 == nil && err2 == nil {
		switch {
		case there.Scheme == "https" && !f.Secure:
			fi.Do = "Dial wss: the server sends plain clients to TLS."
		case strings.TrimSuffix(there.Path, "/") == strings.TrimSuffix(here.Path, "/") && there.Path != here.Path:
			fi.Do = fmt.Sprintf("Dial %s: it differs by the slash at the end.", there.Path)
		case there.Host != "" && there.Hostname() != here.Hostname() || strings.Contains(strings.ToLower(to), "login") || strings.Contains(strings.ToLower(to), "auth"):
			fi.Do = "It looks like a login: send the cookie or the header that clients have (-cookie, -H), or exempt the path."
			fi.Blame = []Party{Client, Path, App}
		}
	}
	c.add(fi, Redirects)
}

func one(list []string, want string) bool { return len(list) == 1 && list[0] == want }

// quote is the beginning of a body on one line, or nothing.
func quote(body string) string {
	const most = 160
	text := strings.Join(strings.Fields(body), " ")
	if text == "" {
		return ""
	}
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + " …"
	}
	return "body: " + text
}

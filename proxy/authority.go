package proxy

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/upgrade"
	"github.com/wsresilience/wsresilience/wire"
)

// Implementation limits on the question to the app about a client.
const (
	// askTimeout bounds the question, waiting for its turn included. It is
	// within what clients give a handshake.
	askTimeout = 5 * time.Second

	// maxAsking bounds how many are asked at a time: all clients of a broken
	// link come back at once, and the app should not meet them as a flood.
	maxAsking = 64
)

// Entries of Config.Bind that loosen what a token is bound to.
const (
	bindAnyHost = "any-host"
	bindAnyPath = "any-path"
)

// binding is the hash of what a token is bound to: Origin, path and Host, unless
// Config.Bind loosens the last two, and what Config.Bind lists, each as it came
// with this request (PROTOCOL §8.4). The order of the list does not matter, so
// that pods need not agree on it. r is the client's own request, also where
// another sidecar passed it on.
func binding(r *http.Request, scheme string, bind []string) (b [16]byte) {
	d := upgrade.NewDigest()
	if !slices.Contains(bind, bindAnyHost) {
		d.Add("host", []string{normalHost(r.Host, scheme)})
	}
	if !slices.Contains(bind, bindAnyPath) {
		d.Add("path", []string{rawPath(r)})
	}
	origin := slices.Clone(r.Header["Origin"])
	for i := range origin {
		origin[i] = strings.ToLower(origin[i])
	}
	d.Add("origin", origin)
	list := slices.Sorted(slices.Values(bind))
	for _, entry := range slices.Compact(list) {
		kind, name, _ := strings.Cut(entry, ":")
		switch kind {
		case "authorization":
			d.Add(entry, r.Header["Authorization"])
		case "cookie":
			d.Add(entry, cookieValues(r.Header["Cookie"], name))
		case "header":
			d.Add("header:"+http.CanonicalHeaderKey(name), r.Header.Values(name))
		}
	}
	copy(b[:], d.Sum(nil))
	return b
}

// rawPath is the path of r as the app sees it. It is not decoded and not
// cleaned: what looks alike to us may be two places to the app.
func rawPath(r *http.Request) string {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	return path
}

// normalHost is host such that two texts of one place are alike: letters are
// small, and a default port is left out. Behind a proxy that ends TLS the scheme
// is not the client's, so that 443 is a default port whatever the scheme.
func normalHost(host, scheme string) string {
	host = strings.ToLower(host)
	name, port := host, ""
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		name, port = host[:i], host[i:]
	}
	if port == ":" || port == ":443" || port == ":80" && scheme != "https" {
		port = ""
	}
	if a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")); err == nil && a.Is6() {
		name = "[" + a.String() + "]"
	}
	return name + port
}

// cookieValues returns the values of a cookie as they came. net/http would
// drop those with a quote inside, and then all of them would be alike.
func cookieValues(lines []string, name string) (values []string) {
	for _, line := range lines {
		for pair := range strings.SplitSeq(line, ";") {
			key, value, _ := strings.Cut(strings.Trim(pair, " \t"), "=")
			if key == name {
				values = append(values, value)
			}
		}
	}
	return values
}

// authorizeResume asks the app whether the client may still have its session,
// if Config.ResumeAuth says so: a token outlives a logout, and only the app
// knows of that. It returns 0 for yes, the status of a no, and why the app could
// not tell. An app that cannot
// tell now is no reason to end a session: the client keeps everything and tries
// again.
func (q *request) authorizeResume(ctx context.Context) (reason wire.ResetReason, status int, fact string) {
	if q.s.cfg.ResumeAuth == "" {
		return 0, 0, ""
	}
	reason, status, fact = q.s.askApp(ctx, q.r, q.scheme)
	q.observe(event.Event{Kind: event.Authorized, Answer: authorityAnswer(reason), Status: refusedStatus(reason, status), Fact: fact})
	return reason, status, fact
}

// authorityAnswer is what the app's answer to a question is in reports.
func authorityAnswer(reason wire.ResetReason) event.AppAnswer {
	switch reason {
	case 0:
		return event.AppOK
	case wire.ResetUnauthorized:
		return event.AppRefused
	}
	return event.AppFailed
}

// refusedStatus is a status that refuses, for reports.
func refusedStatus(reason wire.ResetReason, status int) int {
	if reason != wire.ResetUnauthorized {
		return 0
	}
	return status
}

// askApp waits for its turn, asks, and says what the answer means, with which
// status the app refuses the client, and why it could not tell.
func (s *Server) askApp(ctx context.Context, r *http.Request, scheme string) (wire.ResetReason, int, string) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	select {
	case s.asking <- struct{}{}:
		defer func() { <-s.asking }()
	case <-ctx.Done():
		return wire.ResetTryAgain, 0, "the app was not asked about the client: too many questions are under way"
	}
	status, err := s.ask(ctx, r, scheme)
	switch {
	case err != nil:
		return wire.ResetTryAgain, 0, "the app did not answer WSR_RESUME_AUTH: " + upgrade.Quiet(err).Error()
	case status >= 200 && status < 300:
		return 0, 0, ""
	case status >= 500, status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusTooManyRequests:
		return wire.ResetTryAgain, 0, fmt.Sprintf("the app answered WSR_RESUME_AUTH with %d, which says nothing about the client", status)
	}
	// A redirect is one to a login page.
	return wire.ResetUnauthorized, status, ""
}

// ask makes the request and returns the answer's status. It has a connection of
// its own, and nothing is followed.
func (s *Server) ask(ctx context.Context, of *http.Request, scheme string) (status int, err error) {
	target, err := url.Parse("http://" + s.upstream.Host() + s.cfg.ResumeAuth)
	if err != nil {
		return 0, err
	}
	r := (&http.Request{Method: http.MethodGet, URL: target, Host: of.Host, Header: askHeader(of, s.upstream.ForwardedProto(scheme))}).WithContext(ctx)
	resp, err := s.passthrough.Ask(r)
	if err != nil {
		return 0, err
	}
	resp.Body.Close() // what it says does not matter
	return resp.StatusCode, nil
}

// askHeader is the client's header without the handshake, so that the app
// sees cookies and credentials but no token (I9), and as what other proxies
// that ask call the original request.
func askHeader(r *http.Request, proto string) http.Header {
	header := upgrade.ForwardHeader(r, proto)
	for name := range header {
		if strings.HasPrefix(name, "Sec-Websocket-") || name == "Content-Length" {
			delete(header, name)
		}
	}
	header.Set("X-Forwarded-Method", http.MethodGet)
	header.Set("X-Forwarded-Uri", r.RequestURI)
	return header
}

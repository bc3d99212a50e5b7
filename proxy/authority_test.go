package proxy

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/internal/proxytest"
	"github.com/wsresilience/wsresilience/wire"
)

func bindingOf(bind []string, header http.Header) [16]byte {
	return binding(&http.Request{Host: "app.example", RequestURI: "/ws", Header: header}, "http", bind)
}

// No two of these requests may have the same binding.
func TestBindingsDiffer(t *testing.T) {
	bind := []string{"authorization", "cookie:sid", "cookie:other", "header:X-User"}
	seen := map[[16]byte]int{}
	for i, header := range []http.Header{
		{},
		{"Origin": {""}},
		{"Origin": {"https://a"}},
		{"Origin": {"https://ab"}},
		{"Authorization": {""}},
		{"Authorization": {"https://a"}},
		{"Authorization": {"Bearer x"}},
		{"Authorization": {"Bearer X"}},
		{"X-User": {"Bearer x"}},
		{"X-User": {"a", "b"}},
		{"X-User": {"b", "a"}},
		{"X-User": {"ab"}},
		{"X-User": {"a, b"}},
		{"Cookie": {"sid="}},
		{"Cookie": {"sid=1"}},
		{"Cookie": {"other=1"}},
		{"Cookie": {"sid=1; sid=2"}},
		{"Cookie": {"sid=2; sid=1"}},
		{"Cookie": {"sid=1; other=2"}},
		{"Cookie": {`sid={"user":"a"}`}},
		{"Cookie": {`sid={"user":"b"}`}},
		{"Cookie": {`sid="1"`}},
		{"Cookie": {"sid=\xe4"}},
		{"Cookie": {"sid=\xf6"}},
	} {
		b := bindingOf(bind, header)
		if j, twice := seen[b]; twice {
			t.Errorf("requests %d and %d are bound alike", i, j)
		}
		seen[b] = i
	}
}

// These are the same client.
func TestBindingsAgree(t *testing.T) {
	bind := []string{"origin", "authorization", "cookie:sid", "header:x-user"}
	want := bindingOf(bind, http.Header{"Origin": {"https://A.example"}, "Cookie": {"sid=1; theme=dark"}, "X-User": {"u"}})
	for i, tc := range []struct {
		bind   []string
		header http.Header
	}{
		{bind, http.Header{"Origin": {"https://a.EXAMPLE"}, "Cookie": {"theme=light;sid=1"}, "X-User": {"u"}, "X-Else": {"1"}}},
		{bind, http.Header{"Origin": {"https://a.example"}, "Cookie": {"theme=x", "sid=1"}, "X-User": {"u"}}},
		{[]string{"header:X-User", "cookie:sid", "authorization", "cookie:sid"}, http.Header{"Origin": {"https://a.example"}, "Cookie": {"sid=1"}, "X-User": {"u"}}},
	} {
		if bindingOf(tc.bind, tc.header) != want {
			t.Errorf("%d: bound to something else", i)
		}
	}
}

// Path and Host are part of what a token is bound to, each text for itself,
// unless the setting loosens one of them.
func TestBindingToPathAndHost(t *testing.T) {
	at := func(scheme, host, uri string, bind ...string) [16]byte {
		return binding(&http.Request{Host: host, RequestURI: uri}, scheme, bind)
	}
	for _, same := range [][2][16]byte{
		{at("http", "A.example", "/ws?t=1"), at("http", "a.EXAMPLE:80", "/ws?t=2")},
		{at("https", "a", "/ws"), at("https", "a:443", "/ws?")},
		{at("http", "a", "/ws"), at("http", "a:443", "/ws")}, // TLS ends in front of us
		{at("http", "a", "/ws"), at("http", "a:", "/ws")},
		{at("http", "[::1]:80", "/"), at("http", "[0:0:0:0:0:0:0:1]", "/")},
		{at("http", "a", "/x", "any-path"), at("http", "a", "/y", "any-path")},
		{at("http", "a", "/x", "any-host"), at("http", "b", "/x", "any-host")},
	} {
		if same[0] != same[1] {
			t.Errorf("%x and %x are one place", same[0], same[1])
		}
	}
	seen := make(map[[16]byte]string)
	for _, place := range []string{
		"a /ws", "b /ws", "a:8080 /ws", "a. /ws", "[::1] /ws", "[::1]:8080 /ws", "[::2] /ws", "::1 /ws:", "127.0.0.1 /ws",
		"a /WS", "a /ws/", "a //ws", "a /x/../ws", "a /./ws", "a /%77s", "a /ws%2f", "a /ws%2F", "a /ws%3f", "a /ws;x",
	} {
		host, uri, _ := strings.Cut(place, " ")
		b := at("http", host, uri)
		if other := seen[b]; other != "" {
			t.Errorf("%s and %s are bound alike", place, other)
		}
		seen[b] = place
	}
	if at("https", "a:80", "/") == at("https", "a", "/") {
		t.Error("80 is no default port of https")
	}
	if at("http", "a", "/x", "any-path") == at("http", "b", "/x", "any-path") || at("http", "a", "/x", "any-host") == at("http", "a", "/y", "any-host") {
		t.Error("one entry loosens both")
	}
}

// asker is a request at a server whose app answers questions with fn.
func asker(t *testing.T, fn http.HandlerFunc) *request {
	t.Helper()
	app := httptest.NewServer(fn)
	t.Cleanup(app.Close)
	s, err := New(Config{Upstream: app.URL, Tokens: testRing(t), ResumeAuth: "/may-resume?strict=1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.passthrough.Close)
	r := &http.Request{
		Method: http.MethodGet, RequestURI: "/chat?x=1", URL: &url.URL{Path: "/chat"}, Host: "app.example", RemoteAddr: "192.0.2.7:1",
		Header: http.Header{
			"Cookie": {"sid=1"}, "Authorization": {"Bearer x"}, "Connection": {"Upgrade"}, "Upgrade": {"websocket"},
			"Sec-Websocket-Key": {proxytest.SampleKey}, "Sec-Websocket-Protocol": {"wsr.v1, wsr.resume.secret.1.2"}, "X-Forwarded-Uri": {"/forged"},
		},
	}
	return &request{s: s, r: r}
}

func TestAuthorized(t *testing.T) {
	for code, want := range map[int]wire.ResetReason{
		200: 0, 204: 0,
		302: wire.ResetUnauthorized, 400: wire.ResetUnauthorized, 401: wire.ResetUnauthorized, 403: wire.ResetUnauthorized, 404: wire.ResetUnauthorized, 410: wire.ResetUnauthorized,
		408: wire.ResetTryAgain, 429: wire.ResetTryAgain, 500: wire.ResetTryAgain, 503: wire.ResetTryAgain,
	} {
		h := asker(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/may-resume" {
				t.Errorf("%s was asked", r.URL)
			}
			w.Header().Set("Location", "/login")
			w.WriteHeader(code)
		})
		got, status, _ := h.authorizeResume(t.Context())
		if got != want || (status == code) != (want == wire.ResetUnauthorized) {
			t.Errorf("%d: %s %d, want %s", code, got, status, want)
		}
	}
}

// The app sees whose session it is about, and no token.
func TestAuthorityHears(t *testing.T) {
	heard := make(chan *http.Request, 1)
	h := asker(t, func(_ http.ResponseWriter, r *http.Request) { heard <- r })
	if got, _, _ := h.authorizeResume(t.Context()); got != 0 {
		t.Fatal(got)
	}
	r := <-heard
	for name, want := range map[string]string{
		"Cookie": "sid=1", "Authorization": "Bearer x", "X-Forwarded-For": "192.0.2.7", "X-Forwarded-Uri": "/chat?x=1",
		"Upgrade": "", "Connection": "", "Sec-Websocket-Key": "", "Sec-Websocket-Protocol": "",
	} {
		if got := strings.Join(r.Header[name], "|"); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if r.Method != http.MethodGet || r.Host != "app.example" || r.URL.RawQuery != "strict=1" {
		t.Errorf("%s %s %s", r.Method, r.Host, r.URL)
	}
}

func TestAuthorityOutOfReach(t *testing.T) {
	h := asker(t, nil)
	h.s.upstream.Dialer = func(context.Context, string, string) (net.Conn, error) { return nil, syscall.ECONNREFUSED }
	if got, _, _ := h.authorizeResume(t.Context()); got != wire.ResetTryAgain {
		t.Errorf("unreachable: %s", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	stuck := asker(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	if got, _, _ := stuck.authorizeResume(ctx); got != wire.ResetTryAgain {
		t.Errorf("no answer: %s", got)
	}
	nobody := &request{s: &Server{}}
	if got, _, _ := nobody.authorizeResume(t.Context()); got != 0 {
		t.Errorf("nobody to ask: %s", got)
	}
}

// A storm of resumes reaches the app a few at a time.
func TestAuthorityIsNotFlooded(t *testing.T) {
	var now, most atomic.Int64
	h := asker(t, func(http.ResponseWriter, *http.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		time.Sleep(time.Millisecond)
	})
	var wg sync.WaitGroup
	for range 1000 {
		wg.Go(func() {
			if got, _, _ := h.authorizeResume(t.Context()); got != 0 {
				t.Errorf("%s", got)
			}
		})
	}
	wg.Wait()
	if n := most.Load(); n > maxAsking || n == 0 {
		t.Errorf("%d at a time", n)
	}
}

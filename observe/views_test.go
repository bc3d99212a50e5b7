package observe

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestViews: who is connected is shown to processes of this pod or machine, and to
// who has the token, and never to a foreign web page. What is public is shown to
// all, but not to a page whose name an attacker lets point here.
func TestViews(t *testing.T) {
	const token = "0123456789abcdef"
	show := func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "10.1.2.3 is here\n") }
	views := []View{{Path: "/sessions", Help: "who is here", Handler: show}, {Path: "/console/", Handler: show, Public: true}}
	with := Admin{Metrics: New().Handler(), Views: views, Token: func() string { return token }}.Handler()
	without := Admin{Metrics: New().Handler(), Views: views}.Handler()
	local, away := "127.0.0.1:40000", "10.9.9.9:40000"
	for _, tt := range []struct {
		name         string
		h            http.Handler
		remote, host string
		header       []string
		path         string
		status       int
		says         string
	}{
		{"from loopback", without, local, "localhost:15802", nil, "/sessions", 200, "is here"},
		{"from loopback by address", without, local, "127.0.0.1:15802", nil, "/sessions", 200, "is here"},
		{"from the pod's own address", without, "10.1.1.1:40000", "10.1.1.1:15802", nil, "/sessions", 200, "is here"},
		{"from elsewhere", without, away, "10.1.1.1:15802", nil, "/sessions", 403, "WSR_ADMIN_TOKEN_FILE is not set"},
		{"from elsewhere, where there is a token", with, away, "10.1.1.1:15802", nil, "/sessions", 403, "Authorization: Bearer"},
		{"from elsewhere with the token", with, away, "10.1.1.1:15802", []string{"Authorization", "Bearer " + token}, "/sessions", 200, "is here"},
		{"with a wrong token", with, away, "10.1.1.1:15802", []string{"Authorization", "Bearer x"}, "/sessions", 403, "token"},
		{"passed on by a proxy", without, local, "localhost:15802", []string{"X-Forwarded-For", "203.0.113.1"}, "/sessions", 403, "only from this pod"},
		{"by a mesh from outside", without, "127.0.0.6:40000", "localhost:15802", nil, "/sessions", 403, "only from this pod"},
		{"by a name that leads here", without, local, "evil.example", nil, "/sessions", 421, "localhost"},
		{"the page by a name that leads here", without, local, "evil.example", nil, "/console/", 421, "localhost"},
		{"from a foreign page", without, local, "localhost:15802", []string{"Origin", "https://evil.example"}, "/sessions", 403, "another origin"},
		{"from a page of another port", without, local, "localhost:15802", []string{"Origin", "http://localhost:3000"}, "/sessions", 403, "another origin"},
		{"loaded by a foreign page", without, local, "localhost:15802", []string{"Sec-Fetch-Site", "cross-site"}, "/sessions", 403, "another origin"},
		{"a foreign page with the token", with, away, "10.1.1.1:15802", []string{"Origin", "https://evil.example", "Authorization", "Bearer " + token}, "/sessions", 403, "another origin"},
		{"our page", without, local, "localhost:15802", []string{"Sec-Fetch-Site", "same-origin"}, "/sessions", 200, "is here"},
		{"our page, as older browsers say it", without, local, "localhost:15802", []string{"Origin", "http://localhost:15802"}, "/sessions", 200, "is here"},
		{"typed into a browser", without, local, "localhost:15802", []string{"Sec-Fetch-Site", "none"}, "/sessions", 200, "is here"},
		{"the page from elsewhere", without, away, "10.1.1.1:15802", nil, "/console/", 200, "is here"},
		{"the page by a link", without, local, "localhost:15802", []string{"Sec-Fetch-Site", "cross-site"}, "/console/", 200, "is here"},
	} {
		r := httptest.NewRequest("GET", tt.path, nil)
		r.RemoteAddr, r.Host = tt.remote, tt.host
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(10, 1, 1, 1), Port: 15802}))
		for i := 0; i < len(tt.header); i += 2 {
			r.Header.Set(tt.header[i], tt.header[i+1])
		}
		w := httptest.NewRecorder()
		tt.h.ServeHTTP(w, r)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.says) {
			t.Errorf("%s: %d %q, want %d with %q", tt.name, w.Code, w.Body, tt.status, tt.says)
		}
	}
	for _, method := range []string{"POST", "PUT", "DELETE"} {
		w := httptest.NewRecorder()
		with.ServeHTTP(w, httptest.NewRequest(method, "/sessions", nil))
		if w.Code != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d, want 405: views only read", method, w.Code)
		}
	}
	home := Admin{Metrics: New().Handler(), Views: views, Home: "console/"}.Handler()
	for path, want := range map[string]int{"/": http.StatusSeeOther, "/nothing": http.StatusNotFound} {
		r := httptest.NewRequest("GET", path, nil)
		r.Header.Set("Accept", "text/html,*/*")
		w := httptest.NewRecorder()
		if home.ServeHTTP(w, r); w.Code != want {
			t.Errorf("a browser at %s: %d to %s, want %d", path, w.Code, w.Header().Get("Location"), want)
		}
	}
	w := httptest.NewRecorder()
	with.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if text := w.Body.String(); !strings.Contains(text, "/sessions                who is here") || strings.Contains(text, "/console/") {
		t.Errorf("the list of paths: %s", text)
	}
}

package observe

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAdmin(t *testing.T) {
	var notReady error
	h := Admin{Ready: func() error { return notReady }, Metrics: New().Handler()}.Handler()
	down := errors.New("store: unavailable")
	for _, tt := range []struct {
		method, path string
		ready        error
		status       int
		body         string
	}{
		{"GET", "/livez", down, 200, "ok"},
		{"HEAD", "/livez", nil, 200, ""},
		{"GET", "/readyz", nil, 200, "ready"},
		{"GET", "/readyz", down, 503, "store: unavailable"},
		{"GET", "/metrics", nil, 200, "wsr_build_info"},
		{"GET", "/", nil, 404, "/readyz"},
		{"GET", "/livez/", nil, 404, "/metrics"},
		{"GET", "/debug/pprof/", nil, 404, "not found"},
		{"POST", "/livez", nil, 405, "only GET"},
		{"DELETE", "/metrics", nil, 405, "only GET"},
	} {
		notReady = tt.ready
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(tt.method, tt.path, nil))
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.body) {
			t.Errorf("%s %s: %d %q, want %d with %q", tt.method, tt.path, w.Code, w.Body, tt.status, tt.body)
		}
	}
}

// TestAdminSessions: the list is bounded, one session is found by its id, and
// what a sidecar does not offer is not there.
func TestAdminSessions(t *testing.T) {
	type session struct {
		ID string `json:"id"`
	}
	asked := 0
	h := Admin{
		Metrics:  New().Handler(),
		Sessions: func(limit int) any { asked = limit; return []session{{"0102"}} },
		Snapshot: func(id string) (any, bool) { return []string{"[5 bytes]"}, id == "0102" },
	}.Handler()
	for _, tt := range []struct {
		method, path string
		status       int
		body, kind   string
	}{
		{"GET", "/sessions", 200, `"id": "0102"`, "application/json"},
		{"GET", "/sessions/0102/snapshot", 200, `[5 bytes]`, "application/json"},
		{"GET", "/sessions/0103/snapshot", 404, "not here", "text/plain; charset=utf-8"},
		{"GET", "/sessions/0102", 404, "/sessions/{id}/snapshot", "text/plain; charset=utf-8"},
		{"POST", "/sessions", 405, "only GET", "text/plain; charset=utf-8"},
		{"POST", "/drain", 404, "not found", "text/plain; charset=utf-8"},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(tt.method, tt.path, nil))
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.body) || w.Header().Get("Content-Type") != tt.kind {
			t.Errorf("%s %s: %d %s %q, want %d %s with %q", tt.method, tt.path, w.Code, w.Header().Get("Content-Type"), w.Body, tt.status, tt.kind, tt.body)
		}
	}
	if asked != maxListed {
		t.Errorf("%d sessions were asked for, want %d", asked, maxListed)
	}
}

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

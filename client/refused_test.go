package client

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// What a sidecar refuses itself is told to the program, and never dialled
// without wsr.v1, whatever the status.
func TestSidecarRefuses(t *testing.T) {
	for _, tc := range []struct {
		status       int
		mark, after  string
		want         time.Duration
		bySidecar    bool
		withoutWsrV1 bool
	}{
		{503, "draining", "7", 7 * time.Second, true, false},
		{503, "memory", "", 0, true, false},
		{502, "upstream", "Sun, 29 Nov 2026 07:00:00 GMT", 0, true, false},
		{400, "offer", "", 0, true, false},
		{503, "", "7", 0, false, false}, // somebody else's
		{400, "", "", 0, false, true},
	} {
		var mu sync.Mutex
		var plain bool
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			plain = plain || !strings.Contains(r.Header.Get("Sec-Websocket-Protocol"), "wsr.v1")
			mu.Unlock()
			if tc.mark != "" {
				w.Header().Set("Wsr-Refused", tc.mark)
			}
			if tc.after != "" {
				w.Header().Set("Retry-After", tc.after)
			}
			w.WriteHeader(tc.status)
		}))
		_, resp, err := Dial(t.Context(), server.URL, &Options{Subprotocols: []string{"chat"}})
		server.Close()
		refused, ok := errors.AsType[*RefusedError](err)
		switch {
		case err == nil || resp == nil || resp.StatusCode != tc.status:
			t.Errorf("%+v: %v, %v", tc, resp, err)
		case ok != tc.bySidecar || ok && (refused.Reason != tc.mark || refused.RetryAfter != tc.want):
			t.Errorf("%+v: %#v", tc, err)
		}
		mu.Lock()
		if plain != tc.withoutWsrV1 {
			t.Errorf("%+v: dialled without wsr.v1: %v", tc, plain)
		}
		mu.Unlock()
	}
}

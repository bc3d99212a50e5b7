package observe

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Profiles are there while they are on, for this machine only, and may take longer
// than other answers.
func TestProfiles(t *testing.T) {
	var on atomic.Bool
	h := Admin{Metrics: New().Handler(), Views: Profiles(on.Load)}.Handler()
	get := func(remote, path string) (int, string) {
		r := httptest.NewRequest("GET", path, nil)
		r.RemoteAddr, r.Host = remote, "127.0.0.1:15802"
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	const local, away = "127.0.0.1:1", "10.9.9.9:1"
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap?debug=1", "/debug/pprof/cmdline", "/debug/pprof/trace?seconds=0.01"} {
		on.Store(false)
		if code, text := get(local, path); code != 404 || !strings.Contains(text, "WSR_PPROF=on") {
			t.Errorf("%s while they are off: %d %q", path, code, text)
		}
		on.Store(true)
		if code, text := get(local, path); code != 200 {
			t.Errorf("%s: %d %q", path, code, text)
		}
		if code, text := get(away, path); code != 403 || !strings.Contains(text, "only from this pod") {
			t.Errorf("%s from elsewhere: %d %q", path, code, text)
		}
	}
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ReadTimeout, srv.Config.WriteTimeout = 900*time.Millisecond, 900*time.Millisecond
	srv.Start()
	defer srv.Close()
	began := time.Now()
	resp, err := http.Get(srv.URL + "/debug/pprof/profile?seconds=1")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 || len(text) == 0 || time.Since(began) < time.Second {
		t.Errorf("a profile of a second: %d, %d bytes after %v, %v", resp.StatusCode, len(text), time.Since(began), err)
	}
}

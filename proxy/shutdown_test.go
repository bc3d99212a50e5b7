package proxy

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// A stream of events never ends by itself: it is cut at the end of the grace,
// and that is no failure.
func TestShutdownCutsStreams(t *testing.T) {
	open := make(chan struct{})
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		close(open)
		<-r.Context().Done()
	}))
	defer backend.Close()
	s, addr := startServer(t, backend.URL, nil)
	resp, err := http.Get("http://" + addr + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	<-open
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Fatalf("shutdown: %v", err)
	}
	if n, err := resp.Body.Read(make([]byte, 1)); err == nil {
		t.Fatalf("the stream goes on: %d bytes", n)
	}
}

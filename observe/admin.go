package observe

import (
	"io"
	"net/http"
)

// Admin is the admin endpoint. It is for operators and probes, so it does not
// belong on an address that clients reach.
type Admin struct {
	// Ready returns nil when the sidecar can take sessions, and otherwise why
	// not, without secrets. It may be called concurrently.
	Ready func() error
	// Metrics answers a scrape.
	Metrics http.Handler
}

const paths = "/livez    200 while the process runs\n" +
	"/readyz   200 when it can take sessions, otherwise 503 and why\n" +
	"/metrics  counters for Prometheus\n"

// Handler returns the endpoint. Timeouts are its server's.
func (a Admin) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ok\n") })
	mux.HandleFunc("GET /readyz", a.readyz)
	mux.Handle("GET /metrics", a.Metrics)
	mux.HandleFunc("/{any...}", func(w http.ResponseWriter, r *http.Request) {
		for _, path := range []string{"/livez", "/readyz", "/metrics"} {
			if r.URL.Path == path {
				w.Header().Set("Allow", "GET, HEAD")
				answer(w, http.StatusMethodNotAllowed, "only GET here\n")
				return
			}
		}
		answer(w, http.StatusNotFound, "not found; there is:\n"+paths)
	})
	return mux
}

func (a Admin) readyz(w http.ResponseWriter, _ *http.Request) {
	if err := a.Ready(); err != nil {
		answer(w, http.StatusServiceUnavailable, err.Error()+"\n")
		return
	}
	answer(w, http.StatusOK, "ready\n")
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // whoever asked has gone
}

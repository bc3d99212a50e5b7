package admission

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/wsresilience/wsresilience/k8s"
)

// Implementation limits.
const (
	// bodyLimit is above the 3 MiB that an API server takes from its clients,
	// twice, since a review may hold an old object as well.
	bodyLimit = 8 << 20

	// reviewsAtOnce bounds the memory. A review takes a few milliseconds.
	reviewsAtOnce = 16

	// turnTimeout is for a place among them, bodyTimeout for the body once it
	// has one: it comes from an API server, which has it all.
	turnTimeout = 5 * time.Second
	bodyTimeout = 2 * time.Second
)

// Cluster is what a handler needs of one. Its methods are used concurrently,
// and are expected to return when the context ends.
type Cluster interface {
	// Annotations of a namespace are defaults for its pods.
	Annotations(ctx context.Context, namespace string) (map[string]string, error)

	// Services of a namespace may pass the sidecar by.
	Services(ctx context.Context, namespace string) ([]corev1.Service, error)

	// Ensure sees to the Secret that the sidecars of a namespace read. With an
	// error, there says whether it was in order when last seen.
	Ensure(ctx context.Context, namespace string) (there bool, err error)

	// Warn records an Event; it may be dropped where there are many of them.
	Warn(ctx context.Context, object corev1.ObjectReference, reason, action, note string) error
}

// Handler answers reviews. Its fields are set before; it is safe for concurrent
// use.
type Handler struct {
	Cluster   Cluster
	Namespace string               // of the injector, whose pods are left alone
	Settings  func() *k8s.Settings // as they are now; nobody changes what is returned
	Metrics   *Metrics
	Log       *slog.Logger

	turns chan struct{}

	// k8s.Inject; a test puts its own here.
	injection func(pod *corev1.Pod, defaults map[string]string, s k8s.Settings) (*corev1.Pod, k8s.Report, error)
}

// NewHandler completes h, and returns it.
func NewHandler(h Handler) *Handler {
	h.turns = make(chan struct{}, reviewsAtOnce)
	h.injection = k8s.Inject
	return &h
}

// ServeHTTP answers one AdmissionReview of admission.k8s.io/v1.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	if status, text := refuse(r); status != 0 {
		if status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", http.MethodPost)
		}
		http.Error(w, text, status)
		return
	}
	done, ok := h.turn(r.Context())
	if !ok {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many reviews at once", http.StatusServiceUnavailable)
		return
	}
	defer done()
	// A recorder in a test has no deadlines.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyLimit))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			http.Error(w, "a review has 8 MiB at most", http.StatusRequestEntityTooLarge)
			return
		}
		http.Error(w, "the body did not come", http.StatusRequestTimeout)
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	request, err := decode(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer, err := json.Marshal(review(h.respond(r.Context(), request)))
	if err != nil {
		http.Error(w, "the answer cannot be written", http.StatusInternalServerError)
		return
	}
	h.Metrics.duration.Observe(time.Since(start).Seconds())
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(answer) // an API server that has gone does not want it
}

// refuse judges what can be judged without the body.
func refuse(r *http.Request) (status int, text string) {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case r.Method != http.MethodPost:
		return http.StatusMethodNotAllowed, "a review is a POST"
	case err != nil || mediaType != "application/json":
		return http.StatusUnsupportedMediaType, "a review is application/json"
	case r.Header.Get("Content-Encoding") != "":
		return http.StatusUnsupportedMediaType, "a review is not compressed"
	case r.ContentLength > bodyLimit:
		return http.StatusRequestEntityTooLarge, "a review has 8 MiB at most"
	}
	return 0, ""
}

// turn waits for a place, before anything of the body is in memory.
func (h *Handler) turn(ctx context.Context) (done func(), ok bool) {
	wait := time.NewTimer(turnTimeout)
	defer wait.Stop()
	select {
	case h.turns <- struct{}{}:
		return func() { <-h.turns }, true
	case <-ctx.Done():
	case <-wait.C:
	}
	return nil, false
}

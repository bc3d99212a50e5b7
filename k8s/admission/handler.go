package admission

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	// maxBody is above the 3 MiB that an API server takes from its clients,
	// twice, since a review may hold an old object as well.
	maxBody = 8 << 20

	// maxReviews is how many reviews are answered at once, which bounds memory. A
	// review takes a few milliseconds.
	maxReviews = 16

	// slotTimeout bounds the wait for a slot among them, bodyTimeout the reading
	// of the body after that: an API server has it whole before it asks.
	slotTimeout = 5 * time.Second
	bodyTimeout = 2 * time.Second
)

// Cluster is what a handler asks of the API server. Its methods are called
// concurrently, and return when the context ends.
type Cluster interface {
	// Annotations of a namespace are defaults for its pods.
	Annotations(ctx context.Context, namespace string) (map[string]string, error)

	// Services of a namespace may reach the app past the sidecar.
	Services(ctx context.Context, namespace string) ([]corev1.Service, error)

	// Ensure makes or updates the Secret that the sidecars of a namespace read.
	// With an error, usable reports whether it was complete when last seen.
	Ensure(ctx context.Context, namespace string) (usable bool, err error)

	// Warn records an Event, or drops it if there are too many.
	Warn(ctx context.Context, object corev1.ObjectReference, reason, action, note string) error
}

// Handler answers reviews. Its fields are set before NewHandler and not changed
// after; it is safe for concurrent use.
type Handler struct {
	Cluster   Cluster
	Namespace string               // of the injector, whose pods are left alone
	Settings  func() *k8s.Settings // the current ones; they are not changed
	Metrics   *Metrics
	Log       *slog.Logger

	slots chan struct{}

	// inject is k8s.Inject; tests replace it.
	inject func(pod *corev1.Pod, defaults map[string]string, s k8s.Settings) (*corev1.Pod, k8s.Report, error)
}

// NewHandler returns a handler with the fields of h.
func NewHandler(h Handler) *Handler {
	h.slots = make(chan struct{}, maxReviews)
	h.inject = k8s.Inject
	return &h
}

// ServeHTTP answers one AdmissionReview of admission.k8s.io/v1.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	if status, text := checkHeader(r); status != 0 {
		if status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", http.MethodPost)
		}
		http.Error(w, text, status)
		return
	}
	release, ok := h.acquireSlot(r.Context())
	if !ok {
		w.Header().Set("Retry-After", "1")
		http.Error(w, fmt.Sprintf("%d reviews are under way and none ended within %v", maxReviews, slotTimeout), http.StatusServiceUnavailable)
		return
	}
	defer release()
	// A recorder in a test has no deadlines.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			http.Error(w, "a review has 8 MiB at most", http.StatusRequestEntityTooLarge)
			return
		}
		http.Error(w, fmt.Sprintf("the body did not arrive within %v", bodyTimeout), http.StatusRequestTimeout)
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	request, err := decode(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer, err := json.Marshal(newReview(h.respond(r.Context(), request)))
	if err != nil {
		http.Error(w, "the answer cannot be written", http.StatusInternalServerError)
		return
	}
	h.Metrics.duration.Observe(time.Since(start).Seconds())
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(answer) // an API server that has gone does not want it
}

// checkHeader returns the status of the refusal, 0 if there is none.
func checkHeader(r *http.Request) (status int, text string) {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case r.Method != http.MethodPost:
		return http.StatusMethodNotAllowed, "a review is a POST"
	case err != nil || mediaType != "application/json":
		return http.StatusUnsupportedMediaType, "a review is application/json"
	case r.Header.Get("Content-Encoding") != "":
		return http.StatusUnsupportedMediaType, "a review is not compressed"
	case r.ContentLength > maxBody:
		return http.StatusRequestEntityTooLarge, "a review has 8 MiB at most"
	}
	return 0, ""
}

// acquireSlot waits for one of maxReviews, before the body is in memory. The
// caller returns it with release.
func (h *Handler) acquireSlot(ctx context.Context) (release func(), ok bool) {
	wait := time.NewTimer(slotTimeout)
	defer wait.Stop()
	select {
	case h.slots <- struct{}{}:
		return func() { <-h.slots }, true
	case <-ctx.Done():
	case <-wait.C:
	}
	return nil, false
}

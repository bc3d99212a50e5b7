package admission

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"runtime"
	"time"

	"golang.org/x/sync/semaphore"
	corev1 "k8s.io/api/core/v1"

	"github.com/wsresilience/wsresilience/k8s"
)

// Implementation limits.
const (
	// maxBody is what an API server takes from its clients at most, and a pod
	// that etcd stores is smaller by half. The review of a creation holds it once.
	maxBody = 3 << 20

	// maxReviews is how many reviews are answered at once, which bounds the memory
	// of their bodies. A review takes a few milliseconds. maxWaiting is how many more wait for a slot, since each
	// holds a connection.
	maxReviews = 16
	maxWaiting = 512

	// maxLarge is how many of maxReviews may be large ones, where there are more
	// processors than that: one is left to the others. Almost all pods are far below
	// largeReview, and do not wait behind those that somebody makes as large as they
	// may be.
	maxLarge    = 4
	largeReview = 256 << 10 // bytes

	// slotTimeout bounds the wait for a slot among them, bodyTimeout the reading
	// of the body after that: an API server has it whole before it asks.
	slotTimeout = 5 * time.Second
	bodyTimeout = 2 * time.Second
)

// Cluster is what a handler asks of the API server. Its methods are called
// concurrently, and return when the context ends.
type Cluster interface {
	// Namespace returns one, whose annotations are defaults for its pods. It may
	// be a moment old unless fresh is set. If there is none, the error satisfies
	// IsNotFound of apimachinery's api/errors.
	Namespace(ctx context.Context, name string, fresh bool) (*corev1.Namespace, error)

	// Services of a namespace may reach the app past the sidecar.
	Services(ctx context.Context, namespace string) ([]corev1.Service, error)

	// Ensure makes or updates the Secret that the sidecars of a namespace read,
	// and what it leads to, for sidecars whose sessions last sessionTTL. With an
	// error, usable reports whether it was complete when last seen.
	Ensure(ctx context.Context, namespace *corev1.Namespace, sessionTTL time.Duration) (usable bool, err error)

	// Usable reports whether that Secret was complete when last seen. It asks
	// nobody.
	Usable(namespace string) bool

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

	slots   chan struct{}
	large   chan struct{}       // a place for each large review among the slots
	waiting chan struct{}       // a place for each that waits for a slot
	memory  *semaphore.Weighted // what decoded reviews take, as weigh says

	services *serviceLists

	// inject is k8s.Inject; tests replace it.
	inject func(pod *corev1.Pod, defaults map[string]string, s k8s.Settings) (*corev1.Pod, k8s.Report, error)
}

// NewHandler returns a handler with the fields of h.
func NewHandler(h Handler) *Handler {
	h.slots, h.large, h.waiting = make(chan struct{}, maxReviews), make(chan struct{}, largeAtOnce()), make(chan struct{}, maxWaiting)
	h.memory = semaphore.NewWeighted(memoryBudget)
	h.services = new(serviceLists)
	h.inject = k8s.Inject
	return &h
}

// largeAtOnce is how many large reviews are answered at once.
func largeAtOnce() int { return min(max(runtime.GOMAXPROCS(0)-1, 1), maxLarge) }

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
	// The API server has given up after slotTimeout, whatever it waited for.
	waiting, cancel := context.WithTimeout(r.Context(), slotTimeout)
	defer cancel()
	// Of a body whose size is not told, the size is not known.
	release, ok := h.acquireSlot(waiting, r.ContentLength < 0 || r.ContentLength > largeReview)
	if !ok {
		busy(w)
		return
	}
	defer release()
	body, status, text := readBody(w, r)
	if status != 0 {
		http.Error(w, text, status)
		return
	}
	weight, err := weigh(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	if h.memory.Acquire(waiting, weight) != nil {
		busy(w)
		return
	}
	defer h.memory.Release(weight)
	request, err := decode(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	// Only where client certificates are asked for are there chains.
	authenticated := r.TLS != nil && len(r.TLS.VerifiedChains) > 0
	answer, err := json.Marshal(newReview(h.respond(r.Context(), request, authenticated)))
	if err != nil {
		http.Error(w, "the answer cannot be written", http.StatusInternalServerError)
		return
	}
	h.Metrics.duration.Observe(time.Since(start).Seconds())
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(answer) // an API server that has gone does not want it
}

// busy answers a review for which there is no room.
func busy(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "1")
	http.Error(w, "too many reviews are under way", http.StatusServiceUnavailable)
}

// readBody returns the body, or the status of the refusal.
func readBody(w http.ResponseWriter, r *http.Request) (body []byte, status int, text string) {
	// A recorder in a test has no deadlines.
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(bodyTimeout))
	var buffer bytes.Buffer
	if r.ContentLength > 0 {
		// ReadFrom wants room for more when it looks for the end.
		buffer.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	_, err := buffer.ReadFrom(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, http.StatusRequestEntityTooLarge, tooLargeText
	case err != nil:
		return nil, http.StatusRequestTimeout, fmt.Sprintf("the body did not arrive within %v", bodyTimeout)
	}
	_ = control.SetReadDeadline(time.Time{})
	return buffer.Bytes(), 0, ""
}

const tooLargeText = "a review has 3 MiB at most"

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
		return http.StatusRequestEntityTooLarge, tooLargeText
	}
	return 0, ""
}

// acquireSlot waits for one of maxReviews, and a large review for one of maxLarge
// first, before the body is in memory. The caller returns it with release.
func (h *Handler) acquireSlot(ctx context.Context, large bool) (release func(), ok bool) {
	if !large {
		return h.acquire(ctx, h.slots)
	}
	releaseLarge, ok := h.acquire(ctx, h.large)
	if !ok {
		return nil, false
	}
	releaseSlot, ok := h.acquire(ctx, h.slots)
	if !ok {
		releaseLarge()
		return nil, false
	}
	return func() { releaseSlot(); releaseLarge() }, true
}

// acquire waits for a place in places.
func (h *Handler) acquire(ctx context.Context, places chan struct{}) (release func(), ok bool) {
	release = func() { <-places }
	select {
	case places <- struct{}{}:
		return release, true
	default:
	}
	select {
	case h.waiting <- struct{}{}:
		defer func() { <-h.waiting }()
	default:
		return nil, false
	}
	select {
	case places <- struct{}{}:
		return release, true
	case <-ctx.Done():
		return nil, false
	}
}

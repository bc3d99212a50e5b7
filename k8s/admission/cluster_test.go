package admission

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wsresilience/wsresilience/k8s"
)

// fakeCluster records what it is asked, and fails where it is told to.
type fakeCluster struct {
	mu     sync.Mutex
	calls  []string
	fails  map[string]error
	there  bool
	events []corev1.ObjectReference
	hang   bool // until the context ends

	// namespace is the label of all namespaces, "enabled" if empty; stale that
	// of the API server's cache, if it is not the same.
	namespace, stale string
	gone             bool // no namespace is there
	terminating      bool
}

func (f *fakeCluster) call(ctx context.Context, name string) error {
	f.mu.Lock()
	f.calls = append(f.calls, name)
	err := f.fails[name]
	f.mu.Unlock()
	if f.hang {
		<-ctx.Done()
		return ctx.Err()
	}
	return err
}

func (f *fakeCluster) Namespace(ctx context.Context, name string, fresh bool) (*corev1.Namespace, error) {
	if err := f.call(ctx, "namespace"); err != nil {
		return nil, err
	}
	label := cmp.Or(f.namespace, k8s.Enabled)
	if !fresh {
		label = cmp.Or(f.stale, label)
	}
	if f.gone && (fresh || f.stale == "") {
		return nil, apierrors.NewNotFound(corev1.Resource("namespaces"), name)
	}
	n := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{"from": "namespace"}, Labels: map[string]string{k8s.LabelInject: label}}}
	if f.terminating {
		n.Status.Phase = corev1.NamespaceTerminating
	}
	return n, nil
}

func (f *fakeCluster) Usable(string) bool { return f.there }

func (f *fakeCluster) Services(ctx context.Context, _ string) ([]corev1.Service, error) {
	return nil, f.call(ctx, "services")
}

func (f *fakeCluster) Ensure(ctx context.Context, _ *corev1.Namespace, _ time.Duration) (bool, error) {
	err := f.call(ctx, "ensure")
	return f.there || err == nil, err
}

func (f *fakeCluster) Warn(ctx context.Context, object corev1.ObjectReference, reason, _, note string) error {
	f.mu.Lock()
	f.events = append(f.events, object)
	f.mu.Unlock()
	return f.call(ctx, "event "+reason+": "+note)
}

// label is what the injection of these tests puts on a pod.
const label = "injected"

// newTestHandler injects by a label. Pods named "refused" and "invalid" are.
func newTestHandler(c Cluster) *Handler {
	h := NewHandler(Handler{
		Cluster: c, Namespace: "wsresilience", Settings: func() *k8s.Settings { return &k8s.Settings{} },
		Metrics: NewMetrics(prometheus.NewRegistry(), func() time.Time { return time.Time{} }), Log: slog.New(slog.DiscardHandler),
	})
	h.inject = func(pod *corev1.Pod, _ map[string]string, _ k8s.Settings) (*corev1.Pod, k8s.Report, error) {
		switch pod.Name {
		case "refused":
			return pod, k8s.Report{Outcome: k8s.Refused, Reason: "HostNetwork", Message: "it is on the host's network\n\x1b"}, nil
		case "invalid":
			return pod, k8s.Report{}, &k8s.InvalidError{Name: k8s.AnnotationMode, Given: "x", Allowed: "named"}
		case "broken":
			return pod, k8s.Report{}, errors.New("broken")
		}
		after := pod.DeepCopy()
		if after.Labels == nil {
			after.Labels = map[string]string{}
		}
		after.Labels[label] = "yes"
		return after, k8s.Report{Outcome: k8s.Injected}, nil
	}
	return h
}

// newRequest asks about a pod of this name.
func newRequest(name string) *admissionv1.AdmissionRequest {
	pod, err := json.Marshal(corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}})
	if err != nil {
		panic(err)
	}
	r := &admissionv1.AdmissionRequest{
		UID: "u-1", Namespace: "shop", Operation: admissionv1.Create, Kind: metav1.GroupVersionKind{Version: "v1", Kind: "Pod"},
		Resource: metav1.GroupVersionResource{Version: "v1", Resource: "pods"},
	}
	r.Object.Raw = pod
	return r
}

func body(t testing.TB, r *admissionv1.AdmissionRequest) []byte {
	t.Helper()
	review := newReview(nil)
	review.Request = r
	raw, err := json.Marshal(review)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func post(h http.Handler, content []byte) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/inject", bytes.NewReader(content))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// ask returns the answer to a request, which has to be one.
func ask(t *testing.T, h http.Handler, r *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	t.Helper()
	w := post(h, body(t, r))
	var got admissionv1.AdmissionReview
	if err := json.Unmarshal(w.Body.Bytes(), &got); w.Code != http.StatusOK || err != nil || got.Response == nil {
		t.Fatalf("%d: %s", w.Code, w.Body)
	}
	if got.APIVersion != "admission.k8s.io/v1" || got.Kind != "AdmissionReview" || got.Response.UID != r.UID || got.Request != nil {
		t.Errorf("answer %s", w.Body)
	}
	return got.Response
}

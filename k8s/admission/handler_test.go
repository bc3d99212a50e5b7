package admission

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
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

func (f *fakeCluster) Annotations(ctx context.Context, _ string) (map[string]string, error) {
	return map[string]string{"from": "namespace"}, f.call(ctx, "annotations")
}

func (f *fakeCluster) Services(ctx context.Context, _ string) ([]corev1.Service, error) {
	return nil, f.call(ctx, "services")
}

func (f *fakeCluster) Ensure(ctx context.Context, _ string) (bool, error) {
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
	h.injection = func(pod *corev1.Pod, _ map[string]string, _ k8s.Settings) (*corev1.Pod, k8s.Report, error) {
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
	}
	r.Object.Raw = pod
	return r
}

func body(t testing.TB, r *admissionv1.AdmissionRequest) []byte {
	t.Helper()
	review := review(nil)
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

func TestA02Requests(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, _ = z.Write(make([]byte, 32<<20))
	_ = z.Close()
	good := body(t, newRequest("web"))
	tests := []struct {
		name, method, contentType, encoding string
		body                                []byte
		chunked                             bool
		want                                int
	}{
		{name: "good", body: good, want: 200},
		{name: "with a charset", contentType: "application/json; charset=utf-8", body: good, want: 200},
		{name: "GET", method: http.MethodGet, want: 405},
		{name: "PUT", method: http.MethodPut, body: good, want: 405},
		{name: "empty", want: 400},
		{name: "no JSON", body: []byte("{"), want: 400},
		{name: "a form", contentType: "application/x-www-form-urlencoded", body: good, want: 415},
		{name: "no content type", contentType: ";", body: good, want: 415},
		{name: "10 MB", body: make([]byte, 10<<20), want: 413},
		{name: "10 MB, not announced", body: make([]byte, 10<<20), chunked: true, want: 413},
		{name: "compressed", encoding: "gzip", body: bomb.Bytes(), want: 415},
		{name: "compressed, not announced", body: bomb.Bytes(), want: 400},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.method == "" {
				test.method = http.MethodPost
			}
			if test.contentType == "" {
				test.contentType = "application/json"
			}
			r := httptest.NewRequest(test.method, "/inject", bytes.NewReader(test.body))
			if test.chunked {
				r.ContentLength = -1
			}
			r.Header.Set("Content-Type", test.contentType)
			if test.encoding != "" {
				r.Header.Set("Content-Encoding", test.encoding)
			}
			w := httptest.NewRecorder()
			newTestHandler(&fakeCluster{}).ServeHTTP(w, r)
			if w.Code != test.want {
				t.Errorf("%d, want %d: %s", w.Code, test.want, w.Body)
			}
		})
	}
}

// TestA02SlowBody: a client that does not send what it announced is let go.
func TestA02SlowBody(t *testing.T) {
	server := httptest.NewServer(newTestHandler(&fakeCluster{}))
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, &stuck{done: t.Context().Done()})
	if err != nil {
		t.Fatal(err)
	}
	r.ContentLength = 1000
	r.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return // the server closed first
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusRequestTimeout {
		t.Errorf("%s", response.Status)
	}
}

// stuck is a body that never comes.
type stuck struct{ done <-chan struct{} }

func (s *stuck) Read([]byte) (int, error) { <-s.done; return 0, context.Canceled }
func (s *stuck) Close() error             { return nil }

func TestA04Reviews(t *testing.T) {
	long := newRequest("web")
	long.UID = "0123456789abcdef"
	for len(long.UID) < 64<<10 {
		long.UID += long.UID
	}
	good := string(body(t, newRequest("web")))
	noUID := newRequest("web")
	noUID.UID = ""
	for name, text := range map[string]string{
		"no request":      `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}`,
		"no uid":          string(body(t, noUID)),
		"uid of 64 KiB":   string(body(t, long)),
		"v1beta1":         strings.Replace(good, "admission.k8s.io/v1", "admission.k8s.io/v1beta1", 1),
		"unknown version": strings.Replace(good, "admission.k8s.io/v1", "admission.k8s.io/v9", 1),
		"another kind":    strings.Replace(good, `"AdmissionReview"`, `"Pod"`, 1),
		"null":            `null`, "a list": `[]`, "request of another type": `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":7}`,
	} {
		if w := post(newTestHandler(&fakeCluster{}), []byte(text)); w.Code != http.StatusBadRequest || w.Body.Len() > 500 {
			t.Errorf("%s: %d, %.600s", name, w.Code, w.Body)
		}
	}
}

func TestA05OtherRequestsPass(t *testing.T) {
	for name, change := range map[string]func(r *admissionv1.AdmissionRequest){
		"DELETE":      func(r *admissionv1.AdmissionRequest) { r.Operation = admissionv1.Delete },
		"CONNECT":     func(r *admissionv1.AdmissionRequest) { r.Operation = admissionv1.Connect },
		"UPDATE":      func(r *admissionv1.AdmissionRequest) { r.Operation = admissionv1.Update },
		"subresource": func(r *admissionv1.AdmissionRequest) { r.SubResource = "status" },
		"null":        func(r *admissionv1.AdmissionRequest) { r.Object.Raw = []byte("null") },
		"no object":   func(r *admissionv1.AdmissionRequest) { r.Object.Raw = nil },
		"Deployment":  func(r *admissionv1.AdmissionRequest) { r.Kind.Kind = "Deployment" },
		"other group": func(r *admissionv1.AdmissionRequest) { r.Kind.Group = "example.com" },
	} {
		c, r := &fakeCluster{}, newRequest("web")
		change(r)
		if got := ask(t, newTestHandler(c), r); !got.Allowed || got.Patch != nil || got.PatchType != nil || len(c.calls) > 0 {
			t.Errorf("%s: %+v, calls %q", name, got, c.calls)
		}
	}
	r := newRequest("web")
	r.Object.Raw = []byte(`{"spec":7}`)
	if got := ask(t, newTestHandler(&fakeCluster{}), r); got.Allowed || got.Result.Code != http.StatusBadRequest {
		t.Errorf("a pod that is none: %+v", got)
	}
}

func TestA06Reinvocation(t *testing.T) {
	h, r := newTestHandler(&fakeCluster{}), newRequest("web")
	first := ask(t, h, r)
	if !first.Allowed || first.PatchType == nil || *first.PatchType != admissionv1.PatchTypeJSONPatch || !bytes.Contains(first.Patch, []byte(label)) {
		t.Fatalf("%+v, %s", first, first.Patch)
	}
	var pod corev1.Pod
	if err := json.Unmarshal(r.Object.Raw, &pod); err != nil {
		t.Fatal(err)
	}
	pod.Labels = map[string]string{label: "yes"}
	r.Object.Raw, _ = json.Marshal(pod)
	if again := ask(t, h, r); !again.Allowed || again.Patch != nil || again.PatchType != nil {
		t.Errorf("again: %+v, %s", again, again.Patch)
	}
}

func TestA11Namespaces(t *testing.T) {
	for _, namespace := range []string{"kube-system", "kube-public", "kube-node-lease", "wsresilience"} {
		c, r := &fakeCluster{}, newRequest("web")
		r.Namespace = namespace
		if got := ask(t, newTestHandler(c), r); !got.Allowed || got.Patch != nil || len(c.calls) > 0 {
			t.Errorf("%s: %+v, calls %q", namespace, got, c.calls)
		}
	}
}

func TestA11DryRun(t *testing.T) {
	yes := true
	for _, name := range []string{"web", "refused"} {
		c, r := &fakeCluster{}, newRequest(name)
		r.DryRun = &yes
		got := ask(t, newTestHandler(c), r)
		if !got.Allowed || (got.Patch != nil) != (name == "web") {
			t.Errorf("%s: %+v", name, got)
		}
		for _, call := range c.calls {
			if call != "annotations" && call != "services" {
				t.Errorf("%s: side effect %q", name, call)
			}
		}
	}
}

func TestRefused(t *testing.T) {
	c, r := &fakeCluster{}, newRequest("refused")
	yes := true
	raw, _ := json.Marshal(corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "refused", OwnerReferences: []metav1.OwnerReference{
		{Kind: "Other", Name: "other"}, {APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web-1", UID: "r", Controller: &yes},
	}}})
	r.Object.Raw = raw
	got := ask(t, newTestHandler(c), r)
	if !got.Allowed || got.Patch != nil || len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "on the host's network") || strings.ContainsAny(got.Warnings[0], "\n\x1b") {
		t.Errorf("%+v", got)
	}
	want := corev1.ObjectReference{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web-1", UID: "r", Namespace: "shop"}
	if len(c.events) != 1 || c.events[0] != want || !strings.HasPrefix(c.calls[len(c.calls)-1], "event InjectionRefused: ") {
		t.Errorf("events %+v, calls %q", c.events, c.calls)
	}
}

func TestInvalid(t *testing.T) {
	got := ask(t, newTestHandler(&fakeCluster{}), newRequest("invalid"))
	if got.Allowed || got.Patch != nil || got.Result.Code != http.StatusUnprocessableEntity || !strings.HasPrefix(got.Result.Message, "wsresilience: "+k8s.AnnotationMode) {
		t.Errorf("%+v", got)
	}
	if got := ask(t, newTestHandler(&fakeCluster{}), newRequest("broken")); got.Allowed || got.Result.Code != http.StatusInternalServerError {
		t.Errorf("%+v", got)
	}
}

func TestSecret(t *testing.T) {
	for _, there := range []bool{true, false} {
		c := &fakeCluster{there: there, fails: map[string]error{"ensure": errors.New("forbidden")}}
		got := ask(t, newTestHandler(c), newRequest("web"))
		if got.Allowed != there || (got.Patch != nil) != there {
			t.Errorf("there %v: %+v", there, got)
		}
		if !there && (got.Result.Code != http.StatusServiceUnavailable || !strings.Contains(got.Result.Message, "forbidden")) {
			t.Errorf("%+v", got.Result)
		}
	}
}

// TestClusterHangs: the API server would wait five seconds for the answer.
func TestClusterHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		got := ask(t, newTestHandler(&fakeCluster{hang: true, there: true}), newRequest("web"))
		if took := time.Since(start); !got.Allowed || got.Patch == nil || len(got.Warnings) != 1 || took >= 5*time.Second {
			t.Errorf("after %v: %+v", took, got)
		}
	})
}

func TestWarningsAreBounded(t *testing.T) {
	texts := make([]string, 100)
	for i := range texts {
		texts[i] = strings.Repeat("é", 1000)
	}
	total := 0
	for _, w := range warnings(texts) {
		total += len(w)
		if strings.Trim(w, "é") != "" {
			t.Errorf("cut within a letter: %q", w)
		}
	}
	if total == 0 || total > 4096 {
		t.Errorf("%d bytes", total)
	}
}

// TestA12ManyReviews: a thousand reviews of 1 MiB at once are all answered, and
// never more are in memory than there are places.
func TestA12ManyReviews(t *testing.T) {
	h := newTestHandler(&fakeCluster{})
	inject := h.injection
	var now, most atomic.Int64
	h.injection = func(pod *corev1.Pod, d map[string]string, s k8s.Settings) (*corev1.Pod, k8s.Report, error) {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		return inject(pod, d, s)
	}
	r := newRequest("web")
	r.Object.Raw, _ = json.Marshal(corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Annotations: map[string]string{"large": strings.Repeat("x", 1<<20)}}})
	content := body(t, r)
	var answered, away atomic.Int64
	var all sync.WaitGroup
	for range 1000 {
		all.Go(func() {
			// As a controller does, that is told to come again.
			for {
				switch w := post(h, content); w.Code {
				case http.StatusOK:
					answered.Add(1)
					return
				case http.StatusServiceUnavailable:
					away.Add(1)
				default:
					t.Errorf("%d: %s", w.Code, w.Body)
					return
				}
			}
		})
	}
	all.Wait()
	if answered.Load() != 1000 || most.Load() > reviewsAtOnce {
		t.Errorf("%d answered, %d turned away, up to %d at once", answered.Load(), away.Load(), most.Load())
	}
}

// FuzzDecode: whatever is sent, the answer is an error, or for this uid.
func FuzzDecode(f *testing.F) {
	f.Add(body(f, newRequest("web")))
	f.Add(body(f, newRequest("refused")))
	f.Add([]byte(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"x","operation":"CREATE","kind":{"version":"v1","kind":"Pod"},"object":{"spec":{"containers":[null]}}}}`))
	h := newTestHandler(&fakeCluster{})
	f.Fuzz(func(t *testing.T, content []byte) {
		w := post(h, content)
		if w.Code == http.StatusBadRequest {
			return
		}
		request, err := decode(content)
		if err != nil {
			t.Fatalf("%d: %v", w.Code, err)
		}
		var got admissionv1.AdmissionReview
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.Response == nil || got.Response.UID != request.UID {
			t.Errorf("%d: %s", w.Code, w.Body)
		}
		if got.Response != nil && !got.Response.Allowed && (got.Response.Patch != nil || got.Response.Result == nil) {
			t.Errorf("%+v", got.Response)
		}
	})
}

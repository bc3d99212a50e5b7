package admission

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wsresilience/wsresilience/k8s"
)

func TestA05OtherRequestsPass(t *testing.T) {
	for name, change := range map[string]func(r *admissionv1.AdmissionRequest){
		"DELETE":      func(r *admissionv1.AdmissionRequest) { r.Operation = admissionv1.Delete },
		"CONNECT":     func(r *admissionv1.AdmissionRequest) { r.Operation = admissionv1.Connect },
		"UPDATE":      func(r *admissionv1.AdmissionRequest) { r.Operation = admissionv1.Update },
		"subresource": func(r *admissionv1.AdmissionRequest) { r.SubResource = "status" },
		"null":        func(r *admissionv1.AdmissionRequest) { r.Object.Raw = []byte("null") },
		"no object":   func(r *admissionv1.AdmissionRequest) { r.Object.Raw = nil },
		"Deployment":  func(r *admissionv1.AdmissionRequest) { r.Kind.Kind = "Deployment" },
		"resource":    func(r *admissionv1.AdmissionRequest) { r.Resource.Resource = "deployments" },
		"no place":    func(r *admissionv1.AdmissionRequest) { r.Namespace = "" },
		"other group": func(r *admissionv1.AdmissionRequest) { r.Kind.Group = "example.com" },
	} {
		c, r := &fakeCluster{}, newRequest("web")
		change(r)
		if got := ask(t, newTestHandler(c), r); !got.Allowed || got.Patch != nil || got.PatchType != nil || len(c.calls) > 0 {
			t.Errorf("%s: %+v, calls %q", name, got, c.calls)
		}
	}
	for _, pod := range []string{`{"spec":7}`, `{"metadata":{"namespace":"bank"}}`} {
		c, r := &fakeCluster{}, newRequest("web")
		r.Object.Raw = []byte(pod)
		if got := ask(t, newTestHandler(c), r); got.Allowed || got.Result.Code != http.StatusBadRequest || len(c.calls) > 0 {
			t.Errorf("%s: %+v, calls %q", pod, got, c.calls)
		}
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
			if call != "namespace" && call != "services" {
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

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wsresilience/wsresilience/internal/lab/certs"
	"github.com/wsresilience/wsresilience/k8s"
)

// testAnybody: a client that nobody knows claims creations of pods. Nothing is
// made anywhere but where a namespace's label asks for it.
func testAnybody(t *testing.T, binary string) {
	server := shop(t)
	now := metav1.Now()
	for name, n := range map[string]corev1.Namespace{
		"bank":  {},
		"off":   {ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{k8s.LabelInject: k8s.Disabled}}},
		"other": {ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{k8s.LabelInject: "true"}}},
		"going": {ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{k8s.LabelInject: k8s.Enabled}, DeletionTimestamp: &now}},
		"pods":  {ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{k8s.LabelInject: k8s.Pods}}},
	} {
		n.Name = name
		server.PutNamespace(&n)
	}
	p := startProcess(t, binary, goodConfig, server)
	for name, change := range map[string]func(r *admissionv1.AdmissionRequest){
		"bank":         func(r *admissionv1.AdmissionRequest) { r.Namespace = "bank" },
		"off":          func(r *admissionv1.AdmissionRequest) { r.Namespace = "off" },
		"other":        func(r *admissionv1.AdmissionRequest) { r.Namespace = "other" },
		"going":        func(r *admissionv1.AdmissionRequest) { r.Namespace = "going" },
		"none":         func(r *admissionv1.AdmissionRequest) { r.Namespace = "none" },
		"kube-system":  func(r *admissionv1.AdmissionRequest) { r.Namespace = "kube-system" },
		"wsresilience": func(r *admissionv1.AdmissionRequest) { r.Namespace = "wsresilience" },
		"":             func(r *admissionv1.AdmissionRequest) { r.Namespace = "" },
		"pods": func(r *admissionv1.AdmissionRequest) {
			r.Namespace = "pods"
			r.Object.Object.(*corev1.Pod).Labels = nil
		},
		"UPDATE":      func(r *admissionv1.AdmissionRequest) { r.Operation = admissionv1.Update },
		"deployments": func(r *admissionv1.AdmissionRequest) { r.Resource.Resource = "deployments" },
		"status":      func(r *admissionv1.AdmissionRequest) { r.SubResource = "status" },
		"dry run":     func(r *admissionv1.AdmissionRequest) { yes := true; r.DryRun = &yes },
		"of another":  func(r *admissionv1.AdmissionRequest) { r.Object.Object.(*corev1.Pod).Namespace = "bank" },
	} {
		review := realReview()
		pod := review.Request.Object.Object.(*corev1.Pod)
		pod.Namespace = ""
		change(review.Request)
		response := p.ask(t, review)
		if response.Patch != nil != (name == "dry run") {
			t.Errorf("%s: %+v", name, response)
		}
	}
	for _, namespace := range []string{"..", "shop/secrets", "shop%2f", "Shop"} {
		review := realReview()
		review.Request.Namespace = namespace
		if status := p.post(t, "/inject", "", reviewBody(t, review)); status != http.StatusBadRequest {
			t.Errorf("%q: %d", namespace, status)
		}
	}
	good := reviewBody(t, realReview())
	for _, path := range []string{"/", "/inject/", "/inject/..", "//inject/x", "/metrics", "/livez", "/debug/pprof/"} {
		if status := p.post(t, path, "", good); status != http.StatusNotFound && status != http.StatusTemporaryRedirect {
			t.Errorf("%s: %d", path, status)
		}
	}
	if status := p.post(t, "/inject", "gzip", good); status != http.StatusUnsupportedMediaType {
		t.Errorf("compressed: %d", status)
	}
	for _, call := range server.Calls() {
		if strings.HasPrefix(call, "POST ") && !strings.HasSuffix(call, "/namespaces/wsresilience/secrets") {
			t.Errorf("call %s", call)
		}
	}
	if response := p.ask(t, realReview()); response.Patch == nil || !hasKeys(server.Secret("shop", "wsresilience")) {
		t.Errorf("a namespace with the label: %+v", response)
	}
	p.stop(t)
}

// maxResident is the limit of the injector's memory in the chart.
const maxResident = 256 << 20

// testLargeReviews: reviews that are large, or that decode to something large,
// do not take more memory than the chart allows, and an ordinary one is answered
// meanwhile and after.
func testLargeReviews(t *testing.T, binary string) {
	server := shop(t)
	p := startProcess(t, binary, goodConfig, server)
	pad := func(n int, element string) []byte {
		review := realReview()
		// The object is put in as text: encoding/json checks the depth of what it writes.
		review.Request.Object.Object, review.Request.Object.Raw = nil, []byte(`"pod"`)
		return bytes.Replace(reviewBody(t, review), []byte(`"pod"`), []byte(`{"metadata":{"name":"web","labels":{"wsresilience.io/inject":"enabled"}},"spec":{"containers":[`+
			strings.Repeat(element+",", n/(len(element)+1))+element+`]}}`), 1)
	}
	bodies := map[string][]byte{
		"7 MiB":             pad(7<<20, `{"name":"`+strings.Repeat("x", 1<<10)+`"}`),
		"7 MiB of nothing":  pad(7<<20, "{}"),
		"3 MiB of nothing":  pad(3<<20-1000, "{}"),
		"3 MiB of null":     pad(3<<20-1000, "null"),
		"10000 containers":  pad(10000*3, "{}"),
		"11000 null":        pad(11000*5, "null"),
		"one large value":   pad(3<<20-2000, `{"name":"`+strings.Repeat("x", 2<<20)+`"}`),
		"large annotations": pad(3<<20-2000, `{"name":"`+strings.Repeat("x", 1<<10)+`"}`),
		"deep":              pad(0, strings.Repeat(`{"a":`, 1<<18)+"0"+strings.Repeat("}", 1<<18)),
	}
	var answered atomic.Int64
	for name, content := range bodies {
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				switch status := p.post(t, "/inject", "", content); status {
				case http.StatusOK, http.StatusRequestEntityTooLarge, http.StatusServiceUnavailable, http.StatusRequestTimeout:
				case 0: // refused before all of it was sent
				default:
					t.Errorf("%s: %d", name, status)
				}
			})
		}
		all.Go(func() {
			if p.post(t, "/inject", "", reviewBody(t, realReview())) == http.StatusOK {
				answered.Add(1)
			}
		})
		all.Wait()
		most := p.maxResident(t)
		t.Logf("%s: %d bytes each, at most %d MiB so far", name, len(content), most>>20)
		if most > maxResident {
			t.Fatalf("%s: the injector had %d MiB, more than %d MiB", name, most>>20, maxResident>>20)
		}
	}
	if answered.Load() == 0 {
		t.Error("no ordinary review was answered meanwhile")
	}
	if response := p.ask(t, realReview()); !response.Allowed || response.Patch == nil {
		t.Errorf("afterwards: %+v", response)
	}
	p.stop(t)
}

// testClientCA: with an authority for clients nobody else is heard, and what the
// API server says of a pod is enough.
func testClientCA(t *testing.T, binary string) {
	server := shop(t)
	server.PutNamespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "bank"}})
	apiServer, stranger := certs.SelfSigned("apiserver"), certs.SelfSigned("apiserver")
	ca, err := json.Marshal(string(apiServer.Cert))
	if err != nil {
		t.Fatal(err)
	}
	p := startProcess(t, binary, goodConfig+"clientCA: "+string(ca)+"\nclientNames: [kube-apiserver, apiserver]\n", server)
	review := realReview()
	review.Request.Namespace, review.Request.Object.Object.(*corev1.Pod).Namespace = "bank", ""
	content := reviewBody(t, review)
	for name, pair := range map[string]*certs.Pair{"none": nil, "of another authority": &stranger} {
		p.certificate = pair
		if status := p.post(t, "/inject", "", content); status != 0 {
			t.Errorf("certificate: %s: %d", name, status)
		}
	}
	if server.Secret("bank", "wsresilience") != nil {
		t.Fatal("a Secret was made")
	}
	p.certificate = &apiServer
	if response := p.ask(t, review); response.Patch == nil || !hasKeys(server.Secret("bank", "wsresilience")) {
		t.Errorf("the API server: %+v", response)
	}
	p.stop(t)
}

// reviewBody is a review as it is sent.
func reviewBody(t *testing.T, review *admissionv1.AdmissionReview) []byte {
	t.Helper()
	content, err := json.Marshal(review)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// post sends content, and returns the status of the answer, 0 if there is none.
func (p *process) post(t *testing.T, path, encoding string, content []byte) int {
	t.Helper()
	request, err := http.NewRequest(http.MethodPost, "https://"+p.listen+path, bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	if encoding != "" {
		request.Header.Set("Content-Encoding", encoding)
	}
	client := p.client(0)
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := client.Do(request)
	if err != nil {
		return 0
	}
	response.Body.Close()
	return response.StatusCode
}

// maxResident is how much memory the process had at most, 0 where the system
// does not tell.
func (p *process) maxResident(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid()))
	if err != nil && runtime.GOOS == "linux" {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		var kilobytes int
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kilobytes); n == 1 {
			return kilobytes << 10
		}
	}
	return 0
}

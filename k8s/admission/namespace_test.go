package admission

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"unsafe"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wsresilience/wsresilience/k8s"
)

// TestNamespaceDecides: what a review says of a namespace is looked up before
// anything is made there.
func TestNamespaceDecides(t *testing.T) {
	const skipped, injected = -1, 0
	tests := []struct {
		name          string
		cluster       *fakeCluster
		pod           string // its label
		authenticated bool
		want          int32 // the code of the denial, or one of the above
	}{
		{"all pods", &fakeCluster{}, "", false, injected},
		{"all pods, and the pod asks", &fakeCluster{}, k8s.Enabled, false, injected},
		{"all pods, and the pod does not want it", &fakeCluster{}, k8s.Disabled, false, skipped},
		{"pods that ask", &fakeCluster{namespace: k8s.Pods}, k8s.Enabled, false, injected},
		{"pods that ask, and it does not", &fakeCluster{namespace: k8s.Pods}, "", false, skipped},
		{"no label", &fakeCluster{namespace: "-"}, k8s.Enabled, false, http.StatusForbidden},
		{"no label, and the API server for certain", &fakeCluster{namespace: "-"}, k8s.Enabled, true, injected},
		{"no label at all", &fakeCluster{namespace: "-"}, "", true, skipped},
		{"disabled", &fakeCluster{namespace: k8s.Disabled}, k8s.Enabled, false, http.StatusForbidden},
		{"just labelled", &fakeCluster{stale: "-"}, k8s.Enabled, false, injected},
		{"just unlabelled", &fakeCluster{namespace: "-", stale: k8s.Disabled}, k8s.Enabled, false, http.StatusForbidden},
		{"not there", &fakeCluster{gone: true}, k8s.Enabled, true, http.StatusForbidden},
		{"being deleted", &fakeCluster{terminating: true}, k8s.Enabled, true, http.StatusForbidden},
		{"cannot be looked up", &fakeCluster{fails: map[string]error{"namespace": errors.New("forbidden")}}, k8s.Enabled, true, http.StatusServiceUnavailable},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h, r := newTestHandler(test.cluster), newRequest("web")
			pod, _ := json.Marshal(corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Labels: map[string]string{k8s.LabelInject: test.pod}}})
			r.Object.Raw = pod
			request, err := decode(body(t, r))
			if err != nil {
				t.Fatal(err)
			}
			got := h.respond(t.Context(), request, test.authenticated)
			if got.Allowed != (test.want <= 0) || (got.Patch != nil) != (test.want == injected) || !got.Allowed && got.Result.Code != test.want {
				t.Errorf("%+v", got)
			}
			if made := slices.Contains(test.cluster.calls, "ensure"); made != (test.want == injected) {
				t.Errorf("calls %q", test.cluster.calls)
			}
		})
	}
}

// TestUnseenNamespace: a pod is injected while the API server does not answer,
// if the Secret is known to be there; nothing is made.
func TestUnseenNamespace(t *testing.T) {
	for _, pod := range []string{"web", "refused"} {
		c := &fakeCluster{there: true, fails: map[string]error{"namespace": errors.New("timeout")}}
		got := ask(t, newTestHandler(c), newRequest(pod))
		if !got.Allowed || len(got.Warnings) == 0 || slices.Contains(c.calls, "ensure") || len(c.events) > 0 {
			t.Errorf("%s: %+v, calls %q", pod, got, c.calls)
		}
	}
}

// TestNamesOfNamespaces: a name becomes part of a path at the API server.
func TestNamesOfNamespaces(t *testing.T) {
	for _, name := range []string{"..", ".", "../kube-system", "shop/secrets", "shop?x=1", "shop#", "Shop", "shop\n", "%2e%2e", "*", strings.Repeat("a", 64), "\u202e"} {
		c, r := &fakeCluster{}, newRequest("web")
		r.Namespace = name
		if w := post(newTestHandler(c), body(t, r)); w.Code != http.StatusBadRequest || len(c.calls) > 0 {
			t.Errorf("%q: %d, calls %q", name, w.Code, c.calls)
		}
	}
}

func TestWeigh(t *testing.T) {
	pod := func(spec string) []byte {
		r := newRequest("web")
		r.Object.Raw = []byte(`{"metadata":{"name":"web"},"spec":` + spec + `}`)
		// As text: encoding/json checks the depth of what it writes.
		return bytes.Replace(body(t, newRequest("web")), bytes.TrimSpace(newRequest("web").Object.Raw), r.Object.Raw, 1)
	}
	variable := `{"name":"VARIABLE","value":"with \"[{,\\\\"},`
	tests := []struct {
		name string
		text []byte
		want bool
	}{
		{"an ordinary pod", pod(`{"containers":[{"name":"app","image":"app"}]}`), true},
		{"two thousand variables", pod(`{"containers":[{"env":[` + strings.Repeat(variable, 2000) + `{}]}]}`), true},
		{"a large annotation", pod(`{"x":"` + strings.Repeat("[{,", 1<<19) + `"}`), true},
		{"empty containers", pod(`{"containers":[` + strings.Repeat("{},", 1<<17) + `{}]}`), false},
		{"containers that are null", pod(`{"containers":[` + strings.Repeat("null,", 1<<17) + `null]}`), false},
		{"fields", pod(`{"x":{` + strings.Repeat(`"a":0,`, 1<<18) + `"b":0}}`), false},
		{"deep lists", pod(strings.Repeat("[", 1<<16) + strings.Repeat("]", 1<<16)), false},
		{"deep objects", pod(strings.Repeat(`{"a":`, 1<<16) + "0" + strings.Repeat("}", 1<<16)), false},
		{"ends only", []byte(strings.Repeat("]", 1000) + "," + `{"a`), true},
	}
	for _, test := range tests {
		weight, err := weigh(test.text)
		if (err == nil) != test.want || weight > maxWeight {
			t.Errorf("%s: %d, %v", test.name, weight, err)
		}
	}
	// What an element takes: itself, its copy, half of a list that grew.
	for name, size := range map[string]uintptr{
		"Container": unsafe.Sizeof(corev1.Container{}), "EphemeralContainer": unsafe.Sizeof(corev1.EphemeralContainer{}), "Volume": unsafe.Sizeof(corev1.Volume{}),
	} {
		if size*4 > elementWeight {
			t.Errorf("a %s has %d bytes; elementWeight is for less", name, size)
		}
	}
}

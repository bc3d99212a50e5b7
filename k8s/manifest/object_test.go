package manifest

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/wsresilience/wsresilience/k8s"
)

const podSpec = "{containers: [{name: a, image: i, ports: [{name: http, containerPort: 8080}]}]}"

// TestKinds: everything that makes pods gets the sidecar, and nothing else. The
// templates have no metadata, so that none may be left behind.
func TestKinds(t *testing.T) {
	template := "{template: {spec: " + podSpec + "}}"
	for _, test := range []struct {
		apiVersion, kind, spec string
		want                   bool
	}{
		{"v1", "Pod", podSpec, true},
		{"apps/v1", "Deployment", template, true},
		{"apps/v1", "StatefulSet", template, true},
		{"apps/v1", "DaemonSet", template, true},
		{"apps/v1", "ReplicaSet", template, true},
		{"batch/v1", "Job", template, true},
		{"batch/v1", "CronJob", "{jobTemplate: {spec: " + template + "}}", true},
		{"v1", "ReplicationController", template, false},
		{"example.org/v1", "Deployment", template, false},
		{"apps", "Deployment", template, false},
	} {
		object := fmt.Sprintf("{apiVersion: %s, kind: %s, metadata: {name: x}, spec: %s}", test.apiVersion, test.kind, test.spec)
		for _, stream := range []string{object + "\n", "apiVersion: v1\nkind: List\nitems:\n- " + object + "\n"} {
			out, results, err := Inject([]byte(stream), settings)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Contains(string(out), k8s.AnnotationStatus); got != test.want || (len(results) == 1) != test.want {
				t.Errorf("%s: injected %v, want %v: %+v", stream, got, test.want, results)
			}
			back, _, err := Uninject(out)
			if err != nil || !reflect.DeepEqual(value(t, back), value(t, []byte(stream))) {
				t.Errorf("uninjected it is\n%s\nbut it was\n%s", back, stream)
			}
		}
	}
}

func value(t *testing.T, document []byte) any {
	t.Helper()
	var v any
	if err := yaml.UnmarshalStrict(document, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestNamespaces of the stream are heard, wherever they stand in it.
func TestNamespaces(t *testing.T) {
	const (
		plain    = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: plain, namespace: shop}\nspec: " + podSpec + "\n"
		asks     = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: asks, namespace: shop, labels: {wsresilience.io/inject: enabled}}\nspec: " + podSpec + "\n"
		other    = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: other, namespace: else}\nspec: " + podSpec + "\n"
		nowhere  = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: nowhere}\nspec: " + podSpec + "\n"
		disabled = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {wsresilience.io/inject: disabled}}\n"
		defaults = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop, annotations: {wsresilience.io/mode: explicit}}\n"
		foreign  = "---\napiVersion: example.org/v1\nkind: Namespace\nmetadata: {name: shop, labels: {wsresilience.io/inject: disabled}}\n"
	)
	for name, test := range map[string]struct{ stream, want string }{
		"disabled":         {disabled + plain + asks + other + nowhere, "Pod/plain skipped , Pod/asks injected named, Pod/other injected named, Pod/nowhere injected named"},
		"disabled, after":  {plain + disabled, "Pod/plain skipped "},
		"disabled, a List": {plain + "---\napiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {wsresilience.io/inject: disabled}}}]\n", "Pod/plain skipped "},
		"defaults":         {plain + defaults + other, "Pod/plain injected explicit, Pod/other injected named"},
		"not Kubernetes's": {foreign + plain, "Pod/plain injected named"},
	} {
		_, results, err := Inject([]byte(test.stream), settings)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range results {
			got = append(got, fmt.Sprintf("%s %s %s", r.Object, r.Report.Outcome, r.Report.Mode))
		}
		if strings.Join(got, ", ") != test.want {
			t.Errorf("%s: %q, want %q", name, strings.Join(got, ", "), test.want)
		}
	}
}

// TestWhatIsNotKnownStays: a field of a newer Kubernetes, and a number that a
// float cannot hold.
func TestWhatIsNotKnownStays(t *testing.T) {
	stream := strings.Replace(pod, "spec: {", "spec: {futureField: {a: 9007199254740993}, ", 1)
	out, results, err := Inject([]byte(stream), settings)
	if err != nil || len(results) != 1 || results[0].Report.Outcome != k8s.Injected {
		t.Fatalf("%+v, %v", results, err)
	}
	if !strings.Contains(string(out), "futureField:\n    a: 9007199254740993\n") {
		t.Errorf("%s", out)
	}
}

// TestFieldsByTheirCase: as an API server reads them. Another case is another
// field, which nobody knows.
func TestFieldsByTheirCase(t *testing.T) {
	stream := strings.Replace(pod, "ports:", "Ports:", 1)
	out, results, err := Inject([]byte(stream), settings)
	if err != nil || string(out) != stream || len(results) != 1 || results[0].Report.Reason != "NoPort" {
		t.Errorf("%s, %+v, %v", out, results, err)
	}
}

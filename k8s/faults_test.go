package k8s_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wsresilience/wsresilience/k8s"
)

var settings = k8s.Settings{Image: "wsresilience:test"}

func podWith(annotations map[string]string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "chat", Annotations: annotations},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "app", Image: "chat:1", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}},
		}}},
	}
}

// TestA08A09MalformedAnnotationsDeny: what cannot be meant is told by name.
func TestA08A09MalformedAnnotationsDeny(t *testing.T) {
	tests := map[string][]string{
		k8s.AnnotationPort:                              {"0", "-1", "65536", "8080 ", "8080;x", "15801", "+8080", "08080", "", "a/b", "a~b", "{{x}}", "\"", "a\nb"},
		k8s.AnnotationMode:                              {"", "Named", "$(MODE)"},
		k8s.AnnotationSettings:                          {"", "Big_Name", "a/b"},
		k8s.AnnotationNativeSidecar:                     {"yes", "", "TRUE"},
		k8s.AnnotationMemoryLimit:                       {"0", "-1", "much", "1Ki", strings.Repeat("9", 256<<10)},
		k8s.AnnotationCPURequest:                        {"0", "x"},
		"wsresilience.io/prot":                          {"8080"},
		"wsresilience.io/inject":                        {"enabled"},
		k8s.ConfigPrefix + "session-tll":                {"5m"},
		k8s.ConfigPrefix + "Session-TTL":                {"5m"},
		k8s.ConfigPrefix + "session-ttl":                {"5", "", "0s", "5m\n", strings.Repeat("x", 256<<10)},
		k8s.ConfigPrefix + "upstream":                   {"http://10.0.0.1:80"},
		k8s.ConfigPrefix + "token-keys":                 {"x"},
		k8s.ConfigPrefix + "snapshot-rules":             {"/etc/passwd", "{", `{"x":1}`},
		k8s.ConfigPrefix + "window-bytes":               {"1GiB"},
		"wsresilience.io/image":                         {"evil"},
		"wsresilience.io/privileged":                    {"true"},
		k8s.ConfigPrefix + strings.Repeat("x", 256<<10): {""},
	}
	for name, values := range tests {
		for _, value := range values {
			pod := podWith(map[string]string{name: value})
			out, _, err := k8s.Inject(pod, nil, settings)
			var invalid *k8s.InvalidError
			if !errors.As(err, &invalid) || out != pod {
				t.Errorf("%.40s: %.40q gives %v", name, value, err)
				continue
			}
			if text := err.Error(); len(text) > 4096 || len(name) < 64 && !strings.Contains(text, name) {
				t.Errorf("%.40s: %.40q gives an error of %d bytes: %.300s", name, value, len(text), text)
			}
		}
	}
}

func TestAllMistakesAreToldAtOnce(t *testing.T) {
	_, _, err := k8s.Inject(podWith(map[string]string{
		k8s.AnnotationPort: "0", k8s.AnnotationMode: "x", k8s.ConfigPrefix + "session-ttl": "5",
	}), nil, settings)
	for _, name := range []string{k8s.AnnotationPort, k8s.AnnotationMode, k8s.ConfigPrefix + "session-ttl"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v does not name %s", err, name)
		}
	}
}

// TestPodWinsOverNamespaceOverSettings of one setting.
func TestPodWinsOverNamespaceOverSettings(t *testing.T) {
	key := k8s.ConfigPrefix + "session-ttl"
	s := settings
	s.Env = map[string]string{"WSR_SESSION_TTL": "1m"}
	for _, test := range []struct {
		pod, namespace map[string]string
		want           string
	}{
		{nil, nil, "1m"},
		{nil, map[string]string{key: "2m"}, "2m"},
		{map[string]string{key: "3m"}, map[string]string{key: "2m"}, "3m"},
	} {
		out, _, err := k8s.Inject(podWith(test.pod), test.namespace, s)
		if err != nil {
			t.Fatal(err)
		}
		if got := variable(out, "WSR_SESSION_TTL"); got != test.want {
			t.Errorf("pod %v, namespace %v: %q, want %q", test.pod, test.namespace, got, test.want)
		}
	}
}

// TestTracesAreThePlatforms: what is known of OpenTelemetry's variables is passed on
// from the settings, and a mistake in them is told where they are.
func TestTracesAreThePlatforms(t *testing.T) {
	s := settings
	s.Env = map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}
	out, _, err := k8s.Inject(podWith(nil), nil, s)
	if err != nil {
		t.Fatal(err)
	}
	if got := variable(out, "OTEL_EXPORTER_OTLP_ENDPOINT"); got != "http://collector:4318" {
		t.Errorf("the sidecar gets %q", got)
	}
	for name, value := range map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_CERTIFICATE": "/etc/ca.pem", "OTEL_METRICS_EXPORTER": "otlp"} {
		s.Env = map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", name: value}
		if _, _, err := k8s.Inject(podWith(nil), nil, s); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s=%s: %v", name, value, err)
		}
	}
}

// variable is the value of one in our container, which is the first.
func variable(pod *corev1.Pod, name string) string {
	for _, e := range pod.Spec.InitContainers[0].Env {
		if e.Name == name {
			return e.Value
		}
	}
	return ""
}

// TestA07ForgedStatus: garbage in the status annotation is no way in.
func TestA07ForgedStatus(t *testing.T) {
	for _, value := range []string{"", "x", "null", "{}", `{"version":1,"mode":"named"}`, `{"version":1,"mode":"explicit"}`, `{"version":2}`, strings.Repeat("[", 1<<20)} {
		_, _, err := k8s.Inject(podWith(map[string]string{k8s.AnnotationStatus: value}), nil, settings)
		var invalid *k8s.InvalidError
		if !errors.As(err, &invalid) || invalid.Name != k8s.AnnotationStatus {
			t.Errorf("%.40q gives %v", value, err)
		}
	}
}

// TestA13A14PatchTouchesOnlyItsOwn: no step replaces a list, or a field of the
// pod that the injection is not about.
func TestA13A14PatchTouchesOnlyItsOwn(t *testing.T) {
	pod := podWith(map[string]string{"a/b~c": "x"})
	pod.Spec.InitContainers = []corev1.Container{{Name: "one", Image: "i"}, {Name: "two", Image: "i"}}
	pod.Spec.Volumes = []corev1.Volume{{Name: "v"}}
	out, _, err := k8s.Inject(pod, nil, settings)
	if err != nil {
		t.Fatal(err)
	}
	operations, err := k8s.Patch(pod, out)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range operations {
		got = append(got, o.Op+" "+o.Path)
	}
	want := []string{
		"add /metadata/annotations/cluster-autoscaler.kubernetes.io~1safe-to-evict-local-volumes",
		"add /metadata/annotations/wsresilience.io~1status",
		"add /spec/containers/0/lifecycle",
		"replace /spec/containers/0/ports/0/containerPort",
		"add /spec/containers/0/ports/1",
		"add /spec/initContainers/0",
		"add /spec/terminationGracePeriodSeconds",
		"add /spec/volumes/1",
		"add /spec/volumes/2",
	}
	gotSorted, wantSorted := map[string]bool{}, map[string]bool{}
	for _, s := range got {
		gotSorted[s] = true
	}
	for _, s := range want {
		wantSorted[s] = true
	}
	if !reflect.DeepEqual(gotSorted, wantSorted) || len(got) != len(want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// FuzzAnnotation: no value makes it panic, what is injected comes back, and
// twice is once.
func FuzzAnnotation(f *testing.F) {
	f.Add(k8s.AnnotationPort, "8080")
	f.Add(k8s.ConfigPrefix+"resilient-paths", "/$(HOME)")
	f.Add(k8s.AnnotationStatus, "{}")
	f.Fuzz(func(t *testing.T, key, value string) {
		pod := podWith(map[string]string{key: value})
		out, report, err := k8s.Inject(pod, nil, settings)
		if err != nil || report.Outcome != k8s.Injected {
			return
		}
		back, had, err := k8s.Uninject(out)
		if err != nil || !had {
			t.Fatalf("uninject: %v, %v", had, err)
		}
		a, _ := json.Marshal(pod)
		b, _ := json.Marshal(back)
		if string(a) != string(b) {
			t.Errorf("it was\n%s\nand is\n%s", a, b)
		}
		again, _, err := k8s.Inject(out, nil, settings)
		if err != nil || !reflect.DeepEqual(again, out) {
			t.Errorf("injected twice it is another one: %v", err)
		}
	})
}

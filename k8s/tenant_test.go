package k8s

import (
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestTenantAnnotations: which annotations a pod may have is for the platform to
// say; those of a namespace are the platform's.
func TestTenantAnnotations(t *testing.T) {
	const ttl = ConfigPrefix + "session-ttl"
	tests := []struct {
		name       string
		allowed    []string
		pod, space map[string]string
		refused    string // the annotation that is named
	}{
		{"no policy", nil, map[string]string{ttl: "10m", AnnotationMode: "redirect"}, nil, ""},
		{"all", []string{"*"}, map[string]string{ttl: "10m", AnnotationMode: "redirect"}, nil, ""},
		{"none", []string{}, map[string]string{ttl: "10m"}, nil, ttl},
		{"none, by the namespace", []string{}, nil, map[string]string{ttl: "10m", AnnotationMode: "redirect"}, ""},
		{"none, and none is ours", []string{}, map[string]string{"example.com/x": "1"}, nil, ""},
		{"by name", []string{AnnotationPort, ttl}, map[string]string{ttl: "10m", AnnotationPort: "http"}, nil, ""},
		{"by name, another", []string{AnnotationPort, ttl}, map[string]string{ttl: "10m", AnnotationMode: "redirect"}, nil, AnnotationMode},
		{"a name is no beginning", []string{ConfigPrefix + "session"}, map[string]string{ttl: "10m"}, nil, ttl},
		{"by a beginning", []string{ConfigPrefix + "session-*"}, map[string]string{ttl: "10m"}, nil, ""},
		{"settings only", []string{ConfigPrefix + "*"}, map[string]string{AnnotationMemoryLimit: "8Gi"}, nil, AnnotationMemoryLimit},
		{"written otherwise", []string{AnnotationPort}, map[string]string{ConfigPrefix + "Session-TTL": "10m"}, nil, ConfigPrefix + "Session-TTL"},
	}
	for _, test := range tests {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Annotations: test.pod},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}}}},
		}
		_, report, err := Inject(pod, test.space, Settings{Image: "wsresilience:1", TenantAnnotations: test.allowed})
		var wrong *InvalidError
		switch {
		case test.refused == "" && (err != nil || report.Outcome != Injected):
			t.Errorf("%s: %v, %+v", test.name, err, report)
		case test.refused != "" && (!errors.As(err, &wrong) || !strings.Contains(err.Error(), test.refused) || !strings.Contains(err.Error(), "may not set it")):
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// TestStrictDoesNotHoldTheApp: whether a journal is there decides whether clients
// are sent to the pod, and neither whether its app starts nor whether the sidecar
// is restarted.
func TestStrictDoesNotHoldTheApp(t *testing.T) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{ConfigPrefix + "store-policy": "strict"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}}}},
	}
	out, report, err := Inject(pod, nil, Settings{Image: "wsresilience:1", NATS: true})
	if err != nil || report.Outcome != Injected {
		t.Fatalf("%+v, %v", report, err)
	}
	c := out.Spec.InitContainers[0]
	if *c.RestartPolicy != corev1.ContainerRestartPolicyAlways || c.StartupProbe.HTTPGet.Path != "/livez" || c.LivenessProbe.HTTPGet.Path != "/livez" || c.ReadinessProbe.HTTPGet.Path != "/readyz" {
		t.Errorf("startup %s, live %s, ready %s", c.StartupProbe.HTTPGet.Path, c.LivenessProbe.HTTPGet.Path, c.ReadinessProbe.HTTPGet.Path)
	}
}

// TestTenantPatterns: a pattern that no annotation has is a mistake.
func TestTenantPatterns(t *testing.T) {
	for pattern, want := range map[string]bool{
		"*": true, ConfigPrefix + "*": true, ConfigPrefix + "session-ttl": true, ownPrefix + "*": true, ownPrefix + "memory-*": true, AnnotationPort: true,
		"": false, "session-ttl": false, ownPrefix + "prot": false, "example.com/*": false, AnnotationStatus: false,
	} {
		if got := len(Settings{Image: "wsresilience:1", TenantAnnotations: []string{pattern}}.Check()) == 0; got != want {
			t.Errorf("%q: %v", pattern, got)
		}
	}
}

package k8s_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wsresilience/wsresilience/k8s"
)

// TestPageClientAnnotation: it is the setting of that name, and is judged like it.
func TestPageClientAnnotation(t *testing.T) {
	for value, want := range map[string]bool{"inject": true, "serve": true, "off": true, "yes": false} {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "chat", Labels: map[string]string{k8s.LabelInject: "enabled"}, Annotations: map[string]string{k8s.AnnotationPageClient: value}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}}}},
		}
		injected, _, err := k8s.Inject(pod, nil, k8s.Settings{Image: "wsresilience:1"})
		if (err == nil) != want {
			t.Errorf("%s: %v", value, err)
			continue
		}
		if err == nil && environment(injected)["WSR_PAGE_CLIENT"] != value {
			t.Errorf("%s: the sidecar has %q", value, environment(injected)["WSR_PAGE_CLIENT"])
		}
	}
}

// environment is that of a pod's sidecar.
func environment(pod *corev1.Pod) map[string]string {
	env := map[string]string{}
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			for _, e := range list[i].Env {
				env[e.Name] = e.Value
			}
		}
	}
	return env
}

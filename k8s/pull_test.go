package k8s_test

import (
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/wsresilience/wsresilience/k8s"
)

// The Secrets that the sidecar's image needs come behind the pod's own, once each,
// and go with the sidecar.
func TestPullSecrets(t *testing.T) {
	refs := func(names ...string) (list []corev1.LocalObjectReference) {
		for _, n := range names {
			list = append(list, corev1.LocalObjectReference{Name: n})
		}
		return list
	}
	for _, tt := range []struct {
		name           string
		has, sets, get []string
	}{
		{"none", nil, nil, nil},
		{"the pod's own only", []string{"own"}, nil, []string{"own"}},
		{"ours only", nil, []string{"ours"}, []string{"ours"}},
		{"both", []string{"own"}, []string{"ours", "more"}, []string{"own", "ours", "more"}},
		{"the same", []string{"ours", "own"}, []string{"ours"}, []string{"ours", "own"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pod := &corev1.Pod{Spec: corev1.PodSpec{
				Containers:       []corev1.Container{{Name: "app", Image: "app", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}}}},
				ImagePullSecrets: refs(tt.has...),
			}}
			s := settings
			s.PullSecrets = tt.sets
			out, report, err := k8s.Inject(pod, nil, s)
			if err != nil || report.Outcome != k8s.Injected {
				t.Fatalf("%v, %+v", err, report)
			}
			if got := out.Spec.ImagePullSecrets; !reflect.DeepEqual(got, refs(tt.get...)) {
				t.Errorf("has %v, want %v", got, tt.get)
			}
			if again, _, err := k8s.Inject(out, nil, s); err != nil || !reflect.DeepEqual(again, out) {
				t.Errorf("again: %v, %v", again.Spec.ImagePullSecrets, err)
			}
			back, had, err := k8s.Uninject(out)
			if err != nil || !had || !reflect.DeepEqual(back, pod) {
				t.Errorf("back: %v, %v", back.Spec.ImagePullSecrets, err)
			}
		})
	}
}

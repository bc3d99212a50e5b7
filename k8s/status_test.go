package k8s_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/wsresilience/wsresilience/k8s"
)

// FuzzStatus: a status that somebody forged on an injected pod never makes it
// panic, and where it is believed, originalFields and doing again come to rest: the
// pod without the sidecar stays that pod, whatever is done in between.
func FuzzStatus(f *testing.F) {
	modes := []k8s.Mode{k8s.ModeNamed, k8s.ModeRedirect, k8s.ModeExplicit}
	pods := make([]*corev1.Pod, len(modes))
	for i, mode := range modes {
		pod := podWith(map[string]string{k8s.AnnotationMode: string(mode)})
		c := &pod.Spec.Containers[0]
		c.LivenessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{GRPC: &corev1.GRPCAction{Port: 8080}}}
		injected, report, err := k8s.Inject(pod, nil, settings)
		if err != nil || report.Outcome != k8s.Injected {
			f.Fatalf("%+v, %v", report, err)
		}
		pods[i] = injected
		text := injected.Annotations[k8s.AnnotationStatus]
		f.Add(uint8(i), text)
		f.Add(uint8(i), strings.ReplaceAll(text, "8080", "-1"))
		f.Add(uint8(i), strings.ReplaceAll(text, `"app"`, `"wsresilience"`))
	}
	f.Fuzz(func(t *testing.T, which uint8, text string) {
		forged := pods[int(which)%len(pods)].DeepCopy()
		forged.Annotations[k8s.AnnotationStatus] = text
		base, had, err := k8s.Uninject(forged)
		if err != nil {
			if base != forged || had {
				t.Fatalf("an error, and %v, %v", had, base)
			}
			return
		}
		out, report, err := k8s.Inject(base, nil, settings)
		if err != nil || report.Outcome != k8s.Injected {
			return // what it says to have been there cannot be injected
		}
		back, had, err := k8s.Uninject(out)
		if err != nil || !had || asJSON(t, back) != asJSON(t, base) {
			t.Errorf("%v, %v: it was\n%s\nand is\n%s", had, err, asJSON(t, base), asJSON(t, back))
		}
		again, _, err := k8s.Inject(out, nil, settings)
		if err != nil || !reflect.DeepEqual(again, out) {
			t.Errorf("injected twice it is another one: %v", err)
		}
	})
}

// TestNewerStatus: a pod that a newer injector has injected is left as it is, as
// when two releases of the injector run next to each other. A status alone, which
// anybody can write, does not keep the sidecar away.
func TestNewerStatus(t *testing.T) {
	pod, report, err := k8s.Inject(podWith(nil), nil, settings)
	if err != nil || report.Outcome != k8s.Injected {
		t.Fatalf("%+v, %v", report, err)
	}
	const newer = `{"version":4,"port":"in another form"}`
	pod.Annotations[k8s.AnnotationStatus] = newer
	out, report, err := k8s.Inject(pod, nil, settings)
	if err != nil || out != pod || report.Outcome != k8s.Skipped || report.Reason != "NewerStatus" {
		t.Errorf("%+v, %v", report, err)
	}
	if out, had, err := k8s.Uninject(pod); err == nil || had || out != pod || !strings.Contains(err.Error(), "a newer injector") {
		t.Errorf("%v, %v", had, err)
	}
	if _, _, err := k8s.Inject(podWith(map[string]string{k8s.AnnotationStatus: newer}), nil, settings); err == nil {
		t.Error("a status alone keeps the sidecar away")
	}
}

func asJSON(t *testing.T, pod *corev1.Pod) string {
	t.Helper()
	text, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

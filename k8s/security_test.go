package k8s_test

import (
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	psa "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"github.com/wsresilience/wsresilience/k8s"
)

// TestPodSecurity of the golden pods, as they are and hardened so that the
// standard "restricted" admits them: in the mode named it admits them with the
// sidecar too, and so does "baseline". The mode redirect asks for a privilege
// that even "baseline" refuses.
func TestPodSecurity(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	versions := []psa.Version{psa.MajorMinorVersion(1, 25), psa.MajorMinorVersion(1, 29), psa.LatestVersion()}
	admits := func(level psa.Level, version psa.Version, pod *corev1.Pod) bool {
		results := evaluator.EvaluatePod(psa.LevelVersion{Level: level, Version: version}, &pod.ObjectMeta, &pod.Spec)
		return policy.AggregateCheckResults(results).Allowed
	}
	judged := map[k8s.Mode]int{}
	for _, stem := range stems(t) {
		s := goldenSettings(t, stem+".settings.yaml")
		for _, golden := range strictly(t, read(t, stem+".in.yaml")) {
			without, _, err := k8s.Uninject(golden)
			if err != nil {
				continue // a forged status, of which TestGolden is
			}
			for _, pod := range []*corev1.Pod{without, hardened(without)} {
				out, report, err := k8s.Inject(pod, nil, s)
				if err != nil || report.Outcome != k8s.Injected {
					continue
				}
				for _, version := range versions {
					for _, level := range []psa.Level{psa.LevelRestricted, psa.LevelBaseline} {
						if !admits(level, version, pod) {
							continue
						}
						judged[report.Mode]++
						if got, want := admits(level, version, out), report.Mode != k8s.ModeRedirect; got != want {
							t.Errorf("%s, mode %s: %s %s admits it: %v, want %v", filepath.Base(stem), report.Mode, level, version.String(), got, want)
						}
					}
				}
			}
		}
	}
	for _, mode := range []k8s.Mode{k8s.ModeNamed, k8s.ModeRedirect, k8s.ModeExplicit} {
		if judged[mode] == 0 {
			t.Errorf("no pod of the mode %s was judged", mode)
		}
	}
}

// hardened is pod with what "restricted" asks of it, in each container, so that
// the sidecar has nothing of it from the pod.
func hardened(pod *corev1.Pod) *corev1.Pod {
	pod = pod.DeepCopy()
	pod.Spec.SecurityContext = nil
	yes, no := true, false
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			list[i].SecurityContext = &corev1.SecurityContext{
				RunAsNonRoot: &yes, AllowPrivilegeEscalation: &no, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			}
		}
	}
	return pod
}

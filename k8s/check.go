package k8s

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Check returns everything in s that would spoil each pod, with its place below
// Settings as the name. It is for the start of a program: a wrong setting is to
// be told to who wrote it, rather than to everybody who makes a pod.
func (s Settings) Check() []*InvalidError {
	w := readWish(&corev1.Pod{}, nil, s)
	w.judge(s, 0)
	switch s.ImagePullPolicy {
	case "", corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever:
	default:
		w.fail("imagePullPolicy", string(s.ImagePullPolicy), "Always, IfNotPresent, Never")
	}
	if len(validation.IsDNS1123Subdomain(s.secret())) > 0 {
		w.fail("secret", s.Secret, "the name of a Secret")
	}
	if s.DataSize != nil && s.DataSize.Sign() <= 0 {
		w.fail("dataSize", s.DataSize.String(), "a quantity above 0, such as 1Gi")
	}
	return w.invalid
}

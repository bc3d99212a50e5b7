package k8s

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Check returns every setting with which no pod could be injected, under its
// key. Programs call it when they start, so that the operator who wrote the
// setting hears of it, and not every author of a pod.
func (s Settings) Check() []*InvalidError {
	request := readRequest(&corev1.Pod{}, nil, s)
	request.sidecarConfig(s, 0)
	switch s.ImagePullPolicy {
	case "", corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever:
	default:
		request.fail("imagePullPolicy", string(s.ImagePullPolicy), "Always, IfNotPresent, Never")
	}
	if len(validation.IsDNS1123Subdomain(s.SecretName())) > 0 {
		request.fail("secret", s.Secret, "the name of a Secret")
	}
	for _, name := range s.PullSecrets {
		if len(validation.IsDNS1123Subdomain(name)) > 0 {
			request.fail("pullSecrets", name, "names of Secrets")
		}
	}
	for _, pattern := range s.TenantAnnotations {
		request.checkTenantPattern(pattern)
	}
	if s.NATSAccounts && !s.NATS {
		request.fail("natsAccounts", "true", "false without nats")
	}
	if s.DataSize != nil && s.DataSize.Sign() <= 0 {
		request.fail("dataSize", s.DataSize.String(), "a quantity above 0, such as 1Gi")
	}
	return request.invalid
}

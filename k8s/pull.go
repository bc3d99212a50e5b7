package k8s

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// addPullSecrets names the Secrets with which a node may fetch the sidecar's image.
// The pod's own stay in front. A name that its namespace has no Secret for changes
// nothing: the kubelet tries the others.
func (u *originalFields) addPullSecrets(pod *corev1.Pod, names []string) {
	for _, name := range names {
		if slices.ContainsFunc(pod.Spec.ImagePullSecrets, func(r corev1.LocalObjectReference) bool { return r.Name == name }) {
			continue
		}
		pod.Spec.ImagePullSecrets = append(pod.Spec.ImagePullSecrets, corev1.LocalObjectReference{Name: name})
		u.Pull = append(u.Pull, name)
	}
}

// removePullSecrets undoes addPullSecrets.
func (u *originalFields) removePullSecrets(pod *corev1.Pod) {
	if len(u.Pull) == 0 {
		return
	}
	pod.Spec.ImagePullSecrets = without(pod.Spec.ImagePullSecrets, func(r corev1.LocalObjectReference) bool {
		return slices.Contains(u.Pull, r.Name)
	})
}

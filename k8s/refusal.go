package k8s

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Annotations that the kubelet writes on static pods.
const (
	annotationMirror = "kubernetes.io/config.mirror"
	annotationSource = "kubernetes.io/config.source"
)

// unsupported says why the sidecar cannot run in the pod, whatever its port; nil
// if it can.
func (r *podRequest) unsupported(pod *corev1.Pod) *Report {
	_, mirror := pod.Annotations[annotationMirror]
	source := pod.Annotations[annotationSource]
	switch {
	case pod.Spec.HostNetwork:
		return refused("HostNetwork", "The pod uses the host's network, where the sidecar's ports would be those of the node. Take hostNetwork away, or forbid the sidecar with the label %s: %s.", LabelInject, Disabled)
	case mirror, source != "" && source != "api":
		return refused("StaticPod", "The pod is a static one, which its kubelet makes. Put the sidecar into its file with wsresilience-injector inject.")
	case pod.Spec.OS != nil && pod.Spec.OS.Name == corev1.Windows, pod.Spec.NodeSelector[corev1.LabelOSStable] == "windows":
		return refused("Windows", "The pod is for Windows, and the sidecar for Linux only. Forbid it with the label %s: %s.", LabelInject, Disabled)
	case !r.native && runsToCompletion(pod):
		return refused("JobWithoutNativeSidecar", "The pod is to end by itself, as that of a Job, and would not with the sidecar as an ordinary container. Native sidecars need Kubernetes 1.29 and no annotation %s: false.", AnnotationNativeSidecar)
	}
	if name := takenName(pod); name != "" {
		return refused("NameTaken", "The pod has a container or volume of its own named %s, which is the sidecar's. Give it another name.", name)
	}
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		for _, p := range c.Ports {
			if r.agent != "" && (p.ContainerPort == AgentPort || p.ContainerPort == AgentAdminPort) {
				return refused("PortTaken", "Container %s uses port %d; %d and %d are the agent's. Let it use another one.", c.Name, p.ContainerPort, AgentPort, AgentAdminPort)
			}
			if r.serves && ourPort(p.ContainerPort) {
				return refused("PortTaken", "Container %s uses port %d; the ports %d to %d are the sidecar's. Let it use another one.", c.Name, p.ContainerPort, ProxyPort, ProbePort)
			}
		}
	}
	return nil
}

// runsToCompletion reports whether the pod is to end by itself.
func runsToCompletion(pod *corev1.Pod) bool {
	if policy := pod.Spec.RestartPolicy; policy != "" && policy != corev1.RestartPolicyAlways {
		return true
	}
	return slices.ContainsFunc(pod.OwnerReferences, func(o metav1.OwnerReference) bool { return o.Kind == "Job" })
}

// takenName is a name of a container or volume of ours that the pod has, or "".
func takenName(pod *corev1.Pod) string {
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		if ourContainer(c.Name) {
			return c.Name
		}
	}
	for _, c := range pod.Spec.EphemeralContainers {
		if ourContainer(c.Name) {
			return c.Name
		}
	}
	for _, v := range pod.Spec.Volumes {
		if ourVolume(v) {
			return v.Name
		}
	}
	return ""
}

package k8s

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Bypassing returns a warning for each port of services by which clients reach
// the app past the sidecar: the Service selects pod, which is injected, and
// numbers the app's port, or is headless, so that clients do. In the mode
// redirect there is none. services are those of the pod's own namespace.
func Bypassing(pod *corev1.Pod, services []corev1.Service) []string {
	s, err := readStatus(pod.Annotations[AnnotationStatus])
	if err != nil || s.Mode == ModeRedirect || s.Mode == "" {
		return nil
	}
	var list []string
	for _, service := range services {
		// A Service without a selector selects no pod, and one that is an
		// alias of a name has none that counts.
		if len(service.Spec.Selector) == 0 || service.Spec.Type == corev1.ServiceTypeExternalName || !labels.SelectorFromSet(service.Spec.Selector).Matches(labels.Set(pod.Labels)) {
			continue
		}
		for _, p := range service.Spec.Ports {
			switch {
			case p.Protocol != "" && p.Protocol != corev1.ProtocolTCP:
			case service.Spec.ClusterIP == corev1.ClusterIPNone:
				// Nobody translates a port on the way to the pod.
				if p.Port == s.Port || s.reaches(pod, p) {
					list = append(list, fmt.Sprintf("Service %s is headless, and who calls its pods at port %d passes the sidecar by. Call port %d, or set the annotation %s to %s.",
						service.Name, s.Port, ProxyPort, AnnotationMode, ModeRedirect))
				}
			case s.reaches(pod, p):
				list = append(list, fmt.Sprintf("Service %s, port %d, reaches the app's port %d past the sidecar. %s",
					service.Name, p.Port, s.Port, s.suggestion(pod)))
			}
		}
	}
	return list
}

// reaches reports whether p ends at the app's port.
func (s status) reaches(pod *corev1.Pod, p corev1.ServicePort) bool {
	switch {
	case p.TargetPort == intstr.IntOrString{}:
		return p.Port == s.Port
	case p.TargetPort.Type == intstr.Int:
		return p.TargetPort.IntVal == s.Port
	}
	for _, c := range pod.Spec.Containers {
		for _, port := range c.Ports {
			if port.Name == p.TargetPort.StrVal {
				return port.ContainerPort == s.Port
			}
		}
	}
	return false
}

// suggestion says what the author of the Service is to write.
func (s status) suggestion(pod *corev1.Pod) string {
	if s.Mode == ModeExplicit {
		return fmt.Sprintf("Write targetPort: %d.", ProxyPort)
	}
	if c := containerNamed(pod, s.Undo.Port.Container); c != nil {
		for _, p := range c.Ports {
			if p.ContainerPort == ProxyPort {
				return fmt.Sprintf("Write targetPort: %s.", p.Name)
			}
		}
	}
	return fmt.Sprintf("Write the name of the port as targetPort, or set the annotation %s to %s.", AnnotationMode, ModeRedirect)
}

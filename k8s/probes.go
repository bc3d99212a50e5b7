package k8s

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// target is a port that the kubelet calls: that of a probe or a hook.
type target struct {
	kind string
	port *intstr.IntOrString // of HTTP and TCP
	grpc *int32              // else this
}

// refersTo reports whether t is the port with that number or, if not empty,
// that name.
func (t target) refersTo(number int32, name string) bool {
	if t.grpc != nil {
		return *t.grpc == number
	}
	if t.port.Type == intstr.String {
		return name != "" && t.port.StrVal == name
	}
	return t.port.IntVal == number
}

func (t target) get() intstr.IntOrString {
	if t.grpc != nil {
		return intstr.FromInt32(*t.grpc)
	}
	return *t.port
}

func (t target) set(port intstr.IntOrString) {
	if t.grpc != nil {
		*t.grpc = port.IntVal
		return
	}
	*t.port = port
}

// targets are the ports that the kubelet calls for c at the pod's own address.
func targets(c *corev1.Container) []target {
	var list []target
	add := func(kind string, http *corev1.HTTPGetAction, tcp *corev1.TCPSocketAction, grpc *corev1.GRPCAction) {
		switch {
		case http != nil && http.Host == "":
			list = append(list, target{kind: kind, port: &http.Port})
		case tcp != nil && tcp.Host == "":
			list = append(list, target{kind: kind, port: &tcp.Port})
		case grpc != nil:
			list = append(list, target{kind: kind, grpc: &grpc.Port})
		}
	}
	probe := func(kind string, p *corev1.Probe) {
		if p != nil {
			add(kind, p.HTTPGet, p.TCPSocket, p.GRPC)
		}
	}
	hook := func(kind string, h *corev1.LifecycleHandler) {
		if h != nil {
			add(kind, h.HTTPGet, h.TCPSocket, nil)
		}
	}
	probe("livenessProbe", c.LivenessProbe)
	probe("readinessProbe", c.ReadinessProbe)
	probe("startupProbe", c.StartupProbe)
	if c.Lifecycle != nil {
		hook("postStart", c.Lifecycle.PostStart)
		hook("preStop", c.Lifecycle.PreStop)
	}
	return list
}

// containers returns all containers of pod in place, so that they can be
// changed.
func containers(pod *corev1.Pod) []*corev1.Container {
	var list []*corev1.Container
	for i := range pod.Spec.InitContainers {
		list = append(list, &pod.Spec.InitContainers[i])
	}
	for i := range pod.Spec.Containers {
		list = append(list, &pod.Spec.Containers[i])
	}
	return list
}

func containerNamed(pod *corev1.Pod, name string) *corev1.Container {
	for _, c := range containers(pod) {
		if c.Name == name {
			return c
		}
	}
	return nil
}

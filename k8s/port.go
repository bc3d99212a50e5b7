package k8s

import (
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// appPort is where the app listens.
type appPort struct {
	container, entry int // indices; container is -1 for a number that no container lists
	number           int32
	name             string
}

// findApp finds the port of the app. The report says why there is none, and
// what to do.
func (r *podRequest) findApp(pod *corev1.Pod) (appPort, *Report) {
	tcp, other := r.candidates(pod)
	if len(tcp) > 1 && r.port == "" {
		if usual := usuallyNamed(tcp); len(usual) > 0 {
			tcp = usual
		}
	}
	switch {
	case len(tcp) > 1:
		return appPort{}, refused("SeveralPorts", "The pod has several TCP ports, %s, and it is not clear which one is the app's. Name it in the annotation %s.", listPorts(tcp), AnnotationPort)
	case len(tcp) == 1:
		return r.requireName(tcp[0])
	case len(other) > 0:
		return appPort{}, refused("NotTCP", "Port %s is not TCP, and WebSocket is. Name a TCP port in the annotation %s.", listPorts(other), AnnotationPort)
	case r.port == "":
		return appPort{}, refused("NoPort", "No container of the pod lists a TCP port. Add the app's to its container's ports, with a name.")
	}
	if number, err := strconv.Atoi(r.port); err == nil && r.mode != ModeNamed {
		return appPort{container: -1, number: int32(number)}, nil
	}
	return appPort{}, refused("NoPort", "No container of the pod lists the port %s, which the annotation %s names. Add it to the app container's ports, with a name.", shorten(r.port), AnnotationPort)
}

// candidates lists the ports that may be the app's: those that AnnotationPort
// names, or all. Only TCP carries WebSocket; the other ports are for the report.
func (r *podRequest) candidates(pod *corev1.Pod) (tcp, other []appPort) {
	for i, c := range pod.Spec.Containers {
		for j, p := range c.Ports {
			port := appPort{container: i, entry: j, number: p.ContainerPort, name: p.Name}
			switch {
			case r.port != "" && r.port != p.Name && r.port != strconv.Itoa(int(p.ContainerPort)):
			case p.Protocol != "" && p.Protocol != corev1.ProtocolTCP:
				other = append(other, port)
			default:
				tcp = append(tcp, port)
			}
		}
	}
	return tcp, other
}

// requireName refuses a port without a name in the mode that takes over names.
func (r *podRequest) requireName(port appPort) (appPort, *Report) {
	if r.mode == ModeNamed && port.name == "" {
		return appPort{}, refused("UnnamedPort", "Port %d of the app has no name. Name it, and let the Service's targetPort be that name; or set the annotation %s to %s.", port.number, AnnotationMode, ModeRedirect)
	}
	return port, nil
}

// usuallyNamed are the ports whose name is one that apps give to HTTP or
// WebSocket.
func usuallyNamed(ports []appPort) []appPort {
	var list []appPort
	for _, p := range ports {
		switch {
		case p.name == "http", p.name == "web", p.name == "ws", p.name == "websocket",
			strings.HasPrefix(p.name, "http-"), strings.HasPrefix(p.name, "ws-"):
			list = append(list, p)
		}
	}
	return list
}

func listPorts(ports []appPort) string {
	var list []string
	for _, p := range ports {
		text := strconv.Itoa(int(p.number))
		if p.name != "" {
			text = p.name + " (" + text + ")"
		}
		list = append(list, text)
	}
	return strings.Join(list, ", ")
}

func refused(reason, format string, args ...any) *Report {
	return &Report{Outcome: Refused, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

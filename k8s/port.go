package k8s

import (
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// appPort is where the app listens. The zero value stands for none.
type appPort struct {
	container, entry int // indices; container is -1 for a number that no container lists
	number           int32
	name             string
}

// findApp finds the port of the app, or says why that is not possible.
func (w *wish) findApp(pod *corev1.Pod) (appPort, *Report) {
	var found, other []appPort
	for i, c := range pod.Spec.Containers {
		for j, p := range c.Ports {
			port := appPort{container: i, entry: j, number: p.ContainerPort, name: p.Name}
			switch {
			case w.port != "" && w.port != p.Name && w.port != strconv.Itoa(int(p.ContainerPort)):
			case p.Protocol != "" && p.Protocol != corev1.ProtocolTCP:
				other = append(other, port)
			default:
				found = append(found, port)
			}
		}
	}
	if len(found) > 1 && w.port == "" {
		if usual := usuallyNamed(found); len(usual) > 0 {
			found = usual
		}
	}
	switch {
	case len(found) > 1:
		return appPort{}, refused("SeveralPorts", "The pod has several TCP ports, %s, and it is not clear which one is the app's. Name it in the annotation %s.", listPorts(found), AnnotationPort)
	case len(found) == 1:
		return w.named(found[0])
	case len(other) > 0:
		return appPort{}, refused("NotTCP", "Port %s is not TCP, and WebSocket is. Name a TCP port in the annotation %s.", listPorts(other), AnnotationPort)
	case w.port == "":
		return appPort{}, refused("NoPort", "No container of the pod lists a TCP port. Add the app's to its container's ports, with a name.")
	}
	if number, err := strconv.Atoi(w.port); err == nil && w.mode != ModeNamed {
		return appPort{container: -1, number: int32(number)}, nil
	}
	return appPort{}, refused("NoPort", "No container of the pod lists the port %s, which the annotation %s names. Add it to the app container's ports, with a name.", shorten(w.port), AnnotationPort)
}

// named refuses what has no name where the name is what is taken over.
func (w *wish) named(port appPort) (appPort, *Report) {
	if w.mode == ModeNamed && port.name == "" {
		return appPort{}, refused("UnnamedPort", "Port %d of the app has no name. Name it, and let the Service's targetPort be that name; or set the annotation %s to %s.", port.number, AnnotationMode, ModeRedirect)
	}
	return port, nil
}

// usuallyNamed are the ports with a name that apps give to HTTP.
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

package k8s

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
)

// takeOver leads whoever calls the app's port to the sidecar, but not the
// kubelet, whose probes have to hear the app.
func (u *undoing) takeOver(pod *corev1.Pod, app appPort, mode Mode) {
	switch mode {
	case ModeNamed:
		c := &pod.Spec.Containers[app.container]
		for _, t := range targets(c) {
			if t.port != nil && t.port.Type == intstr.String && t.port.StrVal == app.name {
				u.move(c, t, app.number)
			}
		}
		behind := corev1.ContainerPort{Name: behindName(c, app.name), ContainerPort: app.number, Protocol: corev1.ProtocolTCP}
		c.Ports[app.entry].ContainerPort = ProxyPort
		c.Ports = append(c.Ports, behind)
		u.Port = &undoingPort{Container: c.Name, Number: app.number, Behind: behind.Name}
	case ModeRedirect:
		for _, c := range containers(pod) {
			name := ""
			if app.container >= 0 && c.Name == pod.Spec.Containers[app.container].Name {
				name = app.name
			}
			for _, t := range targets(c) {
				if t.is(app.number, name) {
					u.move(c, t, ProbePort)
				}
			}
		}
	case ModeExplicit:
	}
}

func (u *undoing) move(c *corev1.Container, t target, to int32) {
	u.Probes = append(u.Probes, undoingProbe{Container: c.Name, Kind: t.kind, Port: t.get()})
	t.set(intstr.FromInt32(to))
}

// maxPortName is what Kubernetes allows.
const maxPortName = 15

// behindName names the port behind the sidecar. A name that would be too long
// is cut, with a digest so that it stays one of a kind. Empty if c has it
// already, since a port needs no name.
func behindName(c *corev1.Container, name string) string {
	behind := PortPrefix + name
	if len(behind) > maxPortName {
		sum := sha256.Sum256([]byte(name))
		behind = PortPrefix + strings.TrimRight(name[:6], "-") + "-" + hex.EncodeToString(sum[:2])
	}
	taken := slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool { return p.Name == behind })
	if taken || len(validation.IsValidPortName(behind)) > 0 {
		return ""
	}
	return behind
}

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

// takeOver makes the app's port lead to the sidecar for all but the
// kubelet: its probes have to reach the app.
func (u *originalFields) takeOver(pod *corev1.Pod, app appPort, mode Mode) {
	switch mode {
	case ModeNamed:
		c := &pod.Spec.Containers[app.container]
		for _, t := range targets(c) {
			if t.port != nil && t.port.Type == intstr.String && t.port.StrVal == app.name {
				u.retarget(c, t, app.number)
			}
		}
		behind := corev1.ContainerPort{Name: appPortName(c, app.name), ContainerPort: app.number, Protocol: corev1.ProtocolTCP}
		c.Ports[app.entry].ContainerPort = ProxyPort
		c.Ports = append(c.Ports, behind)
		u.Port = &originalPort{Container: c.Name, Number: app.number, Behind: behind.Name}
	case ModeRedirect:
		for _, c := range containers(pod) {
			name := ""
			if app.container >= 0 && c.Name == pod.Spec.Containers[app.container].Name {
				name = app.name
			}
			for _, t := range targets(c) {
				if t.refersTo(app.number, name) {
					u.retarget(c, t, ProbePort)
				}
			}
		}
	case ModeExplicit:
	}
}

// retarget makes the kubelet call another port for t.
func (u *originalFields) retarget(c *corev1.Container, t target, to int32) {
	u.Probes = append(u.Probes, originalProbe{Container: c.Name, Kind: t.kind, Port: t.get()})
	t.set(intstr.FromInt32(to))
}

// maxPortName is what Kubernetes allows, in bytes.
const maxPortName = 15

// appPortName is the new name of the app's port, whose own name is the sidecar's
// now. One that would be too long is cut and gets a digest, so that it stays
// unique. It is empty if c has a port of that name: a port needs none.
func appPortName(c *corev1.Container, name string) string {
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

package k8s

import (
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Uninject returns pod as it was before Inject, and whether it had the sidecar.
// The error says why the status annotation cannot be read, or does not fit.
func Uninject(pod *corev1.Pod) (*corev1.Pod, bool, error) {
	out, injected, err := uninject(pod)
	if err != nil {
		return pod, false, fmt.Errorf("k8s: %w", err)
	}
	return out, injected, nil
}

func uninject(pod *corev1.Pod) (*corev1.Pod, bool, error) {
	text, injected := pod.Annotations[AnnotationStatus]
	if !injected {
		return pod, false, nil
	}
	out := pod.DeepCopy()
	if err := undo(out, text); err != nil {
		return nil, false, fmt.Errorf("the status annotation does not fit the pod: %w; take it away together with what was injected, or apply the original manifest", err)
	}
	return out, true, nil
}

// ourVolume reports whether a volume has a name that is ours.
func ourVolume(v corev1.Volume) bool {
	return v.Name == DataVolume || v.Name == SecretVolume || v.Name == SettingsVolume || v.Name == AgentVolume
}

func undo(pod *corev1.Pod, text string) error {
	s, err := readStatus(text)
	if err != nil {
		return err
	}
	if !hasOurs(pod) {
		return errors.New("there is no container " + SidecarContainer)
	}
	spec := &pod.Spec
	spec.InitContainers = without(spec.InitContainers, ours)
	spec.Containers = without(spec.Containers, ours)
	spec.Volumes = without(spec.Volumes, ourVolume)
	spec.TerminationGracePeriodSeconds = s.Undo.Grace
	if s.Undo.Port != nil {
		if err := s.Undo.Port.restore(pod); err != nil {
			return err
		}
	}
	s.Undo.restoreEvict(pod)
	s.Undo.removePullSecrets(pod)
	for _, p := range s.Undo.Probes {
		if err := p.restore(pod); err != nil {
			return err
		}
	}
	if delete(pod.Annotations, AnnotationStatus); len(pod.Annotations) == 0 {
		pod.Annotations = nil
	}
	for _, stop := range s.Undo.Stops {
		if err := stop.restore(pod); err != nil {
			return err
		}
	}
	return nil
}

func ours(c corev1.Container) bool { return ourContainer(c.Name) }

// ourContainer reports whether a container has a name that is ours.
func ourContainer(name string) bool {
	return name == SidecarContainer || name == RedirectContainer || name == AgentContainer
}

// hasOurs reports whether the pod has a container of ours.
func hasOurs(pod *corev1.Pod) bool {
	return slices.ContainsFunc(slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers), ours)
}

// without returns list without what matches, nil if nothing is left.
func without[T any](list []T, match func(T) bool) []T {
	if list = slices.DeleteFunc(list, match); len(list) == 0 {
		return nil
	}
	return list
}

func (u originalPort) restore(pod *corev1.Pod) error {
	c := containerNamed(pod, u.Container)
	if c == nil {
		return fmt.Errorf("there is no container %q", shorten(u.Container))
	}
	taken := slices.IndexFunc(c.Ports, func(p corev1.ContainerPort) bool { return p.ContainerPort == ProxyPort })
	behind := slices.IndexFunc(c.Ports, func(p corev1.ContainerPort) bool {
		return p.ContainerPort == u.Number && p.Name == u.Behind && p.Protocol != corev1.ProtocolUDP && p.Protocol != corev1.ProtocolSCTP
	})
	if taken < 0 || behind < 0 || taken == behind {
		return fmt.Errorf("container %q lacks the ports that the annotation names", shorten(u.Container))
	}
	c.Ports[taken].ContainerPort = u.Number
	c.Ports = slices.Delete(c.Ports, behind, behind+1)
	return nil
}

func (u originalProbe) restore(pod *corev1.Pod) error {
	if c := containerNamed(pod, u.Container); c != nil {
		for _, t := range targets(c) {
			if t.kind == u.Kind {
				t.set(u.Port)
				return nil
			}
		}
	}
	return fmt.Errorf("there is no %s of container %q", shorten(u.Kind), shorten(u.Container))
}

func (u originalPreStop) restore(pod *corev1.Pod) error {
	c := containerNamed(pod, u.Container)
	if c == nil || c.Lifecycle == nil || c.Lifecycle.PreStop == nil || c.Lifecycle.PreStop.Sleep == nil {
		return fmt.Errorf("there is no preStop sleep of container %q", shorten(u.Container))
	}
	switch {
	case u.Sleep != nil:
		c.Lifecycle.PreStop.Sleep.Seconds = *u.Sleep
	case u.Lifecycle:
		c.Lifecycle.PreStop = nil
	default:
		c.Lifecycle = nil
	}
	return nil
}

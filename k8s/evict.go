package k8s

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// annotationEvict names volumes that keep the cluster autoscaler from taking a
// node away no more: as delivered it spares each node with an emptyDir in use.
const annotationEvict = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"

// letEvict says of our emptyDirs that their node may go: what they hold is handed
// over, or sent, while the pod stops. An author's own list stays in front.
func (u *originalFields) letEvict(pod *corev1.Pod) {
	var names []string
	for _, v := range pod.Spec.Volumes {
		if v.Name == DataVolume || v.Name == AgentVolume {
			names = append(names, v.Name)
		}
	}
	if len(names) == 0 {
		return
	}
	before := pod.Annotations[annotationEvict]
	u.Evict = &before
	if before != "" {
		names = slices.Insert(names, 0, before)
	}
	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	pod.Annotations[annotationEvict] = strings.Join(names, ",")
}

// restoreEvict undoes letEvict.
func (u *originalFields) restoreEvict(pod *corev1.Pod) {
	switch {
	case u.Evict == nil:
	case *u.Evict == "":
		delete(pod.Annotations, annotationEvict)
	default:
		pod.Annotations[annotationEvict] = *u.Evict
	}
}

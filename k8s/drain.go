package k8s

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

const (
	// defaultGrace is that of Kubernetes for a pod that names none.
	defaultGrace = 30

	// sleepBeyond is how much longer than the drain the app keeps running, and
	// graceBeyond how much longer than both the pod may take, in seconds.
	sleepBeyond = 2
	graceBeyond = 5
)

// extendShutdown keeps the app running while its sessions are handed over, by a
// preStop sleep, and gives the pod the time for it. drain is in seconds. It
// returns warnings for the author of the pod.
func (u *originalFields) extendShutdown(pod *corev1.Pod, drain int64, cluster Cluster) []string {
	grace := int64(defaultGrace)
	if g := pod.Spec.TerminationGracePeriodSeconds; g != nil {
		grace = *g
	}
	grace += drain + graceBeyond
	pod.Spec.TerminationGracePeriodSeconds = &grace

	var warnings []string
	seconds := drain + sleepBeyond
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		own := c.Lifecycle != nil && c.Lifecycle.PreStop != nil
		switch {
		case own && c.Lifecycle.PreStop.Sleep != nil:
			if sleep := c.Lifecycle.PreStop.Sleep; sleep.Seconds < seconds {
				before := sleep.Seconds
				u.Stops = append(u.Stops, originalPreStop{Container: c.Name, Lifecycle: true, Sleep: &before})
				sleep.Seconds = seconds
			}
		case own:
			warnings = append(warnings, fmt.Sprintf("Container %s has a preStop of its own, which stays. If it ends before the drain (%d s), the app stops and its sessions are handed over earlier.", c.Name, drain))
		case !cluster.since(minorSleep):
			warnings = append(warnings, fmt.Sprintf("Container %s hears SIGTERM at once when the pod stops, since Kubernetes before 1.30 has no preStop sleep. Give it a preStop that takes %d s.", c.Name, seconds))
		default:
			u.Stops = append(u.Stops, originalPreStop{Container: c.Name, Lifecycle: c.Lifecycle != nil})
			if c.Lifecycle == nil {
				c.Lifecycle = &corev1.Lifecycle{}
			}
			c.Lifecycle.PreStop = &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: seconds}}
		}
	}
	return warnings
}

package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wsresilience/wsresilience/k8s"
	"github.com/wsresilience/wsresilience/k8s/cluster"
)

// A staleWorkload has pods whose sidecar is of another image than new ones get.
type staleWorkload struct {
	namespace, name, image string
	pods                   int
}

// listOld prints the workloads whose pods have an old sidecar. The exit code is 1 if
// there are some.
func listOld(ctx context.Context, c *cluster.Client, image string, stdout, stderr io.Writer) int {
	pods, err := c.Pods(ctx)
	if err == nil && image == "" {
		image, err = currentImage(pods)
	}
	if err != nil {
		fmt.Fprintf(stderr, "wsresilience-injector: check: %v\n", err)
		return exitFailed
	}
	old, current := oldSidecars(pods, image)
	fmt.Fprintf(stdout, "%d pods have the sidecar of %s\n", current, image)
	if len(old) == 0 {
		return exitOK
	}
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAMESPACE\tWORKLOAD\tPODS\tSIDECAR")
	for _, w := range old {
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\n", w.namespace, w.name, w.pods, w.image)
	}
	_ = table.Flush()
	fmt.Fprintln(stdout, "They keep it until they are made anew: kubectl rollout restart -n NAMESPACE WORKLOAD")
	return exitFailed
}

// currentImage is that of the injectors, which sidecars have too.
func currentImage(pods []corev1.Pod) (string, error) {
	var images []string
	for i := range pods {
		p := &pods[i]
		if p.Labels["app.kubernetes.io/name"] != "wsresilience" || p.Labels["app.kubernetes.io/component"] != "injector" || p.DeletionTimestamp != nil {
			continue
		}
		for _, c := range p.Spec.Containers {
			if c.Name == "injector" && !slices.Contains(images, c.Image) {
				images = append(images, c.Image)
			}
		}
	}
	switch len(images) {
	case 0:
		return "", fmt.Errorf("no injector runs in this cluster; give -image, that of the sidecars that are wanted")
	case 1:
		return images[0], nil
	}
	return "", fmt.Errorf("injectors of %s run, as while an upgrade is under way; give -image, or wait", strings.Join(images, " and "))
}

// oldSidecars groups the pods whose sidecar or agent has another image, and counts
// those that have this one.
func oldSidecars(pods []corev1.Pod, image string) (old []staleWorkload, current int) {
	for i := range pods {
		p := &pods[i]
		at := slices.IndexFunc(slices.Concat(p.Spec.InitContainers, p.Spec.Containers), func(c corev1.Container) bool {
			return c.Name == k8s.SidecarContainer || c.Name == k8s.AgentContainer
		})
		if at < 0 || p.Annotations[k8s.AnnotationStatus] == "" || p.DeletionTimestamp != nil || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
			continue
		}
		has := slices.Concat(p.Spec.InitContainers, p.Spec.Containers)[at].Image
		if has == image {
			current++
			continue
		}
		name := workloadOf(p)
		same := func(w staleWorkload) bool { return w.namespace == p.Namespace && w.name == name && w.image == has }
		if k := slices.IndexFunc(old, same); k >= 0 {
			old[k].pods++
			continue
		}
		old = append(old, staleWorkload{p.Namespace, name, has, 1})
	}
	slices.SortFunc(old, func(a, b staleWorkload) int {
		return cmp.Or(strings.Compare(a.namespace, b.namespace), strings.Compare(a.name, b.name), strings.Compare(a.image, b.image))
	})
	return old, current
}

// workloadOf names what made a pod, as kubectl takes it: of a ReplicaSet whose name
// ends in the hash of a template, its Deployment.
func workloadOf(p *corev1.Pod) string {
	owner := metav1.GetControllerOf(p)
	if owner == nil {
		return "pod/" + p.Name
	}
	hash := p.Labels["pod-template-hash"]
	if name, ok := strings.CutSuffix(owner.Name, "-"+hash); ok && hash != "" && owner.Kind == "ReplicaSet" {
		return "deployment/" + name
	}
	return strings.ToLower(owner.Kind) + "/" + owner.Name
}

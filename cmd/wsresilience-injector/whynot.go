package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/wsresilience/wsresilience/k8s"
	"github.com/wsresilience/wsresilience/k8s/cluster"
)

// webhookSuffix is what the names of our webhooks end in (charts/wsresilience).
const webhookSuffix = ".inject.wsresilience.io"

// someImage stands for that of the sidecar, which decides nothing.
const someImage = "wsresilience-sidecar"

// A podCase is what is known of a pod and of the cluster around it.
type podCase struct {
	pod       *corev1.Pod
	namespace *corev1.Namespace
	services  []corev1.Service
	webhooks  []admissionregistrationv1.MutatingWebhookConfiguration
	copied    *corev1.Pod // what a copy of the pod would become now; nil: tryErr
	tryErr    error
}

// whyNot asks the API server about one pod, and prints what keeps the sidecar out
// of it. The exit code is 0 for a pod that has it, and that clients reach by it.
func whyNot(ctx context.Context, c *cluster.Client, of string, stdout, stderr io.Writer) int {
	namespace, name, ok := strings.Cut(of, "/")
	if !ok || namespace == "" || name == "" {
		fmt.Fprintf(stderr, "wsresilience-injector: check: -pod %q: allowed is NAMESPACE/NAME\n", of)
		return exitUsage
	}
	k, err := readCase(ctx, c, namespace, name)
	if err != nil {
		fmt.Fprintf(stderr, "wsresilience-injector: check: %v\n", err)
		return exitFailed
	}
	has, lines := k.explain()
	for _, l := range lines {
		fmt.Fprintln(stdout, l)
	}
	if !has || len(lines) > 1 {
		return exitFailed
	}
	return exitOK
}

// readCase gathers the facts.
func readCase(ctx context.Context, c *cluster.Client, namespace, name string) (k podCase, err error) {
	if k.pod, err = c.Pod(ctx, namespace, name); err != nil {
		return k, err
	}
	if k.namespace, err = c.Namespace(ctx, namespace, true); err != nil {
		return k, err
	}
	var errs []error
	k.services, err = c.Services(ctx, namespace)
	errs = append(errs, err)
	k.webhooks, err = c.Webhooks(ctx)
	errs = append(errs, err)
	if err := errors.Join(errs...); err != nil {
		return k, err
	}
	k.copied, k.tryErr = c.TryPod(ctx, copyOf(k.pod))
	return k, nil
}

// copyOf is pod as its author would create it again: what the cluster has written
// into it is left out.
func copyOf(pod *corev1.Pod) *corev1.Pod {
	p := pod.DeepCopy()
	p.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
	p.ObjectMeta = metav1.ObjectMeta{GenerateName: "wsresilience-check-", Namespace: pod.Namespace, Labels: pod.Labels, Annotations: pod.Annotations}
	p.Spec.NodeName = ""
	p.Status = corev1.PodStatus{}
	return p
}

// explain says whether the pod has the sidecar, and in the first line that or why
// not; the others are about it.
func (k *podCase) explain() (has bool, lines []string) {
	name := k.pod.Namespace + "/" + k.pod.Name
	if injected(k.pod) {
		return true, append([]string{name + " has the sidecar."}, k8s.Bypassing(k.pod, k.services)...)
	}
	say := func(format string, args ...any) (bool, []string) {
		return false, []string{name + " has no sidecar: " + fmt.Sprintf(format, args...)}
	}
	ours := k.ours()
	switch why := k.unselected(ours); {
	case len(ours) == 0:
		return say("no injector is installed in this cluster, as no MutatingWebhookConfiguration has a webhook *%s. helm install charts/wsresilience.", webhookSuffix)
	case why != "":
		return say("%s", why)
	case slices.ContainsFunc(ours, func(w admissionregistrationv1.MutatingWebhook) bool { return len(w.ClientConfig.CABundle) == 0 }):
		return say("the webhook has no CA bundle yet, and the API server cannot call it. The injector, or cert-manager, writes it: kubectl logs -n wsresilience deployment/wsresilience-injector.")
	}
	_, report, err := k8s.Inject(copyOf(k.pod), k.namespace.Annotations, k8s.Settings{Image: someImage})
	switch {
	case err != nil:
		return say("%v.", err)
	case report.Outcome != k8s.Injected:
		return say("%s (%s)", report.Message, report.Reason)
	case k.tryErr != nil:
		return say("a copy of it would be refused now: %v.", k.tryErr)
	case injected(k.copied):
		return say("it was created before the injector or the label was there, or while the injector was away: a copy of it would have one now. kubectl rollout restart.")
	}
	return say("a copy of it would have none now either, and labels and webhooks are right: the API server does not reach the injector, and failurePolicy is Ignore (NetworkPolicy, a firewall towards port 8443, its Service). kubectl get events, kubectl logs -n wsresilience deployment/wsresilience-injector.")
}

// ours are the injector's webhooks.
func (k *podCase) ours() (list []admissionregistrationv1.MutatingWebhook) {
	for _, c := range k.webhooks {
		for _, w := range c.Webhooks {
			if strings.HasSuffix(w.Name, webhookSuffix) {
				list = append(list, w)
			}
		}
	}
	return list
}

// unselected says why none of the webhooks is for the pod; empty: one is.
func (k *podCase) unselected(ours []admissionregistrationv1.MutatingWebhook) string {
	excluded := false
	for _, w := range ours {
		namespace, object := matches(w.NamespaceSelector, k.namespace.Labels), matches(w.ObjectSelector, k.pod.Labels)
		if namespace && object {
			return ""
		}
		// The pod asks, or its namespace does, and the webhook that is for such
		// ones is not for this namespace all the same.
		excluded = excluded || object && !namespace && k.asks()
	}
	label, of := k8s.LabelInject, k.namespace.Name
	switch {
	case k.pod.Labels[label] == k8s.Disabled:
		return fmt.Sprintf("its label %s is %s.", label, k8s.Disabled)
	case excluded:
		return fmt.Sprintf("the namespace %s is one in which the injector never acts (its own, and injector.excludedNamespaces of the chart).", of)
	case k.namespace.Labels[label] == k8s.Pods:
		return fmt.Sprintf("the namespace leaves it to the pods (%s=%s), and this one has no label %s=%s.", label, k8s.Pods, label, k8s.Enabled)
	case k.namespace.Labels[label] != "" && k.namespace.Labels[label] != k8s.Enabled:
		return fmt.Sprintf("the label %s of the namespace is %q; allowed are %s and %s.", label, k.namespace.Labels[label], k8s.Enabled, k8s.Pods)
	}
	return fmt.Sprintf("nobody asks for it. kubectl label namespace %s %s=%s, and create the pod anew.", of, label, k8s.Enabled)
}

// asks reports whether pod or namespace ask for the sidecar.
func (k *podCase) asks() bool {
	return k.pod.Labels[k8s.LabelInject] == k8s.Enabled || k.namespace.Labels[k8s.LabelInject] == k8s.Enabled
}

// matches reports whether a selector, nil for all, selects labels.
func matches(s *metav1.LabelSelector, of map[string]string) bool {
	if s == nil {
		return true
	}
	selector, err := metav1.LabelSelectorAsSelector(s)
	return err == nil && selector.Matches(labels.Set(of))
}

// injected reports whether a pod has the sidecar.
func injected(pod *corev1.Pod) bool {
	return slices.ContainsFunc(slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers), func(c corev1.Container) bool { return c.Name == k8s.SidecarContainer })
}

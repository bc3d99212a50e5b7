package admission

import (
	"context"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/wsresilience/wsresilience/k8s"
)

// selected looks up the pod's namespace, and returns warnings if the pod is to
// have the sidecar there; otherwise the answer. What a review says is not
// enough: unless its caller is authenticated, anybody who reaches the port can
// name any namespace, and the Secret with keys would be made there. A namespace's
// label is set by those who may change the namespace.
func (v *review) selected(ctx context.Context) (texts []string, answer *admissionv1.AdmissionResponse) {
	label := v.pod.Labels[k8s.LabelInject]
	if label == k8s.Disabled {
		return nil, v.skip("Disabled")
	}
	namespace, err := v.lookUp(ctx)
	switch {
	case apierrors.IsNotFound(err):
		return nil, v.deny(http.StatusForbidden, reasonNoNamespace, "there is no namespace "+v.request.Namespace)
	case err != nil:
		v.clusterFailed("namespace", err)
		if !v.Cluster.Usable(v.request.Namespace) {
			return nil, v.deny(http.StatusServiceUnavailable, reasonNoNamespace,
				"the namespace could not be looked up in time; the pod can be created when the API server answers")
		}
		// It was looked up before, when its Secret was made.
		return []string{"wsresilience: the annotations of the namespace could not be read in time; only the pod's own were used"}, nil
	case namespace.DeletionTimestamp != nil || namespace.Status.Phase == corev1.NamespaceTerminating:
		return nil, v.deny(http.StatusForbidden, reasonTerminating, "the namespace "+v.request.Namespace+" is being deleted")
	case label != k8s.Enabled && !labelled(namespace, k8s.Enabled):
		return nil, v.skip(reasonNotSelected)
	case v.authenticated || labelled(namespace, k8s.Enabled, k8s.Pods):
		v.namespace = namespace
		return nil, nil
	}
	const why = "the namespace does not allow the sidecar; label it " + k8s.LabelInject + "=" + k8s.Pods + " (pods that ask for it) or =" + k8s.Enabled + " (all pods), or take the label off the pod"
	if v.dryRun() {
		// Nothing is made, and helm test sees that injection works.
		v.namespace = namespace
		return []string{"wsresilience: other than in a dry run: " + why}, nil
	}
	return nil, v.deny(http.StatusForbidden, reasonUnlabelled, why)
}

// lookUp returns the pod's namespace. Where what the API server has in its cache would
// refuse the pod it is asked for what is so now: a label may just have been set.
func (v *review) lookUp(ctx context.Context) (*corev1.Namespace, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	namespace, err := v.Cluster.Namespace(ctx, v.request.Namespace, false)
	if apierrors.IsNotFound(err) || err == nil && !labelled(namespace, k8s.Enabled, k8s.Pods) {
		return v.Cluster.Namespace(ctx, v.request.Namespace, true)
	}
	return namespace, err
}

// labelled reports whether the namespace's label has one of the values.
func labelled(namespace *corev1.Namespace, values ...string) bool {
	for _, value := range values {
		if namespace.Labels[k8s.LabelInject] == value {
			return true
		}
	}
	return false
}

package k8s

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Prefixes of the keys of resources in Settings and in podRequest.sources.
const (
	requests = "resources.requests."
	limits   = "resources.limits."
)

// DefaultResources of the sidecar. They do not limit CPU: every client would
// feel it at once when the sidecar is throttled.
func DefaultResources() corev1.ResourceRequirements {
	return corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("50m"), corev1.ResourceMemory: resource.MustParse("64Mi")},
		Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("512Mi")},
	}
}

// maxQuantity is longer than any real quantity, in bytes.
const maxQuantity = 32

// setQuantity takes one of the sidecar's resources. name is the annotation.
func (r *podRequest) setQuantity(name, value, kind string, of corev1.ResourceName) {
	list := &r.resources.Requests
	if kind == limits {
		list = &r.resources.Limits
	}
	r.sources[kind+string(of)] = name
	if len(value) <= maxQuantity {
		if q, err := resource.ParseQuantity(value); err == nil && q.Sign() > 0 {
			if *list == nil {
				*list = corev1.ResourceList{}
			}
			(*list)[of] = q
			return
		}
	}
	r.fail(name, value, "a quantity of Kubernetes above 0, such as 100m for processors or 256Mi for memory")
}

// sourceOf is the name under which a resource was set.
func (r *podRequest) sourceOf(kind string, of corev1.ResourceName) string {
	if name := r.sources[kind+string(of)]; name != "" {
		return name
	}
	return kind + string(of)
}

// checkResources finds what the API server would refuse with an error that
// names our container only, and so not what to change.
func (r *podRequest) checkResources() {
	for _, of := range slices.Sorted(maps.Keys(r.resources.Limits)) {
		r.checkQuantity(limits, of, r.resources.Limits[of])
	}
	for _, of := range slices.Sorted(maps.Keys(r.resources.Requests)) {
		request := r.resources.Requests[of]
		r.checkQuantity(requests, of, request)
		if limit, limited := r.resources.Limits[of]; limited && request.Cmp(limit) > 0 {
			r.fail(r.sourceOf(requests, of), request.String(), "up to the limit, "+limit.String())
		}
	}
}

// checkQuantity checks what did not come through setQuantity. A limit of 0
// would leave the sidecar nothing.
func (r *podRequest) checkQuantity(kind string, of corev1.ResourceName, q resource.Quantity) {
	switch {
	case of != corev1.ResourceCPU && of != corev1.ResourceMemory && of != corev1.ResourceEphemeralStorage:
		r.fail(kind+string(of), q.String(), "cpu, memory and ephemeral-storage as the name of a resource")
	case q.Sign() < 0, q.Sign() == 0 && kind == limits:
		r.fail(r.sourceOf(kind, of), q.String(), "a quantity above 0")
	}
}

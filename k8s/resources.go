package k8s

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Where resources stand in Settings, and the names of their sources in a wish.
const (
	requests = "resources.requests."
	limits   = "resources.limits."
)

// DefaultResources of the sidecar. There is no limit of processor time: being
// held back is felt by every client at once.
func DefaultResources() corev1.ResourceRequirements {
	return corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("50m"), corev1.ResourceMemory: resource.MustParse("64Mi")},
		Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("512Mi")},
	}
}

// maxQuantity is longer than any quantity that is meant.
const maxQuantity = 32

// quantity takes one of the sidecar's resources. name is what its author wrote.
func (w *wish) quantity(name, value, kind string, of corev1.ResourceName) {
	list := &w.resources.Requests
	if kind == limits {
		list = &w.resources.Limits
	}
	w.sources[kind+string(of)] = name
	if len(value) <= maxQuantity {
		if q, err := resource.ParseQuantity(value); err == nil && q.Sign() > 0 {
			if *list == nil {
				*list = corev1.ResourceList{}
			}
			(*list)[of] = q
			return
		}
	}
	w.fail(name, value, "a quantity of Kubernetes above 0, such as 100m for processors or 256Mi for memory")
}

// source is who set one of the resources.
func (w *wish) source(kind string, of corev1.ResourceName) string {
	if name := w.sources[kind+string(of)]; name != "" {
		return name
	}
	return kind + string(of)
}

// judgeResources notes what the API server would refuse with an error that
// names our container only.
func (w *wish) judgeResources() {
	for _, of := range slices.Sorted(maps.Keys(w.resources.Limits)) {
		w.judgeQuantity(limits, of, w.resources.Limits[of])
	}
	for _, of := range slices.Sorted(maps.Keys(w.resources.Requests)) {
		request := w.resources.Requests[of]
		w.judgeQuantity(requests, of, request)
		if limit, limited := w.resources.Limits[of]; limited && request.Cmp(limit) > 0 {
			w.fail(w.source(requests, of), request.String(), "up to the limit, "+limit.String())
		}
	}
}

// judgeQuantity judges what did not come through quantity. A limit of 0 would
// leave the sidecar nothing.
func (w *wish) judgeQuantity(kind string, of corev1.ResourceName, q resource.Quantity) {
	switch {
	case of != corev1.ResourceCPU && of != corev1.ResourceMemory && of != corev1.ResourceEphemeralStorage:
		w.fail(kind+string(of), q.String(), "cpu, memory and ephemeral-storage as the name of a resource")
	case q.Sign() < 0, q.Sign() == 0 && kind == limits:
		w.fail(w.source(kind, of), q.String(), "a quantity above 0")
	}
}

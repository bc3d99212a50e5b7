package manifest

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/json"

	"github.com/wsresilience/wsresilience/k8s"
)

// header is what all objects have.
type header struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   metav1.ObjectMeta `json:"metadata"`
}

// templatePath is where an object of that kind has the template of its pods, or
// the pod itself; ok is false for kinds that make no pods.
func templatePath(apiVersion, kind string) (path []string, ok bool) {
	group, _, grouped := strings.Cut(apiVersion, "/")
	switch {
	case apiVersion == "v1" && kind == "Pod":
		return nil, true
	case !grouped:
		return nil, false
	case group == "apps" && (kind == "Deployment" || kind == "StatefulSet" || kind == "DaemonSet" || kind == "ReplicaSet"),
		group == "batch" && kind == "Job":
		return []string{"spec", "template"}, true
	case group == "batch" && kind == "CronJob":
		return []string{"spec", "jobTemplate", "spec", "template"}, true
	}
	return nil, false
}

// items are the objects of a List; ok is false for anything else.
func items(object map[string]any) (list []map[string]any, ok bool) {
	if object["kind"] != "List" || object["apiVersion"] != "v1" {
		return nil, false
	}
	elements, _ := object["items"].([]any)
	for _, e := range elements {
		if item, ok := e.(map[string]any); ok {
			list = append(list, item)
		}
	}
	return list, true
}

// collect keeps the Services and namespaces, which may come before or after
// their pods.
func (r *rewriter) collect(object map[string]any) error {
	if list, ok := items(object); ok {
		for _, item := range list {
			if err := r.collect(item); err != nil {
				return err
			}
		}
		return nil
	}
	if object["apiVersion"] != "v1" {
		return nil
	}
	switch object["kind"] {
	case "Service":
		var service corev1.Service
		if err := convert(object, &service); err != nil {
			return err
		}
		r.services[service.Namespace] = append(r.services[service.Namespace], service)
	case "Namespace":
		var h header
		if err := convert(object, &h); err != nil {
			return err
		}
		r.namespaces[h.Metadata.Name] = h.Metadata
	}
	return nil
}

// object changes the pod in object, if there is one, and reports whether it did.
func (r *rewriter) object(object map[string]any) (bool, error) {
	if list, ok := items(object); ok {
		changed := false
		for _, item := range list {
			c, err := r.object(item)
			if err != nil {
				return false, err
			}
			changed = changed || c
		}
		return changed, nil
	}
	apiVersion, _ := object["apiVersion"].(string)
	kind, _ := object["kind"].(string)
	path, ok := templatePath(apiVersion, kind)
	if !ok {
		return false, nil
	}
	var h header
	if err := convert(map[string]any{"kind": kind, "metadata": object["metadata"]}, &h); err != nil {
		return false, err
	}
	name := kind + "/" + h.Metadata.Name
	template := object
	for _, step := range path {
		if template, ok = template[step].(map[string]any); !ok {
			return false, fmt.Errorf("%s has no %s", name, strings.Join(path, "."))
		}
	}
	changed, err := r.template(name, h.Metadata.Namespace, template)
	if err != nil {
		return false, fmt.Errorf("%s: %w", name, err)
	}
	return changed, nil
}

// template changes a pod, or the template of one, in place. Fields that this
// program does not know, as those of a newer Kubernetes, stay.
func (r *rewriter) template(name, namespace string, template map[string]any) (bool, error) {
	var pod corev1.Pod
	if err := convert(template, &pod); err != nil {
		return false, err
	}
	after, err := r.change(r, name, namespace, &pod)
	if err != nil {
		return false, err
	}
	operations, err := k8s.Patch(&pod, after)
	if err != nil {
		return false, err
	}
	for _, o := range operations {
		if err := apply(template, o); err != nil {
			return false, err
		}
	}
	if metadata, ok := template["metadata"].(map[string]any); ok && len(metadata) == 0 && len(operations) > 0 {
		delete(template, "metadata") // Inject makes it where there was none
	}
	return len(operations) > 0, nil
}

// convert minds the case of field names, as an API server does.
func convert(object map[string]any, into any) error {
	text, err := json.Marshal(object)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

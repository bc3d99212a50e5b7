package k8s_test

import (
	"bytes"
	"encoding/json"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// strictly decodes a stream as its kinds, without a field that they do not
// have, and returns the pods and templates in it.
func strictly(t *testing.T, stream []byte) []*corev1.Pod {
	t.Helper()
	var pods []*corev1.Pod
	for _, document := range bytes.Split(stream, []byte("\n---\n")) {
		text, err := yaml.YAMLToJSONStrict(document)
		if err != nil {
			t.Fatal(err)
		}
		pods = append(pods, strictObject(t, text)...)
	}
	return pods
}

func strictObject(t *testing.T, text []byte) []*corev1.Pod {
	t.Helper()
	var kind metav1.TypeMeta
	if err := json.Unmarshal(text, &kind); err != nil {
		t.Fatal(err)
	}
	into := func(object any) {
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(object); err != nil {
			t.Errorf("%s: %v", kind.Kind, err)
		}
	}
	var template corev1.PodTemplateSpec
	switch kind.APIVersion + " " + kind.Kind {
	case "v1 Pod":
		var o corev1.Pod
		into(&o)
		return []*corev1.Pod{&o}
	case "v1 List":
		var o struct {
			metav1.TypeMeta
			Items []json.RawMessage `json:"items"`
		}
		into(&o)
		var pods []*corev1.Pod
		for _, item := range o.Items {
			pods = append(pods, strictObject(t, item)...)
		}
		return pods
	case "v1 Service":
		into(&corev1.Service{})
		return nil
	case "v1 Namespace":
		into(&corev1.Namespace{})
		return nil
	case "v1 ConfigMap":
		into(&corev1.ConfigMap{})
		return nil
	case "apps/v1 Deployment":
		var o appsv1.Deployment
		into(&o)
		template = o.Spec.Template
	case "apps/v1 StatefulSet":
		var o appsv1.StatefulSet
		into(&o)
		template = o.Spec.Template
	case "apps/v1 DaemonSet":
		var o appsv1.DaemonSet
		into(&o)
		template = o.Spec.Template
	case "apps/v1 ReplicaSet":
		var o appsv1.ReplicaSet
		into(&o)
		template = o.Spec.Template
	case "batch/v1 Job":
		var o batchv1.Job
		into(&o)
		template = o.Spec.Template
	case "batch/v1 CronJob":
		var o batchv1.CronJob
		into(&o)
		template = o.Spec.JobTemplate.Spec.Template
	default:
		t.Fatalf("%s %s is not known here", kind.APIVersion, kind.Kind)
	}
	return []*corev1.Pod{{ObjectMeta: template.ObjectMeta, Spec: template.Spec}}
}

package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/wsresilience/wsresilience/k8s"
)

// MaxStream bounds a stream, in bytes: a hundred times what large charts make.
const MaxStream = 32 << 20

// A Result is what became of one object that makes pods.
type Result struct {
	Object string // kind/name
	Report k8s.Report
}

// Inject returns stream with the sidecar in everything that makes pods and
// does not forbid it. Namespaces in the stream count as in a cluster: their
// annotations are defaults for their pods, and their label may forbid the sidecar
// unless the pod's asks for it. A changed document loses its comments.
func Inject(stream []byte, s k8s.Settings) ([]byte, []Result, error) {
	return rewrite(stream, func(r *rewriter, object string, namespace string, pod *corev1.Pod) (*corev1.Pod, error) {
		meta := r.namespaces[namespace]
		label := meta.Labels[k8s.LabelInject]
		if (label == k8s.Disabled || label == k8s.Pods) && pod.Labels[k8s.LabelInject] != k8s.Enabled {
			r.results = append(r.results, Result{Object: object, Report: k8s.Report{
				Outcome: k8s.Skipped, Reason: "Disabled",
				Message: "The label " + k8s.LabelInject + " of the namespace " + namespace + " is " + label + ".",
			}})
			return pod, nil
		}
		out, report, err := k8s.Inject(pod, meta.Annotations, s)
		if err == nil && report.Outcome == k8s.Injected {
			report.Warnings = append(report.Warnings, k8s.Bypassing(out, r.services[namespace])...)
		}
		r.results = append(r.results, Result{Object: object, Report: report})
		return out, err
	})
}

// Uninject returns stream as it was before Inject. There are results only for
// objects that had the sidecar.
func Uninject(stream []byte) ([]byte, []Result, error) {
	return rewrite(stream, func(r *rewriter, object string, _ string, pod *corev1.Pod) (*corev1.Pod, error) {
		out, had, err := k8s.Uninject(pod)
		if had {
			r.results = append(r.results, Result{Object: object})
		}
		return out, err
	})
}

// change returns what becomes of a pod, or the same one if nothing does.
type change func(r *rewriter, object, namespace string, pod *corev1.Pod) (*corev1.Pod, error)

type rewriter struct {
	change     change
	services   map[string][]corev1.Service // by namespace
	namespaces map[string]metav1.ObjectMeta
	results    []Result
}

func rewrite(stream []byte, how change) ([]byte, []Result, error) {
	if len(stream) > MaxStream {
		return nil, nil, fmt.Errorf("manifest: the stream is longer than %d bytes; give it in parts", MaxStream)
	}
	r := &rewriter{change: how, services: map[string][]corev1.Service{}, namespaces: map[string]metav1.ObjectMeta{}}
	documents := split(stream)
	objects := make([]map[string]any, len(documents))
	for i, document := range documents {
		object, err := decode(document)
		if err == nil {
			err = r.collect(object)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("manifest: document %d: %w", i+1, err)
		}
		objects[i] = object
	}
	var out bytes.Buffer
	for i, document := range documents {
		changed, err := r.object(objects[i])
		if err == nil && changed {
			document, err = encode(document, objects[i])
		}
		if err != nil {
			return nil, nil, fmt.Errorf("manifest: document %d: %w", i+1, err)
		}
		out.Write(document)
	}
	return out.Bytes(), r.results, nil
}

// split cuts a stream before each line that starts a document. The parts
// together are the stream.
func split(stream []byte) [][]byte {
	var parts [][]byte
	start := 0
	for at := 0; at < len(stream); {
		end := len(stream)
		if i := bytes.IndexByte(stream[at:], '\n'); i >= 0 {
			end = at + i + 1
		}
		if at > start && marker(stream[at:end]) {
			parts, start = append(parts, stream[start:at]), at
		}
		at = end
	}
	return append(parts, stream[start:])
}

// marker reports whether a line starts a document (YAML 1.2, section 9.1.2).
func marker(line []byte) bool {
	rest, ok := bytes.CutPrefix(line, []byte("---"))
	return ok && (len(rest) == 0 || bytes.ContainsRune([]byte(" \t\r\n"), rune(rest[0])))
}

// decode returns nil for a document without an object, such as comments only.
func decode(document []byte) (map[string]any, error) {
	text, err := yaml.YAMLToJSONStrict(document)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber() // int64 is more than a float holds
	var v any
	if err := decoder.Decode(&v); err != nil {
		return nil, err
	}
	object, ok := v.(map[string]any)
	if !ok && v != nil {
		return nil, fmt.Errorf("is not a Kubernetes object but a %T", v)
	}
	return object, nil
}

// encode writes object, behind the marker of the document that it was.
func encode(document []byte, object map[string]any) ([]byte, error) {
	text, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	if text, err = yaml.JSONToYAML(text); err != nil {
		return nil, err
	}
	if marker(document[:min(len(document), 4)]) {
		text = append([]byte("---\n"), text...)
	}
	return text, nil
}

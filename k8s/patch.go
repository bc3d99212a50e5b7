package k8s

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Operation is one step of a JSON patch (RFC 6902).
type Operation struct {
	Op    string `json:"op"` // add, remove or replace
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// Patch returns the steps that make after of before. It touches only what
// differs, and finds an element of a list by its name, as the API server does:
// an element that is put in front of others leaves them, with all fields that
// this program does not know, as they are. General libraries for JSON patches
// (gomodules.xyz/jsonpatch, wI2L/jsondiff) go by the index instead. They would
// turn the first init container into the sidecar, field by field, and leave it
// the fields of a newer Kubernetes that belong to the container behind it.
func Patch(before, after *corev1.Pod) ([]Operation, error) {
	from, err := tree(before)
	if err != nil {
		return nil, err
	}
	to, err := tree(after)
	if err != nil {
		return nil, err
	}
	var d differ
	d.value("", from, to)
	return d.operations, nil
}

// tree is pod as decoded JSON. It is not written as text first: a pod may have
// a megabyte, almost all of which stays as it is.
func tree(pod *corev1.Pod) (map[string]any, error) {
	return runtime.DefaultUnstructuredConverter.ToUnstructured(pod)
}

type differ struct{ operations []Operation }

func (d *differ) add(op, path string, value any) {
	d.operations = append(d.operations, Operation{Op: op, Path: path, Value: value})
}

func (d *differ) value(path string, from, to any) {
	if reflect.DeepEqual(from, to) {
		return
	}
	fromObject, toObject := isObject(from), isObject(to)
	fromList, ok1 := from.([]any)
	toList, ok2 := to.([]any)
	switch {
	case fromObject && toObject:
		d.object(path, from.(map[string]any), to.(map[string]any))
	case ok1 && ok2:
		d.list(path, fromList, toList)
	default:
		d.add("replace", path, to)
	}
}

func isObject(v any) bool { _, ok := v.(map[string]any); return ok }

// pointer escapes one step of a path (RFC 6901, section 3).
func pointer(step string) string { return pointerEscapes.Replace(step) }

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

func (d *differ) object(path string, from, to map[string]any) {
	for _, key := range slices.Sorted(maps.Keys(from)) {
		at := path + "/" + pointer(key)
		if value, ok := to[key]; ok {
			d.value(at, from[key], value)
		} else {
			d.add("remove", at, nil)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(to)) {
		if _, ok := from[key]; !ok {
			d.add("add", path+"/"+pointer(key), to[key])
		}
	}
}

// list removes elements from the back and adds others from the front, so that
// each index is right at the time of its step.
func (d *differ) list(path string, from, to []any) {
	from = slices.Clone(from)
	at := func(i int) string { return path + "/" + strconv.Itoa(i) }
	for i := len(from) - 1; i >= 0; i-- {
		if !slices.ContainsFunc(to, func(v any) bool { return same(from[i], v) }) {
			d.add("remove", at(i), nil)
			from = slices.Delete(from, i, i+1)
		}
	}
	for j, value := range to {
		switch {
		case j < len(from) && same(from[j], value):
			d.value(at(j), from[j], value)
		default:
			d.add("add", at(j), value)
			from = slices.Insert(from, j, value)
		}
	}
	for i := len(from) - 1; i >= len(to); i-- {
		d.add("remove", at(i), nil)
	}
}

// same reports whether two elements are the same one, which may have changed:
// by their names if they have any.
func same(a, b any) bool {
	x, ok1 := a.(map[string]any)
	y, ok2 := b.(map[string]any)
	if ok1 && ok2 && (x["name"] != nil || y["name"] != nil) {
		return x["name"] == y["name"]
	}
	return reflect.DeepEqual(a, b)
}

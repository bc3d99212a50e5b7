package manifest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/wsresilience/wsresilience/k8s"
)

// apply does one step of a patch on root, in place (RFC 6902, section 4).
func apply(root map[string]any, o k8s.Operation) error {
	steps := strings.Split(strings.TrimPrefix(o.Path, "/"), "/")
	for i, step := range steps {
		steps[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
	}
	if _, err := edit(root, steps, o); err != nil {
		return fmt.Errorf("%s %s: %w", o.Op, o.Path, err)
	}
	return nil
}

// edit returns what value becomes by o, whose path is steps from there.
func edit(value any, steps []string, o k8s.Operation) (any, error) {
	switch v := value.(type) {
	case map[string]any:
		return v, editObject(v, steps, o)
	case []any:
		return editList(v, steps, o)
	}
	return value, fmt.Errorf("there is nothing at %q", steps[0])
}

func editObject(object map[string]any, steps []string, o k8s.Operation) (err error) {
	step := steps[0]
	switch {
	case len(steps) > 1:
		if object[step] == nil && o.Op == "add" {
			object[step] = map[string]any{} // such as metadata, which the typed form always has
		}
		object[step], err = edit(object[step], steps[1:], o)
	case o.Op == "remove":
		delete(object, step)
	default:
		object[step] = o.Value
	}
	return err
}

func editList(list []any, steps []string, o k8s.Operation) ([]any, error) {
	last := len(steps) == 1
	i, err := strconv.Atoi(steps[0])
	if err != nil || i < 0 || i > len(list) || i == len(list) && (!last || o.Op != "add") {
		return list, fmt.Errorf("there is no element %q", steps[0])
	}
	switch {
	case !last:
		list[i], err = edit(list[i], steps[1:], o)
	case o.Op == "remove":
		list = slices.Delete(list, i, i+1)
	case o.Op == "add":
		list = slices.Insert(list, i, o.Value)
	default:
		list[i] = o.Value
	}
	return list, err
}

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

// edit returns what stands in the place of value after o, whose path is steps
// from there.
func edit(value any, steps []string, o k8s.Operation) (any, error) {
	step, last := steps[0], len(steps) == 1
	switch v := value.(type) {
	case map[string]any:
		switch {
		case !last:
			if v[step] == nil && o.Op == "add" {
				v[step] = map[string]any{} // such as metadata, which the typed form always has
			}
			inner, err := edit(v[step], steps[1:], o)
			v[step] = inner
			return v, err
		case o.Op == "remove":
			delete(v, step)
		default:
			v[step] = o.Value
		}
		return v, nil
	case []any:
		i, err := strconv.Atoi(step)
		if err != nil || i < 0 || i > len(v) || i == len(v) && (!last || o.Op != "add") {
			return value, fmt.Errorf("there is no element %q", step)
		}
		switch {
		case !last:
			v[i], err = edit(v[i], steps[1:], o)
			return v, err
		case o.Op == "remove":
			return slices.Delete(v, i, i+1), nil
		case o.Op == "add":
			return slices.Insert(v, i, o.Value), nil
		}
		v[i] = o.Value
		return v, nil
	}
	return value, fmt.Errorf("there is nothing at %q", step)
}

package main

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// tree is value as JSON has it.
func tree(t *testing.T, value any) any {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// applyPatch is what an API server makes of pod (RFC 6902): it is written anew
// here, so that the patch is judged by other code than made it. What a step
// names has to be there.
func applyPatch(t *testing.T, pod any, patch []byte) any {
	t.Helper()
	var steps []struct {
		Op, Path string
		Value    any
	}
	if err := json.Unmarshal(patch, &steps); err != nil || len(steps) == 0 {
		t.Fatalf("%s: %v", patch, err)
	}
	for _, step := range steps {
		path := strings.Split(step.Path, "/")[1:]
		for i := range path {
			path[i] = strings.ReplaceAll(strings.ReplaceAll(path[i], "~1", "/"), "~0", "~")
		}
		pod = patchedAt(t, pod, path, step.Op, step.Value)
	}
	return pod
}

func patchedAt(t *testing.T, at any, path []string, op string, value any) any {
	t.Helper()
	key, last := path[0], len(path) == 1
	switch v := at.(type) {
	case map[string]any:
		old, there := v[key]
		switch {
		case !last && there:
			v[key] = patchedAt(t, old, path[1:], op, value)
		case last && op == "add", last && op == "replace" && there:
			v[key] = value
		case last && op == "remove" && there:
			delete(v, key)
		default:
			t.Fatalf("%s at %q: it is not there", op, key)
		}
		return v
	case []any:
		i, err := strconv.Atoi(key)
		if err != nil || i < 0 || i > len(v) || i == len(v) && (!last || op != "add") {
			t.Fatalf("%s at %q of %d", op, key, len(v))
		}
		switch {
		case !last:
			v[i] = patchedAt(t, v[i], path[1:], op, value)
		case op == "add":
			v = slices.Insert(v, i, value)
		case op == "replace":
			v[i] = value
		case op == "remove":
			v = slices.Delete(v, i, i+1)
		}
		return v
	}
	t.Fatalf("%s at %q of %v", op, key, at)
	return nil
}

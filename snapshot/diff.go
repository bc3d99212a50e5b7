package snapshot

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// An operation is one of RFC 6902 §4.
type operation struct {
	Op    string          `json:"op"`
	Path  string          `json:"path"`
	Value json.RawMessage `json:"value,omitempty"`
}

// operations is a patch that grows.
type operations []operation

func (o *operations) test(path string, v any) { *o = append(*o, operation{"test", path, marshal(v)}) }
func (o *operations) add(path string, v any)  { *o = append(*o, operation{"add", path, marshal(v)}) }
func (o *operations) replace(path string, v any) {
	*o = append(*o, operation{"replace", path, marshal(v)})
}
func (o *operations) remove(path string) { *o = append(*o, operation{Op: "remove", Path: path}) }

// diff adds what makes to of from, both JSON, at a path. It goes into objects,
// and into lists that begin and end alike; it looks for nothing that has moved.
func (o *operations) diff(path string, from, to json.RawMessage) {
	switch {
	case bytes.Equal(from, to):
	case from[0] == '{' && to[0] == '{' && o.objects(path, from, to):
	case from[0] == '[' && to[0] == '[' && o.lists(path, from, to):
	default:
		o.replace(path, to)
	}
}

// objects does what diff does for two objects, and reports whether it could.
func (o *operations) objects(path string, from, to json.RawMessage) bool {
	before, olds := members(from)
	after, news := members(to)
	if olds == nil || news == nil {
		return false
	}
	for _, name := range before {
		if v, kept := news[name]; kept {
			o.diff(path+pointerTo(name), olds[name], v)
		} else {
			o.remove(path + pointerTo(name))
		}
	}
	for _, name := range after {
		if _, had := olds[name]; !had {
			o.add(path+pointerTo(name), news[name])
		}
	}
	return true
}

// lists does what diff does for two lists, and reports whether it could.
func (o *operations) lists(path string, from, to json.RawMessage) bool {
	var before, after []json.RawMessage
	if json.Unmarshal(from, &before) != nil || json.Unmarshal(to, &after) != nil {
		return false
	}
	first := 0
	for first < min(len(before), len(after)) && bytes.Equal(before[first], after[first]) {
		first++
	}
	same := 0 // at the end
	for same < min(len(before), len(after))-first && bytes.Equal(before[len(before)-1-same], after[len(after)-1-same]) {
		same++
	}
	before, after = before[first:len(before)-same], after[first:len(after)-same]
	both := min(len(before), len(after))
	for i := range both {
		o.diff(fmt.Sprintf("%s/%d", path, first+i), before[i], after[i])
	}
	for range before[both:] {
		o.remove(fmt.Sprintf("%s/%d", path, first+both))
	}
	for i, v := range after[both:] {
		o.add(fmt.Sprintf("%s/%d", path, first+both+i), v)
	}
	return true
}

// members returns the names of an object in their order, and its values; none if
// it cannot be read, or has a name twice.
func members(object json.RawMessage) (names []string, values map[string]json.RawMessage) {
	d := json.NewDecoder(bytes.NewReader(object))
	if _, err := d.Token(); err != nil {
		return nil, nil
	}
	values = map[string]json.RawMessage{}
	for d.More() {
		token, err := d.Token()
		name, ok := token.(string)
		_, twice := values[name]
		var value json.RawMessage
		if err != nil || !ok || twice || d.Decode(&value) != nil {
			return nil, nil
		}
		names, values[name] = append(names, name), value
	}
	return names, values
}

// pointerTo is a name as a step of an RFC 6901 pointer.
func pointerTo(name string) string {
	return "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

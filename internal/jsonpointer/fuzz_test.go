package jsonpointer

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"
)

// FuzzLookup: where the standard library understands the text, look-ups find
// what it finds, and elsewhere they end.
func FuzzLookup(f *testing.F) {
	f.Add(`{"a":{"b":[1,"x\"}",{"c":null}]}}`, "a", "b", "2")
	f.Add(` [ {"\u0061" : -1.5e3 } , [] ]`, "0", "a", "")
	f.Fuzz(func(t *testing.T, data, a, b, c string) {
		got, found := Lookup([]byte(data), a, b, c)
		if len(data) > MaxText || !utf8.ValidString(data) || !json.Valid([]byte(data)) {
			return
		}
		raw, ok := json.RawMessage(data), true
		for _, token := range []string{a, b, c} {
			if raw, ok = child(t, raw, token); !ok {
				break
			}
		}
		if ok != (found == Present) || ok && !bytes.Equal(bytes.TrimSpace(raw), got) {
			t.Errorf("Lookup(%s, %q, %q, %q) = %q, %d; want %q, %v", data, a, b, c, got, found, raw, ok)
		}
	})
}

// child is one step of a pointer, by the standard library.
func child(t *testing.T, raw json.RawMessage, token string) (json.RawMessage, bool) {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) == nil && list != nil {
		for i := range list {
			if n, _ := json.Marshal(i); string(n) == token {
				return list[i], true
			}
		}
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return nil, false
	}
	for d.More() {
		key, _ := d.Token()
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			t.Fatal(err)
		}
		if key == token {
			return value, true
		}
	}
	return nil, false
}

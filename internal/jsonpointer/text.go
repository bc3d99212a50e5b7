package jsonpointer

import (
	"bytes"
	"encoding/json"
)

// Equal reports whether a value, as it is written, is that string.
func Equal(raw []byte, s string) bool {
	if len(raw) < 2 || raw[0] != '"' {
		return false
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1:len(raw)-1]) == s
	}
	return Text(raw) == s
}

// Text returns a string's content, and any other value as it is written.
func Text(raw []byte) string {
	if len(raw) < 2 || raw[0] != '"' {
		return string(raw)
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1])
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return string(raw)
	}
	return s
}

// LookupText returns the text at a pointer; what is absent or null is empty.
func LookupText(data []byte, pointer ...string) string {
	raw, ok := Lookup(data, pointer...)
	if ok != Present || string(raw) == "null" {
		return ""
	}
	return Text(raw)
}

// Package jsonpointer finds values in JSON text by pointers (RFC 6901) without
// decoding it. It runs for every message of a session with a snapshot.
package jsonpointer

import "strings"

// Implementation limits.
const (
	// MaxText is how much of a text is looked at. A larger message does not fit
	// a snapshot anyway.
	MaxText = 64 << 10

	// MaxLength bounds a pointer in bytes, and MaxTokens its depth: every token
	// is one walk over a part of the text.
	MaxLength = 256
	MaxTokens = 16
)

// Parse reads a pointer (RFC 6901 section 3), and reports whether it is one
// within the limits.
func Parse(s string) ([]string, bool) {
	if s == "" {
		return nil, true
	}
	if len(s) > MaxLength || s[0] != '/' {
		return nil, false
	}
	tokens := strings.Split(s[1:], "/")
	for i, t := range tokens {
		if rest := strings.NewReplacer("~0", "", "~1", "").Replace(t); strings.Contains(rest, "~") {
			return nil, false
		}
		tokens[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(t)
	}
	return tokens, len(tokens) <= MaxTokens
}

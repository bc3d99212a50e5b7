// Package pathpattern is the little language in which settings name URL paths:
// /ws is that path only, /chat/ is everything below it, * is all.
package pathpattern

import (
	"errors"
	"strings"
)

// A Pattern covers paths.
type Pattern string

// Parse checks a pattern. Its errors follow the name of what was given.
func Parse(s string) (Pattern, error) {
	switch {
	case s == "*":
	case !strings.HasPrefix(s, "/"):
		return "", errors.New("does not start with / and is not *")
	case strings.ContainsAny(s, "*?#"):
		return "", errors.New("has a *, ? or #: /chat/ stands for all below it")
	}
	return Pattern(s), nil
}

// Match reports whether path, which is a request's decoded URL path, is
// covered.
func (p Pattern) Match(path string) bool {
	s := string(p)
	return s == "*" || s == path || strings.HasSuffix(s, "/") && strings.HasPrefix(path, s)
}

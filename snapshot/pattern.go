package snapshot

import (
	"fmt"
	"strings"
)

// A pattern covers paths, like those of WSR_RESILIENT_PATHS: /ws is that path
// only, /chat/ is everything below it, which may also be written /chat/*, and
// * is all.
type pattern string

// parsePattern checks a pattern and brings it to its short form.
func parsePattern(s string) (pattern, error) {
	p := strings.TrimSpace(s)
	if strings.HasSuffix(p, "/*") {
		p = strings.TrimSuffix(p, "*")
	}
	switch {
	case p == "*":
	case !strings.HasPrefix(p, "/"):
		return "", fmt.Errorf("path %q: does not start with / and is not *", s)
	case strings.ContainsAny(p, "*?#"):
		return "", fmt.Errorf("path %q: has a *, ? or #: /chat/ stands for all below it", s)
	}
	return pattern(p), nil
}

// match tells whether path, which is a request's decoded URL path, is covered.
func (p pattern) match(path string) bool {
	s := string(p)
	return s == "*" || s == path || strings.HasSuffix(s, "/") && strings.HasPrefix(path, s)
}

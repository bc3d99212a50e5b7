package config

import (
	"fmt"
	"strings"
)

// maxPatterns bounds the list, which every handshake walks.
const maxPatterns = 256

// Patterns is a comma-separated list of paths, of the kind that http.ServeMux
// knows: /ws is that path only, /chat/ is everything below it, * is all.
type Patterns []string

// UnmarshalText implements encoding.TextUnmarshaler.
func (ps *Patterns) UnmarshalText(text []byte) error {
	list := strings.Split(string(text), ",")
	if len(list) > maxPatterns {
		return fmt.Errorf("%d patterns, at most %d", len(list), maxPatterns)
	}
	for i, p := range list {
		p = strings.TrimSpace(p)
		list[i] = p
		switch {
		case p == "*":
		case !strings.HasPrefix(p, "/"):
			return fmt.Errorf("pattern %d does not start with /", i+1)
		case strings.ContainsAny(p, "*?#"):
			return fmt.Errorf("pattern %d has a *, ? or #: /chat/ stands for all below it", i+1)
		}
	}
	*ps = list
	return nil
}

// Allowed describes the text form.
func (Patterns) Allowed() string {
	return "comma-separated: /ws is that path only, /chat/ is all below it, * is all"
}

// String returns the text form.
func (ps Patterns) String() string { return strings.Join(ps, ",") }

// Match tells whether path, which is a request's decoded URL path, is
// covered.
func (ps Patterns) Match(path string) bool {
	for _, p := range ps {
		if p == "*" || p == path || strings.HasSuffix(p, "/") && strings.HasPrefix(path, p) {
			return true
		}
	}
	return false
}

package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/wsresilience/wsresilience/internal/pathpattern"
)

// maxPatterns bounds the list, which every handshake walks.
const maxPatterns = 256

// Patterns is a comma-separated list of path patterns.
type Patterns []pathpattern.Pattern

// UnmarshalText implements encoding.TextUnmarshaler.
func (ps *Patterns) UnmarshalText(text []byte) error {
	list := strings.Split(string(text), ",")
	if len(list) > maxPatterns {
		return fmt.Errorf("%d patterns, at most %d", len(list), maxPatterns)
	}
	var all Patterns
	for i, s := range list {
		p, err := pathpattern.Parse(strings.TrimSpace(s))
		if err != nil {
			return fmt.Errorf("pattern %d %w", i+1, err)
		}
		all = append(all, p)
	}
	*ps = all
	return nil
}

// Allowed describes the text form.
func (Patterns) Allowed() string {
	return "comma-separated: /ws is that path only, /chat/ is all below it, * is all"
}

// String returns the text form.
func (ps Patterns) String() string {
	list := make([]string, len(ps))
	for i, p := range ps {
		list[i] = string(p)
	}
	return strings.Join(list, ",")
}

// Match reports whether path, which is a request's decoded URL path, is
// covered.
func (ps Patterns) Match(path string) bool {
	return slices.ContainsFunc(ps, func(p pathpattern.Pattern) bool { return p.Match(path) })
}

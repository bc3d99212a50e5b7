package match

import (
	"fmt"
	"strings"

	"github.com/wsresilience/wsresilience/internal/pathpattern"
)

// ParsePath reads a path pattern. Everything below /chat/ may here also be
// written /chat/*.
func ParsePath(s string) (pathpattern.Pattern, error) {
	short := strings.TrimSpace(s)
	if strings.HasSuffix(short, "/*") {
		short = strings.TrimSuffix(short, "*")
	}
	p, err := pathpattern.Parse(short)
	if err != nil {
		return "", fmt.Errorf("path %q: %w", s, err)
	}
	return p, nil
}

package idempotency

import (
	"fmt"
)

// A Policy is what is configured. It is immutable and safe for concurrent use. A
// nil Policy has no rules.
type Policy struct{ rules []*Rule }

// New reads the JSON of WSR_IDEMPOTENCY_RULES; nil or empty is no Policy. Errors
// say what was given and what is allowed.
func New(rules []byte) (*Policy, error) {
	if len(rules) == 0 {
		return nil, nil
	}
	list, err := parse(rules)
	if err != nil {
		return nil, fmt.Errorf("idempotency: %w", err)
	}
	return &Policy{list}, nil
}

// Gate returns the gate of a session on path, which is a request's decoded URL
// path, or nil if no rule is about it. user returns what the client's request
// has at a source, such as header and X-User; "" is nothing.
func (p *Policy) Gate(path string, self Claimant, user func(kind, name string) string) *Gate {
	if p == nil {
		return nil
	}
	var g *Gate
	for _, r := range p.rules {
		if !r.path.Match(path) {
			continue
		}
		if g == nil {
			g = &Gate{self: self}
		}
		g.rules = append(g.rules, scoped{r, r.whose(self, user)})
	}
	return g
}

// A scoped rule is one of a session, with whose keys they are.
type scoped struct {
	*Rule
	whose []byte
}

// whose names the set of keys that the session's are in. A request without the
// identity that the rule asks for has keys of its own.
func (r *Rule) whose(self Claimant, user func(kind, name string) string) []byte {
	switch r.scope {
	case scopePath:
		return []byte("path")
	case scopeUser:
		if id := user(r.user.kind, r.user.name); id != "" && len(id) <= maxUser {
			return append([]byte("user "), id...)
		}
	}
	return append([]byte("session "), self.Session[:]...)
}

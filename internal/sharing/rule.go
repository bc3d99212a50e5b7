package sharing

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/wsresilience/wsresilience/internal/jsonpointer"
	"github.com/wsresilience/wsresilience/internal/match"
	"github.com/wsresilience/wsresilience/internal/pathpattern"
)

// maxKey bounds the key of a state in bytes.
const maxKey = 255

// ruleText is a rule as it is written in WSR_STATE_RULES.
type ruleText struct {
	Path    string      `json:"path"`
	Select  *match.Text `json:"select"`
	Key     *string     `json:"key"`
	Version *string     `json:"version"`
	Drop    *match.Text `json:"drop"`

	Conflict string          `json:"conflict"`
	Change   *changeText     `json:"change"`
	Refuse   json.RawMessage `json:"refuse"`
}

// changeText says which messages of clients change a state.
type changeText struct {
	Select  *match.Text `json:"select"`
	Key     *string     `json:"key"`
	Version *string     `json:"version"`
	Time    *string     `json:"time"`
}

// A rule says which messages of the app are state. It is immutable.
type rule struct {
	number  int // among all that are configured, from 1
	path    pathpattern.Pattern
	selects *match.Matcher
	drop    *match.Matcher // or nil
	key     []string       // nil: all that it selects are one state
	version []string       // nil: there is none

	change *change // nil: the rule says nothing of what clients say
}

// A Policy is what WSR_STATE_RULES says. It is immutable and safe for concurrent
// use. A nil Policy has no rules.
type Policy struct{ rules []*rule }

// NewPolicy reads the JSON of WSR_STATE_RULES; nil or empty is no Policy. Errors say
// what was given and what is allowed.
func NewPolicy(data []byte) (*Policy, error) {
	if len(data) == 0 {
		return nil, nil
	}
	list, err := match.ReadRules[ruleText](data)
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	p := &Policy{}
	numbers := map[string]int{} // by path and select
	for i := range list {
		r, err := list[i].compile()
		if err != nil {
			return nil, fmt.Errorf("state: rule %d: %w", i+1, err)
		}
		id := list[i].id()
		if first, twice := numbers[id]; twice {
			return nil, fmt.Errorf("state: rule %d: has path and select of rule %d", i+1, first)
		}
		r.number, numbers[id] = i+1, i+1
		p.rules = append(p.rules, r)
	}
	return p, nil
}

// State returns the state, which is empty, of a session on path, a request's decoded
// URL path; nil if no rule is about it.
func (p *Policy) State(path string) *State {
	if p == nil {
		return nil
	}
	var s *State
	for _, r := range p.rules {
		if !r.path.Match(path) {
			continue
		}
		if s == nil {
			s = &State{entries: map[name]*entry{}}
		}
		s.rules = append(s.rules, r)
	}
	return s
}

// compile checks a rule.
func (t *ruleText) compile() (*rule, error) {
	r := &rule{}
	var err error
	if r.path, err = match.ParsePath(t.Path); err != nil {
		return nil, err
	}
	if t.Select == nil {
		return nil, errors.New(`no "select": which of the app's messages are state?`)
	}
	if r.selects, err = t.Select.Compile(); err != nil {
		return nil, fmt.Errorf("select: %w", err)
	}
	if r.drop, err = t.Drop.Compile(); err != nil {
		return nil, fmt.Errorf("drop: %w", err)
	}
	if r.key, err = pointer("key", t.Key); err != nil {
		return nil, err
	}
	if r.version, err = pointer("version", t.Version); err != nil {
		return nil, err
	}
	r.change, err = t.compileChange(r)
	return r, err
}

// pointer reads a pointer that is not empty; nil stays nil.
func pointer(name string, s *string) ([]string, error) {
	if s == nil {
		return nil, nil
	}
	p, ok := jsonpointer.Parse(*s)
	if !ok || len(p) == 0 {
		return nil, fmt.Errorf("%s %q: not an RFC 6901 pointer of 1 to %d bytes and at most %d names", name, *s, jsonpointer.MaxLength, jsonpointer.MaxTokens)
	}
	return p, nil
}

// id is what distinguishes the messages of a rule.
func (t *ruleText) id() string {
	var id bytes.Buffer
	fmt.Fprintf(&id, "%q", t.Path)
	text, _ := json.Marshal(t.Select) // it was decoded
	_ = json.Compact(&id, text)
	return id.String()
}

// keyOf returns which state a message is that matched by; ok is false if its key
// cannot be one.
func (r *rule) keyOf(by *match.Matcher, data []byte) (key string, ok bool) {
	return keyAt(r.key, by, data)
}

// keyAt returns the key at a pointer.
func keyAt(pointer []string, by *match.Matcher, data []byte) (key string, ok bool) {
	if pointer == nil {
		key = by.Group(data)
		return key, len(key) <= maxKey
	}
	raw, found := jsonpointer.Lookup(data, pointer...)
	if found != jsonpointer.Present {
		return "", false
	}
	key = jsonpointer.Text(raw)
	return key, len(key) <= maxKey
}

// Package match says which messages a rule is about: the matchers of the JSON
// rules in settings, with "pointer" and "equals", or "regexp".
package match

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/wsresilience/wsresilience/internal/jsonpointer"
)

// Implementation limits of a matcher.
const (
	// MaxValues bounds the list that a value is compared with.
	MaxValues = 64

	// MaxLook is how much of a message is looked at.
	MaxLook = jsonpointer.MaxText

	// MaxRegexp bounds an expression. RE2 is linear in the message, times
	// about this.
	MaxRegexp = 512
)

// Text is a matcher as it is written in rules.
type Text struct {
	Pointer *string         `json:"pointer"`
	Equals  json.RawMessage `json:"equals"`
	Regexp  *string         `json:"regexp"`
}

// A Matcher says which messages a rule is about. It is immutable and safe for
// concurrent use.
type Matcher struct {
	pointer []string
	values  []json.RawMessage // as they are written
	texts   []string          // the strings among them

	// What a message without an escape must contain, so that most are sent on
	// without being parsed: the pointer's last name, and one of the values.
	name  []byte
	hints [][]byte

	expr *regexp.Regexp // over the whole message; or nil
}

// Compile checks a matcher. A nil one stays nil.
func (t *Text) Compile() (*Matcher, error) {
	switch {
	case t == nil:
		return nil, nil
	case t.Regexp != nil && t.Pointer == nil && t.Equals == nil:
		return compileRegexp(*t.Regexp)
	case t.Regexp != nil || t.Pointer == nil || len(t.Equals) == 0:
		return nil, fmt.Errorf(`want either "pointer" and "equals", or "regexp"`)
	}
	m := &Matcher{}
	var ok bool
	if m.pointer, ok = jsonpointer.Parse(*t.Pointer); !ok {
		return nil, fmt.Errorf("pointer %q: not an RFC 6901 pointer of at most %d bytes and %d names", *t.Pointer, jsonpointer.MaxLength, jsonpointer.MaxTokens)
	}
	if n := len(m.pointer); n > 0 && plain(m.pointer[n-1]) && !strings.ContainsAny(m.pointer[n-1][:1], "0123456789") {
		m.name = []byte(`"` + m.pointer[n-1] + `"`)
	}
	return m, m.compileValues(t.Equals)
}

// compileRegexp checks an expression.
func compileRegexp(s string) (*Matcher, error) {
	if len(s) > MaxRegexp {
		return nil, fmt.Errorf("regexp of %d bytes: at most %d", len(s), MaxRegexp)
	}
	expr, err := regexp.Compile(s)
	if err != nil {
		return nil, fmt.Errorf("regexp %q: %w", s, err)
	}
	return &Matcher{expr: expr}, nil
}

// compileValues checks a value or a list of values.
func (m *Matcher) compileValues(equals json.RawMessage) error {
	m.values = []json.RawMessage{equals}
	if equals[0] == '[' {
		if err := json.Unmarshal(equals, &m.values); err != nil {
			return fmt.Errorf("equals: %w", err)
		}
	}
	if n := len(m.values); n == 0 || n > MaxValues {
		return fmt.Errorf("equals: %d values, want 1 to %d", n, MaxValues)
	}
	for _, v := range m.values {
		switch {
		case v[0] == '{' || v[0] == '[':
			return fmt.Errorf("equals: %s is an object or a list, want a string, a number, true, false or null", v)
		case v[0] != '"':
			m.hints = append(m.hints, v)
			continue
		}
		s := jsonpointer.Text(v)
		m.texts = append(m.texts, s)
		if s == "" || plain(s) {
			m.hints = append(m.hints, []byte(`"`+s+`"`))
		} else {
			m.hints = append(m.hints, []byte{'"'}) // it is written with an escape, or in many ways
		}
	}
	return nil
}

// plain reports whether a string can stand in JSON as it is, whoever wrote it.
// A writer that escapes it nevertheless leaves a backslash in the message.
func plain(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == '"' || r == '\\' })
}

// Match reports whether the message matches, as far as it is looked at.
func (m *Matcher) Match(data []byte) bool { return m.Look(data) == jsonpointer.Present }

// Look reports whether the message matches. One that is larger than MaxLook may
// stay undecided.
func (m *Matcher) Look(data []byte) jsonpointer.Result {
	if m.expr != nil {
		return m.lookExpr(data)
	}
	if m.rejects(data) {
		return jsonpointer.Absent
	}
	raw, f := jsonpointer.Lookup(data, m.pointer...)
	if f != jsonpointer.Present {
		return f
	}
	for _, v := range m.values {
		if v[0] != '"' && bytes.Equal(raw, v) {
			return jsonpointer.Present
		}
	}
	for _, t := range m.texts {
		if jsonpointer.Equal(raw, t) {
			return jsonpointer.Present
		}
	}
	return jsonpointer.Absent
}

// rejects reports quickly that a message cannot match.
func (m *Matcher) rejects(data []byte) bool {
	missing := m.name != nil && !bytes.Contains(data, m.name)
	if !missing {
		missing = true
		for _, h := range m.hints {
			if bytes.Contains(data, h) {
				missing = false
				break
			}
		}
	}
	return missing && bytes.IndexByte(data, '\\') < 0
}

// lookExpr matches the expression with what is looked at of the message.
func (m *Matcher) lookExpr(data []byte) jsonpointer.Result {
	missing := jsonpointer.Absent
	if len(data) > MaxLook {
		data, missing = data[:MaxLook], jsonpointer.Undecided
		if strings.HasPrefix(m.expr.String(), "^") {
			missing = jsonpointer.Absent // as far as one can tell: it would begin at the first byte
		}
	}
	if m.expr.Match(data) {
		return jsonpointer.Present
	}
	return missing
}

// IsRegexp reports whether it is an expression, which any message may match.
// Otherwise what matches looks like JSON.
func (m *Matcher) IsRegexp() bool { return m.expr != nil }

// Groups returns how many groups the expression has.
func (m *Matcher) Groups() int {
	if m.expr == nil {
		return 0
	}
	return m.expr.NumSubexp()
}

// Group returns the first group of the expression's match, "" if there is none.
func (m *Matcher) Group(data []byte) string {
	if m.expr == nil || m.expr.NumSubexp() == 0 {
		return ""
	}
	data = data[:min(len(data), MaxLook)]
	at := m.expr.FindSubmatchIndex(data)
	if at == nil || at[2] < 0 {
		return ""
	}
	return string(data[at[2]:at[3]])
}

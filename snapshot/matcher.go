package snapshot

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
	// maxValues bounds the list that a value is compared with.
	maxValues = 64

	// maxLook is how much of a message is looked at.
	maxLook = jsonpointer.MaxText

	// maxRegexp bounds an expression. RE2 is linear in the message, times
	// about this.
	maxRegexp = 512
)

// matcherText is a matcher as it is written in WSR_SNAPSHOT_RULES.
type matcherText struct {
	Pointer *string         `json:"pointer"`
	Equals  json.RawMessage `json:"equals"`
	Regexp  *string         `json:"regexp"`
}

// A matcher says which messages a rule is about.
type matcher struct {
	pointer []string
	values  []json.RawMessage // as they are written
	texts   []string          // the strings among them

	// What a message without an escape must contain, so that most are sent on
	// without being parsed: the pointer's last name, and one of the values.
	name  []byte
	hints [][]byte

	expr *regexp.Regexp // over the whole message; or nil
}

// compile checks a matcher. A nil one stays nil.
func (t *matcherText) compile() (*matcher, error) {
	switch {
	case t == nil:
		return nil, nil
	case t.Regexp != nil && t.Pointer == nil && t.Equals == nil:
		return compileRegexp(*t.Regexp)
	case t.Regexp != nil || t.Pointer == nil || len(t.Equals) == 0:
		return nil, fmt.Errorf(`want either "pointer" and "equals", or "regexp"`)
	}
	m := &matcher{}
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
func compileRegexp(s string) (*matcher, error) {
	if len(s) > maxRegexp {
		return nil, fmt.Errorf("regexp of %d bytes: at most %d", len(s), maxRegexp)
	}
	expr, err := regexp.Compile(s)
	if err != nil {
		return nil, fmt.Errorf("regexp %q: %w", s, err)
	}
	return &matcher{expr: expr}, nil
}

// compileValues checks a value or a list of values.
func (m *matcher) compileValues(equals json.RawMessage) error {
	m.values = []json.RawMessage{equals}
	if equals[0] == '[' {
		if err := json.Unmarshal(equals, &m.values); err != nil {
			return fmt.Errorf("equals: %w", err)
		}
	}
	if n := len(m.values); n == 0 || n > maxValues {
		return fmt.Errorf("equals: %d values, want 1 to %d", n, maxValues)
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

// match reports whether the message matches, as far as it is looked at.
func (m *matcher) match(msg Message) bool { return m.look(msg) == jsonpointer.Present }

// look reports whether the message matches. One that is larger than maxLook may
// stay undecided.
func (m *matcher) look(msg Message) jsonpointer.Result {
	if m.expr != nil {
		return m.lookExpr(msg.Data)
	}
	if m.rejects(msg.Data) {
		return jsonpointer.Absent
	}
	raw, f := jsonpointer.Lookup(msg.Data, m.pointer...)
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
func (m *matcher) rejects(data []byte) bool {
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
func (m *matcher) lookExpr(data []byte) jsonpointer.Result {
	missing := jsonpointer.Absent
	if len(data) > maxLook {
		data, missing = data[:maxLook], jsonpointer.Undecided
		if strings.HasPrefix(m.expr.String(), "^") {
			missing = jsonpointer.Absent // as far as one can tell: it would begin at the first byte
		}
	}
	if m.expr.Match(data) {
		return jsonpointer.Present
	}
	return missing
}

// groups returns how many groups the expression has.
func (m *matcher) groups() int {
	if m.expr == nil {
		return 0
	}
	return m.expr.NumSubexp()
}

// group returns the first group of the expression's match, "" if there is none.
func (m *matcher) group(msg Message) string {
	if m.expr == nil || m.expr.NumSubexp() == 0 {
		return ""
	}
	data := msg.Data[:min(len(msg.Data), maxLook)]
	at := m.expr.FindSubmatchIndex(data)
	if at == nil || at[2] < 0 {
		return ""
	}
	return string(data[at[2]:at[3]])
}

package profile

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/wsresilience/wsresilience/internal/jsonpointer"
)

// A Match is a place in a text: by JSON pointer (RFC 6901), or by a regular
// expression, whose first group it is.
type Match struct {
	Pointer string `json:"pointer,omitempty"`
	Regexp  string `json:"regexp,omitempty"`

	path []string
	re   *regexp.Regexp
}

func (m *Match) same(o *Match) bool { return m.Pointer == o.Pointer && m.Regexp == o.Regexp }

func (m *Match) compile() error {
	switch {
	case (m.Pointer == "") == (m.Regexp == ""):
		return fmt.Errorf(`{"pointer": %q, "regexp": %q}: want one of the two`, m.Pointer, m.Regexp)
	case m.Pointer != "":
		m.path = nil // messages share it
		if m.Pointer[0] != '/' {
			return fmt.Errorf("pointer %q: want a JSON pointer such as /id or /data/0/id", m.Pointer)
		}
		for token := range strings.SplitSeq(m.Pointer[1:], "/") {
			m.path = append(m.path, strings.NewReplacer("~1", "/", "~0", "~").Replace(token))
		}
		return nil
	}
	var err error
	if m.re, err = regexp.Compile(m.Regexp); err != nil {
		return fmt.Errorf("regexp %q: %w", m.Regexp, err)
	}
	return nil
}

// Find returns what stands there, and reports whether anything does. A JSON
// string comes without its quotes; null and false are nothing.
func (m *Match) Find(p []byte) (string, bool) {
	if m.re != nil {
		found := m.re.FindSubmatch(p)
		if found == nil {
			return "", false
		}
		return string(found[min(1, len(found)-1)]), true
	}
	value, result := jsonpointer.Lookup(p, m.path...)
	if result != jsonpointer.Present {
		return "", false
	}
	text := string(value)
	if text == "null" || text == "false" {
		return "", false
	}
	if s, err := strconv.Unquote(text); err == nil && text[0] == '"' {
		return s, true
	}
	return text, true
}

// Key is how client's message n is named in {{id}}.
func Key(client, n int) string { return strconv.Itoa(client) + "-" + strconv.Itoa(n) }

// ParseKey returns the number of the message that an answer to client names by
// {{id}} or {{n}}.
func ParseKey(text string, client int) (n int, ok bool) {
	if who, rest, found := strings.Cut(text, "-"); found {
		if who != strconv.Itoa(client) {
			return 0, false
		}
		text = rest
	}
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= 0
}

package profile

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// A scalar is a value in JSON text that is neither an object nor an array.
type scalar struct {
	pointer  string
	value    string // a string without its quotes
	token    json.Token
	from, to int // where it is written
}

// form is "string", "number" or "other".
func (s *scalar) form() string {
	switch s.token.(type) {
	case string:
		return "string"
	case json.Number:
		return "number"
	}
	return "other"
}

// A level is an object or an array that is being read.
type level struct {
	object  bool
	key     string // the member's name, once it was read
	pending bool   // a value is next, not a name
	index   int
}

// scalarsOf returns all scalars of a JSON object or array in their order, nil if
// the text is neither.
func scalarsOf(text string) []scalar {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var list []scalar
	var stack []level
	for before := 0; ; before = int(d.InputOffset()) {
		token, err := d.Token()
		if err == io.EOF && len(stack) == 0 {
			return list
		}
		if err != nil {
			return nil
		}
		delim, nests := token.(json.Delim)
		if nests && (delim == '}' || delim == ']') {
			stack = stack[:len(stack)-1]
			done(stack)
			continue
		}
		if len(stack) == 0 && !nests {
			return nil
		}
		if top := len(stack) - 1; top >= 0 && stack[top].object && !stack[top].pending {
			stack[top].key, stack[top].pending = token.(string), true
			continue
		}
		if nests {
			stack = append(stack, level{object: delim == '{'})
			continue
		}
		to := int(d.InputOffset())
		from := before + len(text[before:to]) - len(strings.TrimLeft(text[before:to], " \t\r\n:,"))
		list = append(list, scalar{pointer: pointer(stack), value: fmt.Sprint(token), token: token, from: from, to: to})
		done(stack)
	}
}

// done notes that a value of the innermost level was read.
func done(stack []level) {
	if top := len(stack) - 1; top >= 0 {
		stack[top].pending = false
		stack[top].index++
	}
}

func pointer(stack []level) string {
	var b strings.Builder
	for i := range stack {
		if l := &stack[i]; l.object {
			b.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(l.key))
		} else {
			fmt.Fprintf(&b, "/%d", l.index)
		}
	}
	return b.String()
}

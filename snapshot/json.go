package snapshot

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// Implementation limits of what is read of a message. It runs for every one.
const (
	// maxLook is how much of a message is parsed. What is larger does not fit
	// a snapshot anyway.
	maxLook = 64 << 10

	// maxPointer bounds the text of a JSON pointer, and maxTokens its depth:
	// every token is one walk over a part of the message.
	maxPointer = 256
	maxTokens  = 16
)

// found is what a look-up came to.
type found uint8

const (
	absent    found = iota
	present         // the value is there
	undecided       // the message is larger than maxLook, and it may be in the rest
)

// parsePointer reads an RFC 6901 pointer.
func parsePointer(s string) ([]string, bool) {
	if s == "" {
		return nil, true
	}
	if len(s) > maxPointer || s[0] != '/' {
		return nil, false
	}
	tokens := strings.Split(s[1:], "/")
	for i, t := range tokens {
		if rest := strings.NewReplacer("~0", "", "~1", "").Replace(t); strings.Contains(rest, "~") {
			return nil, false
		}
		tokens[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(t)
	}
	return tokens, len(tokens) <= maxTokens
}

// lookup finds the value at a pointer, as it is written. It allocates nothing,
// and is not strict: what is kept is checked then. Of equal keys in an object
// the first counts.
func lookup(data []byte, pointer ...string) ([]byte, found) {
	missing := absent
	if len(data) > maxLook {
		data, missing = data[:maxLook], undecided
	}
	s := scanner{data: data}
	for _, token := range pointer {
		s.space()
		switch {
		case s.take('{'):
			if !s.member(token) {
				return nil, s.verdict(missing)
			}
		case s.take('['):
			if !s.element(token) {
				return nil, s.verdict(missing)
			}
		default:
			return nil, s.verdict(missing)
		}
	}
	s.space()
	from := s.at
	if !s.skip() {
		return nil, s.verdict(missing)
	}
	return data[from:s.at], present
}

// A scanner walks over JSON text.
type scanner struct {
	data []byte
	at   int
}

// verdict tells what a failed look-up means: only where the text ran out can
// the rest of it matter.
func (s *scanner) verdict(missing found) found {
	if s.at < len(s.data) {
		return absent
	}
	return missing
}

// space passes over white space.
func (s *scanner) space() {
	for s.at < len(s.data) {
		switch s.data[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return
		}
	}
}

// take passes over the byte c, if it is next.
func (s *scanner) take(c byte) bool {
	if s.at < len(s.data) && s.data[s.at] == c {
		s.at++
		return true
	}
	return false
}

// member goes to the value of an object's member, behind its brace.
func (s *scanner) member(name string) bool {
	for {
		s.space()
		from := s.at
		if s.at >= len(s.data) || s.data[s.at] != '"' || !s.skip() {
			return false
		}
		key := s.data[from:s.at]
		s.space()
		if !s.take(':') {
			return false
		}
		s.space()
		if equalText(key, name) {
			return true
		}
		if !s.skip() {
			return false
		}
		s.space()
		if !s.take(',') {
			return false
		}
	}
}

// element goes to an array's element, behind its bracket.
func (s *scanner) element(token string) bool {
	n, err := strconv.ParseUint(token, 10, 16)
	if err != nil || len(token) > 1 && token[0] == '0' || token[0] == '+' {
		return false
	}
	for ; n > 0; n-- {
		if s.space(); !s.skip() {
			return false
		}
		if s.space(); !s.take(',') {
			return false
		}
	}
	s.space()
	return s.at < len(s.data) && s.data[s.at] != ']'
}

// skip passes over one value.
func (s *scanner) skip() bool {
	depth := 0
	for s.at < len(s.data) {
		switch c := s.data[s.at]; c {
		case '"':
			if !s.skipString() {
				return false
			}
		case '{', '[':
			depth++
			s.at++
		case '}', ']':
			if depth--; depth < 0 {
				return false
			}
			s.at++
		case ',', ':', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return false
			}
			s.at++
			continue
		default:
			s.skipWord()
		}
		if depth == 0 {
			return true
		}
	}
	return false
}

// skipString passes over a string.
func (s *scanner) skipString() bool {
	for s.at++; s.at < len(s.data); s.at++ {
		switch s.data[s.at] {
		case '\\':
			s.at++
		case '"':
			s.at++
			return true
		}
	}
	s.at = len(s.data)
	return false
}

// skipWord passes over a number or a name.
func (s *scanner) skipWord() {
	for s.at < len(s.data) {
		switch s.data[s.at] {
		case ',', ':', ' ', '\t', '\r', '\n', '"', '{', '}', '[', ']':
			return
		}
		s.at++
	}
}

// equalText tells whether a value, as it is written, is that string.
func equalText(raw []byte, s string) bool {
	if len(raw) < 2 || raw[0] != '"' {
		return false
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1:len(raw)-1]) == s
	}
	return text(raw) == s
}

// text returns a string's content, and any other value as it is written.
func text(raw []byte) string {
	if len(raw) < 2 || raw[0] != '"' {
		return string(raw)
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1])
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return string(raw)
	}
	return s
}

// field returns the text at a pointer; absent and null are empty.
func field(data []byte, pointer ...string) string {
	raw, ok := lookup(data, pointer...)
	if ok != present || string(raw) == "null" {
		return ""
	}
	return text(raw)
}

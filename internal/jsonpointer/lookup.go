package jsonpointer

import "strconv"

// A Result is what a look-up came to.
type Result uint8

const (
	Absent    Result = iota
	Present          // the value is there
	Undecided        // the text is longer than MaxText, and the value may be in the rest
)

// Lookup returns the value at a pointer, as it is written. It allocates nothing,
// and is not strict: whoever keeps a message checks it then. Of equal keys in
// an object the first counts.
func Lookup(data []byte, pointer ...string) ([]byte, Result) {
	missing := Absent
	if len(data) > MaxText {
		data, missing = data[:MaxText], Undecided
	}
	s := scanner{data: data}
	for _, token := range pointer {
		s.space()
		switch {
		case s.take('{'):
			if !s.member(token) {
				return nil, s.failure(missing)
			}
		case s.take('['):
			if !s.element(token) {
				return nil, s.failure(missing)
			}
		default:
			return nil, s.failure(missing)
		}
	}
	s.space()
	from := s.at
	if !s.skip() {
		return nil, s.failure(missing)
	}
	return data[from:s.at], Present
}

// A scanner walks over JSON text.
type scanner struct {
	data []byte
	at   int
}

// failure returns what a failed look-up means: only where the text ran out can
// the rest of it matter.
func (s *scanner) failure(missing Result) Result {
	if s.at < len(s.data) {
		return Absent
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

// take passes over the byte c, and reports whether it was next.
func (s *scanner) take(c byte) bool {
	if s.at < len(s.data) && s.data[s.at] == c {
		s.at++
		return true
	}
	return false
}

// member goes from behind an object's brace to the value of a member, and
// reports whether there is one.
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
		if Equal(key, name) {
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

// element goes from behind an array's bracket to an element, and reports
// whether there is one.
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

// skip passes over one value, and reports whether it ended.
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

// skipString passes over a string, and reports whether it ended.
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

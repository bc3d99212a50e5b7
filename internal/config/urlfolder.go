package config

import (
	"errors"
	"strings"
)

// A URLFolder is a path of URLs that begins and ends with a slash.
type URLFolder string

// UnmarshalText implements encoding.TextUnmarshaler.
func (f *URLFolder) UnmarshalText(text []byte) error {
	s := string(text)
	switch {
	case !strings.HasPrefix(s, "/") || !strings.HasSuffix(s, "/"):
		return errors.New("does not begin and end with /")
	case strings.Contains(s, "//"):
		return errors.New("has an empty part")
	}
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~/", c) >= 0) {
			return errors.New("has a character other than letters, digits, -, ., _, ~ and /")
		}
	}
	*f = URLFolder(s)
	return nil
}

// Allowed describes the text form.
func (URLFolder) Allowed() string { return "a path that begins and ends with /, such as /.wsr/" }

// String returns the text form.
func (f URLFolder) String() string { return string(f) }

package config

import (
	"errors"
	"net/url"
	"strings"
)

// Path is the path of a request to the app, and may have a query.
type Path string

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Path) UnmarshalText(text []byte) error {
	s := string(text)
	_, err := url.ParseRequestURI(s)
	switch {
	case !strings.HasPrefix(s, "/"):
		return errors.New("does not start with /")
	case strings.HasPrefix(s, "//"):
		return errors.New("starts with //, which some take for a host")
	case strings.Contains(s, "#"):
		return errors.New("has a fragment, which no request carries")
	case strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) || err != nil:
		return errors.New("has a character that must be percent-encoded")
	}
	*p = Path(s)
	return nil
}

// Allowed describes the text form.
func (Path) Allowed() string { return "a path that starts with /, such as /auth/check" }

// PlainResume says which part of a request names a client that does not speak
// wsr.v1: query:NAME or cookie:NAME. Empty: none does.
type PlainResume string

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *PlainResume) UnmarshalText(text []byte) error {
	s := string(text)
	query, isQuery := strings.CutPrefix(s, queryPrefix)
	cookie, isCookie := strings.CutPrefix(s, cookiePrefix)
	switch {
	case !isQuery && !isCookie:
		return errors.New("is neither query:NAME nor cookie:NAME")
	case isCookie && !isToken(cookie):
		return errors.New("does not name a cookie")
	case isQuery && !isParameter(query):
		return errors.New("the name of a query parameter has letters, digits, - _ . ~ only")
	}
	*p = PlainResume(s)
	return nil
}

// isParameter reports whether s reads the same in a query and decoded (RFC 3986
// section 2.3).
func isParameter(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !alphanumeric(r) && !strings.ContainsRune("-_.~", r)
	})
}

// Allowed describes the text form.
func (PlainResume) Allowed() string { return "query:NAME or cookie:NAME" }

package config

import (
	"errors"
	"fmt"
	"net/textproto"
	"slices"
	"strings"
)

// maxBindings bounds the list, which every resume walks.
const maxBindings = 16

// Prefixes of what names a part of a request.
const (
	cookiePrefix = "cookie:"
	headerPrefix = "header:"
	queryPrefix  = "query:"
)

// Entries that loosen what a token is bound to.
const (
	anyHost = "any-host"
	anyPath = "any-path"
)

// Binding lists what a resume token is bound to besides Origin, path and Host:
// entries header:<Canonical-Name> and cookie:NAME, and any-path and any-host for
// what it is not bound to, sorted, so that sidecars agree whatever the order
// they were given in.
type Binding []string

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *Binding) UnmarshalText(text []byte) error {
	list := strings.Split(string(text), ",")
	if len(list) > maxBindings {
		return fmt.Errorf("%d entries, at most %d", len(list), maxBindings)
	}
	var binding Binding
	for i, s := range list {
		entry, err := parseBinding(strings.TrimSpace(s))
		switch {
		case err != nil:
			return fmt.Errorf("entry %d %w", i+1, err)
		case entry == "": // Origin
		case slices.Contains(binding, entry):
			return fmt.Errorf("entry %d is there twice", i+1)
		default:
			binding = append(binding, entry)
		}
	}
	slices.Sort(binding)
	*b = binding
	return nil
}

// bound reads one entry; that of Origin is empty. Fields that differ on every
// connection are refused: no token would ever be accepted.
func parseBinding(s string) (string, error) {
	if name, ok := strings.CutPrefix(s, cookiePrefix); ok {
		if !isToken(name) {
			return "", errors.New("does not name a cookie")
		}
		return s, nil
	}
	if s == anyHost || s == anyPath {
		return s, nil
	}
	name, ok := strings.CutPrefix(s, headerPrefix)
	if !ok {
		name = s
	}
	name = textproto.CanonicalMIMEHeaderKey(name)
	switch {
	case !ok && !strings.EqualFold(name, "authorization") && !strings.EqualFold(name, "origin"):
		return "", errors.New("is none of those allowed")
	case !isToken(name):
		return "", errors.New("does not name a header field")
	case name == "Cookie":
		return "", errors.New("changes with any cookie: name the one that counts, as cookie:NAME")
	case name == "Connection" || name == "Upgrade" || strings.HasPrefix(name, "Sec-Websocket-"):
		return "", errors.New("is part of the handshake, and differs or tells nothing")
	case name == "Origin":
		return "", nil
	}
	return headerPrefix + name, nil
}

// loose reports whether a token is good at more than one path or Host.
func (b Binding) loose() bool {
	return slices.Contains(b, anyHost) || slices.Contains(b, anyPath)
}

// isToken reports whether s is a token of RFC 9110 section 5.6.2, as names of
// header fields and of cookies are.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !alphanumeric(r) && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}

func alphanumeric(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

// Allowed describes the text form.
func (Binding) Allowed() string {
	return "comma-separated: authorization, cookie:NAME, header:NAME, origin, any-host, any-path"
}

// String returns the text form.
func (b Binding) String() string {
	list := slices.Clone(b)
	if i := slices.Index(list, headerPrefix+"Authorization"); i >= 0 {
		list[i] = "authorization"
	}
	return strings.Join(list, ",")
}

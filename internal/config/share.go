package config

import (
	"errors"
	"fmt"
	"net/textproto"
	"strings"

	"github.com/wsresilience/wsresilience/internal/pathpattern"
)

// Share says on which paths clients share a session, and which part of a request
// names the user whose it is. The first entry that covers a path counts. Empty:
// nowhere.
type Share []shareEntry

type shareEntry struct {
	path pathpattern.Pattern
	by   string // cookie:NAME, header:NAME or query:NAME
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (sh *Share) UnmarshalText(text []byte) error {
	list := strings.Split(string(text), ",")
	if len(list) > maxPatterns {
		return fmt.Errorf("%d entries, at most %d", len(list), maxPatterns)
	}
	var all Share
	for i, s := range list {
		e, err := parseShare(strings.TrimSpace(s))
		if err != nil {
			return fmt.Errorf("entry %d %w", i+1, err)
		}
		for _, before := range all {
			if before.path == e.path {
				return fmt.Errorf("entry %d is for %s, as one before it", i+1, e.path)
			}
		}
		all = append(all, e)
	}
	*sh = all
	return nil
}

// parseShare reads one entry. The name of a source has no = in it.
func parseShare(s string) (e shareEntry, err error) {
	i := strings.LastIndexByte(s, '=')
	if i < 0 {
		return e, errors.New("does not say for which path: PATH=SOURCE")
	}
	if e.path, err = pathpattern.Parse(s[:i]); err != nil {
		return e, err
	}
	e.by = s[i+1:]
	kind, name, _ := strings.Cut(e.by, ":")
	switch kind += ":"; {
	case kind != cookiePrefix && kind != headerPrefix && kind != queryPrefix:
		return e, errors.New("names none of cookie:NAME, header:NAME and query:NAME")
	case kind == queryPrefix && !isParameter(name):
		return e, errors.New("names a query parameter that has more than letters, digits, - _ . ~")
	case kind == queryPrefix:
	case !isToken(name):
		return e, errors.New("does not name a " + map[string]string{cookiePrefix: "cookie", headerPrefix: "header field"}[kind])
	case kind == headerPrefix:
		if name = textproto.CanonicalMIMEHeaderKey(name); name == "Cookie" {
			return e, errors.New("names a header field that changes with any cookie: cookie:NAME names the one that counts")
		}
		e.by = headerPrefix + name
	}
	return e, nil
}

// By returns what names the user of a client on path, which is a request's decoded
// URL path; empty: clients there share no session.
func (sh Share) By(path string) string {
	for _, e := range sh {
		if e.path.Match(path) {
			return e.by
		}
	}
	return ""
}

// Allowed describes the text form.
func (Share) Allowed() string {
	return "comma-separated PATH=SOURCE: PATH is /ws, /chat/ for all below it, or *; SOURCE is cookie:NAME, header:NAME or query:NAME"
}

// String returns the text form.
func (sh Share) String() string {
	list := make([]string, len(sh))
	for i, e := range sh {
		list[i] = string(e.path) + "=" + e.by
	}
	return strings.Join(list, ",")
}

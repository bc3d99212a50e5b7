package idempotency

import (
	"fmt"
	"net/textproto"
	"strings"
)

// maxUser bounds an identity.
const maxUser = 4096

// A source names the part of a client's request that tells whose session it is.
type source struct{ kind, name string }

// parseSource reads header:NAME, cookie:NAME or query:NAME.
func parseSource(s string) (source, error) {
	kind, name, _ := strings.Cut(s, ":")
	valid := name != "" && !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r) })
	switch {
	case !valid || kind != "header" && kind != "cookie" && kind != "query":
		return source{}, fmt.Errorf("user %q: want header:NAME, cookie:NAME or query:NAME", s)
	case kind == "header":
		name = textproto.CanonicalMIMEHeaderKey(name)
	}
	return source{kind, name}, nil
}

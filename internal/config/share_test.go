package config

import (
	"strings"
	"testing"
)

func TestShare(t *testing.T) {
	for text, want := range map[string]struct {
		path, by string // what it is asked, and answers
		err      string
	}{
		"/board=cookie:sid":            {path: "/board", by: "cookie:sid"},
		"/a=query:u,/b/=header:x-user": {path: "/b/c", by: "header:X-User"},
		"*=query:u":                    {path: "/any", by: "query:u"},
		"/a=cookie:a,*=cookie:b":       {path: "/a", by: "cookie:a"},
		"/a=b=cookie:a":                {path: "/a=b", by: "cookie:a"},
		"/a=cookie:sid":                {path: "/b", by: ""},
		"cookie:sid":                   {err: "entry 1 does not say for which path"},
		"/a=session":                   {err: "names none of cookie:NAME"},
		"/a=cookie:":                   {err: "does not name a cookie"},
		"/a=header:":                   {err: "does not name a header field"},
		"/a=header:cookie":             {err: "changes with any cookie"},
		"/a=query:a b":                 {err: "query parameter"},
		"a=cookie:b":                   {err: "does not start with /"},
		"/a=cookie:b,/a=cookie:c":      {err: "entry 2 is for /a"},
		"/a=cookie:b,":                 {err: "entry 2"},
	} {
		var sh Share
		err := sh.UnmarshalText([]byte(text))
		switch {
		case want.err != "":
			if err == nil || !strings.Contains(err.Error(), want.err) {
				t.Errorf("%q: %v, want %q", text, err, want.err)
			}
		case err != nil:
			t.Errorf("%q: %v", text, err)
		default:
			if by := sh.By(want.path); by != want.by {
				t.Errorf("%q: %s is shared by %q, want %q", text, want.path, by, want.by)
			}
			var again Share
			if err := again.UnmarshalText([]byte(sh.String())); err != nil || again.String() != sh.String() {
				t.Errorf("%q is told as %q: %v", text, sh, err)
			}
		}
	}
}

package pathpattern

import "testing"

func TestParse(t *testing.T) {
	for s, want := range map[string]bool{
		"*": true, "/": true, "/ws": true, "/chat/": true,
		"": false, "ws": false, "/*": false, "/a*b": false, "/a?b": false, "/a#b": false, "**": false,
	} {
		if p, err := Parse(s); (err == nil) != want || err == nil && string(p) != s {
			t.Errorf("%q: %q, %v", s, p, err)
		}
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern Pattern
		path    string
		want    bool
	}{
		{"*", "/any", true},
		{"/ws", "/ws", true},
		{"/ws", "/ws/", false},
		{"/ws", "/wsx", false},
		{"/chat/", "/chat/", true},
		{"/chat/", "/chat/a/b", true},
		{"/chat/", "/chat", false},
		{"/", "/any", true},
	} {
		if got := c.pattern.Match(c.path); got != c.want {
			t.Errorf("%q covers %q: %v, want %v", c.pattern, c.path, got, c.want)
		}
	}
}

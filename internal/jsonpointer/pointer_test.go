package jsonpointer

import (
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for s, want := range map[string][]string{
		"": {}, "/": {""}, "/a/b": {"a", "b"}, "/a~1b/m~0n": {"a/b", "m~n"}, "/~01": {"~1"}, "/0/\x20": {"0", " "},
	} {
		if got, ok := Parse(s); !ok || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v; want %q", s, got, ok, want)
		}
	}
	for _, s := range []string{"a", "/~", "/~2", "/" + strings.Repeat("a", MaxLength), strings.Repeat("/", MaxTokens+1)} {
		if got, ok := Parse(s); ok {
			t.Errorf("%q: %q", s, got)
		}
	}
}

func TestLookupText(t *testing.T) {
	const data = `{"a":"x\u0041","b":null,"c":[1,{"d":"e"}],"c":2,"n":-1.50}`
	for pointer, want := range map[string]string{"/a": "xA", "/b": "", "/c/0": "1", "/c/1/d": "e", "/c/2": "", "/n": "-1.50", "/x": "", "/c/01": ""} {
		tokens, _ := Parse(pointer)
		if got := LookupText([]byte(data), tokens...); got != want {
			t.Errorf("%s: %q, want %q", pointer, got, want)
		}
	}
}

// TestLookupOfLongText: a value that may be behind what is looked at is neither
// there nor not there.
func TestLookupOfLongText(t *testing.T) {
	long := []byte(`{"a":1,"b":"` + strings.Repeat("x", MaxText) + `","c":1}`)
	for token, want := range map[string]Result{"a": Present, "b": Undecided, "c": Undecided} {
		if _, got := Lookup(long, token); got != want {
			t.Errorf("%s: %d, want %d", token, got, want)
		}
	}
	if _, got := Lookup(long[:9], "c"); got != Absent {
		t.Errorf("in a short text: %d", got)
	}
}

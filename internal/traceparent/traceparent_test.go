package traceparent

import (
	"strings"
	"testing"
)

const (
	trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	span  = "00f067aa0ba902b7"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name, value, want string // want "" is ignored
	}{
		{"sampled", "00-" + trace + "-" + span + "-01", "00-" + trace + "-" + span + "-01"},
		{"not sampled", "00-" + trace + "-" + span + "-00", "00-" + trace + "-" + span + "-00"},
		{"with a random id", "00-" + trace + "-" + span + "-03", "00-" + trace + "-" + span + "-03"},
		{"flags that are not known", "00-" + trace + "-" + span + "-f9", "00-" + trace + "-" + span + "-01"},
		{"a later version", "cc-" + trace + "-" + span + "-01", "00-" + trace + "-" + span + "-01"},
		{"a later version that says more", "cc-" + trace + "-" + span + "-01-what-is-it", "00-" + trace + "-" + span + "-01"},
		{"a later version that says more, without a dash", "cc-" + trace + "-" + span + "-01.what", ""},
		{"version 00 that says more", "00-" + trace + "-" + span + "-01-x", ""},
		{"version ff", "ff-" + trace + "-" + span + "-01", ""},
		{"nothing", "", ""},
		{"too short", "00-" + trace + "-" + span + "-0", ""},
		{"capital letters", "00-" + strings.ToUpper(trace) + "-" + span + "-01", ""},
		{"no digits", "00-" + strings.Replace(trace, "4", "g", 1) + "-" + span + "-01", ""},
		{"version that is none", "0x-" + trace + "-" + span + "-01", ""},
		{"flags that are none", "00-" + trace + "-" + span + "-.1", ""},
		{"dashes that are none", "00_" + trace + "_" + span + "_01", ""},
		{"trace of zeros", "00-" + strings.Repeat("0", 32) + "-" + span + "-01", ""},
		{"span of zeros", "00-" + trace + "-" + strings.Repeat("0", 16) + "-01", ""},
		{"spaces", " 00-" + trace + "-" + span + "-01", ""},
		{"a secret", "Bearer eyJhbGciOiJIUzI1NiJ9.e30.ZRrHA1JJJW8opsbCGfG_HACGpVUMN_a9IVpV", ""},
	} {
		p, ok := Parse(c.value)
		if ok != (c.want != "") || p.String() != c.want {
			t.Errorf("%s: %q, %v", c.name, p, ok)
		}
		if ok && p.Trace() != trace {
			t.Errorf("%s: trace %q", c.name, p.Trace())
		}
	}
}

func TestNone(t *testing.T) {
	var p Parent
	if !p.IsZero() || p.Sampled() || p.Trace() != "" || p.String() != "" {
		t.Errorf("%q", p)
	}
}

// FuzzParse: what is accepted is written as what would be accepted again, and
// what is written of version 00 is what came, but for flags.
func FuzzParse(f *testing.F) {
	f.Add("00-" + trace + "-" + span + "-01")
	f.Add("cc-" + trace + "-" + span + "-01-x")
	f.Add("")
	f.Fuzz(func(t *testing.T, value string) {
		p, ok := Parse(value)
		if !ok {
			if !p.IsZero() {
				t.Fatalf("%q is refused, and is %v", value, p)
			}
			return
		}
		if again, ok := Parse(p.String()); !ok || again != p {
			t.Fatalf("%q is %v, and that %v", value, p, again)
		}
		if p.String()[2:flagsAt] != value[2:flagsAt] {
			t.Fatalf("%q is %v", value, p)
		}
	})
}

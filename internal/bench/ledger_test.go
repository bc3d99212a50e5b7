package main

import (
	"strings"
	"testing"
)

func TestParseMetric(t *testing.T) {
	const text = `# HELP wsr_x_total Things.
# TYPE wsr_x_total counter
wsr_x_total{result="ok"} 12
wsr_x_total{result="a b"} 3e+00
wsr_x_total_more 99
wsr_y_total 7
wsr_bad_total -1
`
	for _, c := range []struct {
		name string
		want int64
		ok   bool
	}{
		{"wsr_x_total", 15, true},
		{"wsr_y_total", 7, true},
		{"wsr_x", 0, false}, // only the beginning of a name
		{"wsr_bad_total", 0, false},
	} {
		got, err := parseMetric([]byte(text), c.name)
		if got != c.want || (err == nil) != c.ok {
			t.Errorf("%s: %d, %v; want %d", c.name, got, err, c.want)
		}
	}
}

// What is accepted is a count, and does not depend on what stands around it.
func FuzzParseMetric(f *testing.F) {
	f.Add("x 1\nx{a=\"b\"} 2\n", "x")
	f.Add("x NaN\n", "x")
	f.Add("x{ 5", "x")
	f.Add("x 9e15\nx 9e15", "x")
	f.Fuzz(func(t *testing.T, text, name string) {
		got, err := parseMetric([]byte(text), name)
		if err != nil {
			return
		}
		if got < 0 {
			t.Errorf("%q has %d of %q", text, got, name)
		}
		if name == "" || strings.ContainsAny(name, "\n") || strings.HasPrefix(name, "#") {
			return
		}
		again, err := parseMetric([]byte("# about\n"+text), name)
		if err != nil || again != got {
			t.Errorf("%q: %d, and below a comment %d, %v", text, got, again, err)
		}
	})
}

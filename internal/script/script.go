// Package script plays scenarios that are written as text, for tests.
//
// A script begins with prose, in lines that start with #, then has steps: a
// command, a line of dashes, and what must follow, a line for each event. An
// empty line ends a step. What two implementations do apart is marked with
// their names: a line "js> …" is expected of the TypeScript client only, and
// "go> …" of what is tested here.
package script

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the expected output of the scripts that differ")

const dashes = "----"

// Run plays each script that matches pattern as a subtest. start begins a
// script and returns what plays one command of it, which is given as words, and
// returns what followed. With the flag -update scripts that differ are
// rewritten.
func Run(t *testing.T, pattern string, start func(t *testing.T) (play func(command []string) []string)) {
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts match %s: %v", pattern, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := perform(string(text), start(t))
			if got == string(text) {
				return
			}
			if !*update {
				t.Fatalf("%s:\n%s", file, diff(string(text), got))
			}
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// perform plays a script and returns it with what really followed. A step that
// went as expected stays as it is, with what it expects of others.
func perform(text string, play func([]string) []string) string {
	var out []string
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		out = append(out, line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		start := i + 1
		for i+1 < len(lines) && lines[i+1] != "" {
			i++
		}
		want := lines[start : i+1]
		got := append([]string{dashes}, play(strings.Fields(line))...)
		if slices.Equal(ours(want), got) {
			got = want
		}
		out = append(out, got...)
	}
	return strings.Join(out, "\n")
}

// ours returns what is expected of Go.
func ours(lines []string) (kept []string) {
	for _, l := range lines {
		if !strings.HasPrefix(l, "js> ") {
			kept = append(kept, strings.TrimPrefix(l, "go> "))
		}
	}
	return kept
}

// diff shows the first line that differs, with those before it.
func diff(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			from := max(0, i-6)
			return fmt.Sprintf("line %d\n%s\nwant: %s\ngot:  %s", i+1, strings.Join(w[from:i], "\n"), w[i], g[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d\n%s", len(g), len(w), got)
}

package client

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the expected output of the scripts that differ")

// TestScripts plays the scenarios that this client shares with the one in
// TypeScript; testdata/client/README.md describes their language.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("../testdata/client/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := playScript(t, string(text))
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

// diff shows the first line that differs, with its surroundings.
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

// perform runs a script and returns it with what really happened. A step whose
// outcome is as expected stays as it is, with what is said of the other
// client.
func playScript(t *testing.T, text string) string {
	var b strings.Builder
	r := newRehearsal(t)
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		b.WriteString(line + "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		var want []string
		for i+1 < len(lines) && lines[i+1] != "" {
			i++
			want = append(want, lines[i])
		}
		got := r.play(strings.Fields(line))
		if strings.Join(mine(want), "\n") != strings.Join(append([]string{"----"}, got...), "\n") {
			want = append([]string{"----"}, got...)
		}
		for _, l := range want {
			b.WriteString(l + "\n")
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// mine leaves out what only the other client does.
func mine(lines []string) (kept []string) {
	for _, l := range lines {
		if !strings.HasPrefix(l, "js> ") {
			kept = append(kept, strings.TrimPrefix(l, "go> "))
		}
	}
	return kept
}

package main

import (
	"os"
	"strings"
	"testing"
)

// TestExampleIsUnchanged: after.yaml is before.yaml with labels and annotations
// of ours, and nothing else.
func TestExampleIsUnchanged(t *testing.T) {
	lines := func(name string) (list []string) {
		text, err := os.ReadFile("../../examples/echo/" + name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			line = strings.ReplaceAll(line, ", wsresilience.io/inject: enabled", "")
			if ours := strings.Contains(line, "wsresilience.io/") || strings.TrimSpace(line) == "annotations:"; !ours && !strings.HasPrefix(strings.TrimSpace(line), "#") {
				list = append(list, line)
			}
		}
		return list
	}
	before, after := lines("before.yaml"), lines("after.yaml")
	if len(before) < 20 || strings.Join(before, "") != strings.Join(after, "") {
		t.Errorf("before:\n%s\nafter:\n%s", strings.Join(before, ""), strings.Join(after, ""))
	}
}
